//! `tidings app`: namespaces of users.

use clap::{Args, Subcommand};
use prost_types::FieldMask;
use serde_json::{Value, json};
use tidings_proto::control::v1::apps_client::AppsClient;
use tidings_proto::control::v1::{App, CreateAppRequest, DeleteAppRequest, ListAppsRequest, UpdateAppRequest};

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
    /// Change fields of an app; those not named stay as they are
    Update(Update),
    /// Close the sessions of an app's users and refuse their tokens; mailboxes and backends go on
    Deactivate(One),
    /// Let an app's users in again
    Activate(One),
    /// Delete an app with its users, tokens and keys
    Delete(One),
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
    /// A pattern over ids: '*' stands for any run of characters
    #[arg(default_value = "")]
    filter: String,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings app update`.
#[derive(Debug, Args)]
pub struct Update {
    /// The app
    id: String,
    /// For people
    #[arg(long)]
    display_name: String,
    #[command(flatten)]
    control: ControlOptions,
}

/// A command about one app.
#[derive(Debug, Args)]
pub struct One {
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
            Self::Update(command) => command.run().await,
            Self::Deactivate(command) => command.set_active(false).await,
            Self::Activate(command) => command.set_active(true).await,
            Self::Delete(command) => command.delete().await,
        }
    }
}

impl Create {
    async fn run(self) -> Outcome {
        let mut apps = AppsClient::new(self.control.connect().await?);
        let request = CreateAppRequest { id: self.id, display_name: self.display_name };
        print(&apps.create_app(request).await?.into_inner(), self.control.json)
    }
}

impl Update {
    async fn run(self) -> Outcome {
        let app = App { id: self.id, display_name: self.display_name, ..App::default() };
        update(&self.control, app, &["display_name"]).await
    }
}

async fn update(control: &ControlOptions, app: App, mask: &[&str]) -> Outcome {
    let mut apps = AppsClient::new(control.connect().await?);
    let paths = mask.iter().map(ToString::to_string).collect();
    let request = UpdateAppRequest { app: Some(app), update_mask: Some(FieldMask { paths }) };
    print(&apps.update_app(request).await?.into_inner(), control.json)
}

fn print(app: &App, json: bool) -> Outcome {
    match json {
        true => Ok(output::json(&as_json(app))?),
        false => Ok(output::line(&app.id)?),
    }
}

impl List {
    async fn run(self) -> Outcome {
        let mut apps = AppsClient::new(self.control.connect().await?);
        let page = async |page_token| {
            let request = ListAppsRequest { page_size: output::PAGE_SIZE, page_token, filter: self.filter.clone() };
            let page = apps.list_apps(request).await?.into_inner();
            Ok((page.apps, page.next_page_token))
        };
        output::list(self.control.json, &["app", "name", "active", "created"], as_json, row, page).await
    }
}

fn row(app: &App) -> Vec<String> {
    let active = if app.active { "yes" } else { "no" };
    vec![app.id.clone(), app.display_name.clone(), active.to_owned(), output::time(app.created_at.as_ref())]
}

impl One {
    async fn set_active(self, active: bool) -> Outcome {
        update(&self.control, App { id: self.id, active, ..App::default() }, &["active"]).await
    }

    async fn delete(self) -> Outcome {
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
        "active": app.active,
        "created_at": output::json_time(app.created_at.as_ref()),
    })
}
