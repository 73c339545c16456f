//! `tidings key`: what backends and operators call the control plane with.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidings_proto::control::v1::api_keys_client::ApiKeysClient;
use tidings_proto::control::v1::{ApiKey, CreateApiKeyRequest, ListApiKeysRequest, RevokeApiKeyRequest};

use super::control::ControlOptions;
use super::exit::{EXIT_CODES, Outcome};
use super::output;

/// What to do with API keys.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum KeyCommand {
    /// Create a key for the app given by --app, or an operator's key without it; prints it alone on stdout, this once
    Create(Create),
    /// List keys, without their secrets
    List(List),
    /// Revoke a key
    Revoke(Revoke),
}

/// `tidings key create`.
#[derive(Debug, Args)]
pub struct Create {
    /// For people
    #[arg(long, default_value = "")]
    display_name: String,
    /// Any text: a repeated request with the same one makes no second key
    #[arg(long, default_value = "")]
    request_id: String,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings key list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings key revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The key's id, as `list` shows it
    id: String,
    #[command(flatten)]
    control: ControlOptions,
}

impl KeyCommand {
    pub async fn run(self) -> Outcome {
        match self {
            Self::Create(command) => command.run().await,
            Self::List(command) => command.run().await,
            Self::Revoke(command) => command.run().await,
        }
    }
}

impl Create {
    async fn run(self) -> Outcome {
        let mut keys = ApiKeysClient::new(self.control.connect().await?);
        let (app, request_id) = (self.control.app.clone(), self.request_id);
        let request = CreateApiKeyRequest { app, display_name: self.display_name, request_id };
        let created = keys.create_api_key(request).await?.into_inner();
        let key = created.key.unwrap_or_default();
        if self.control.json {
            let mut value = as_json(&key);
            value["secret"] = created.secret.into();
            return Ok(output::json(&value)?);
        }
        let scope = if key.app.is_empty() { "every app".to_owned() } else { format!("the app {}", key.app) };
        eprintln!("key {} for {scope}; it is shown this once", key.id);
        Ok(output::line(&created.secret)?)
    }
}

impl List {
    async fn run(self) -> Outcome {
        let mut keys = ApiKeysClient::new(self.control.connect().await?);
        let page = async |page_token| {
            let app = self.control.app.clone();
            let request = ListApiKeysRequest { app, page_size: output::PAGE_SIZE, page_token };
            let page = keys.list_api_keys(request).await?.into_inner();
            Ok((page.keys, page.next_page_token))
        };
        let headings = &["key", "app", "name", "created", "revoked"];
        output::list(self.control.json, headings, as_json, row, page).await
    }
}

impl Revoke {
    async fn run(self) -> Outcome {
        let mut keys = ApiKeysClient::new(self.control.connect().await?);
        let key = keys.revoke_api_key(RevokeApiKeyRequest { id: self.id }).await?.into_inner();
        if self.control.json {
            return Ok(output::json(&as_json(&key))?);
        }
        eprintln!("revoked the key {}", key.id);
        Ok(())
    }
}

fn row(key: &ApiKey) -> Vec<String> {
    let app = if key.app.is_empty() { "(all)".to_owned() } else { key.app.clone() };
    let times = [&key.created_at, &key.revoked_at].map(|time| output::time(time.as_ref()));
    [key.id.clone(), app, key.display_name.clone()].into_iter().chain(times).collect()
}

fn as_json(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "app": key.app,
        "display_name": key.display_name,
        "created_at": output::json_time(key.created_at.as_ref()),
        "revoked_at": output::json_time(key.revoked_at.as_ref()),
    })
}
