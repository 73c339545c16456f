//! `tidings app`: namespaces of users.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidings_proto::control::v1::apps_client::AppsClient;
use tidings_proto::control::v1::{App, CreateAppRequest, DeleteAppRequest, ListAppsRequest};

use super::control::ControlOptions;
use super::exit::{EXIT_CODES, Outcome};
use super::output;

/// What to do with apps.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum AppCommand {
    /// Create an app; creating it again changes nothing
    Create(Create),
    /// List the apps
    List(List),
    /// Delete an app with its users, tokens and keys
    Delete(Delete),
}

/// `tidings app create`.
#[derive(Debug, Args)]
pub struct Create {
    /// 1 to 63 of a-z, 0-9, '-' and '_'
    id: String,
    /// For people
    #[arg(long, default_value = "")]
    display_name: String,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings app list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings app delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// The app
    id: String,
    #[command(flatten)]
    control: ControlOptions,
}

impl AppCommand {
    pub async fn run(self) -> Outcome {
        match self {
            Self::Create(command) => command.run().await,
            Self::List(command) => command.run().await,
            Self::Delete(command) => command.run().await,
        }
    }
}

impl Create {
    async fn run(self) -> Outcome {
        let mut apps = AppsClient::new(self.control.connect().await?);
        let request = CreateAppRequest { id: self.id, display_name: self.display_name };
        let app = apps.create_app(request).await?.into_inner();
        if self.control.json {
            output::json(&as_json(&app))?
        } else {
            output::line(&app.id)?
        }
        Ok(())
    }
}

impl List {
    async fn run(self) -> Outcome {
        let mut apps = AppsClient::new(self.control.connect().await?);
        let page = async |page_token| {
            let request = ListAppsRequest { page_size: output::PAGE_SIZE, page_token, ..Default::default() };
            let page = apps.list_apps(request).await?.into_inner();
            Ok((page.apps, page.next_page_token))
        };
        output::list(self.control.json, &["app", "name", "created"], as_json, row, page).await
    }
}

fn row(app: &App) -> Vec<String> {
    vec![app.id.clone(), app.display_name.clone(), output::time(app.created_at.as_ref())]
}

impl Delete {
    async fn run(self) -> Outcome {
        let mut apps = AppsClient::new(self.control.connect().await?);
        apps.delete_app(DeleteAppRequest { id: self.id.clone() }).await?;
        eprintln!("deleted the app {}", self.id);
        Ok(())
    }
}

fn as_json(app: &App) -> Value {
    json!({
        "id": app.id,
        "display_name": app.display_name,
        "created_at": output::json_time(app.created_at.as_ref()),
    })
}
