//! `tidings token`: what clients connect with.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidings_proto::control::v1::tokens_client::TokensClient;
use tidings_proto::control::v1::{CreateTokenRequest, ListTokensRequest, RevokeTokenRequest, Token};

use super::control::ControlOptions;
use super::exit::{EXIT_CODES, Exit, Failure, Outcome};
use super::{duration, output};

/// What to do with tokens.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum TokenCommand {
    /// Create a token; prints it alone on stdout, this once
    Create(Create),
    /// List a user's tokens, without their secrets
    List(List),
    /// Revoke a token: its live sessions close within a second
    Revoke(Revoke),
}

/// `tidings token create`.
#[derive(Debug, Args)]
pub struct Create {
    /// The user who connects with it
    user: String,
    /// How long it is valid, such as 12h or 30d; without it, it does not expire
    #[arg(long, value_parser = duration::parse)]
    ttl: Option<Duration>,
    /// Binds it to clients that give this app id
    #[arg(long, default_value = "")]
    app_id: String,
    /// Any text: a repeated request with the same one makes no second token
    #[arg(long, default_value = "")]
    request_id: String,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings token list`.
#[derive(Debug, Args)]
pub struct List {
    /// The user
    user: String,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings token revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The user
    user: String,
    /// The token's id, as `list` shows it
    id: String,
    #[command(flatten)]
    control: ControlOptions,
}

impl TokenCommand {
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
        let ttl_seconds = self.ttl.map_or(0, |ttl| ttl.as_secs());
        if self.ttl.is_some() && ttl_seconds == 0 {
            return Err(Failure::new(Exit::Invalid, "a token is valid for at least one second"));
        }
        let mut tokens = TokensClient::new(self.control.connect().await?);
        let (app, request_id) = (self.control.app.clone(), self.request_id);
        let request = CreateTokenRequest { app, user: self.user, app_id: self.app_id, ttl_seconds, request_id };
        let created = tokens.create_token(request).await?.into_inner();
        let token = created.token.unwrap_or_default();
        if self.control.json {
            let mut value = as_json(&token);
            value["secret"] = created.secret.into();
            return Ok(output::json(&value)?);
        }
        let expiry = token.expires_at.as_ref().map_or("does not expire".to_owned(), |at| format!("expires {at}"));
        eprintln!("token {} of {}, {expiry}; it is shown this once", token.id, token.user);
        Ok(output::line(&created.secret)?)
    }
}

impl List {
    async fn run(self) -> Outcome {
        let mut tokens = TokensClient::new(self.control.connect().await?);
        let page = async |page_token| {
            let (app, user) = (self.control.app.clone(), self.user.clone());
            let request = ListTokensRequest { app, user, page_size: output::PAGE_SIZE, page_token };
            let page = tokens.list_tokens(request).await?.into_inner();
            Ok((page.tokens, page.next_page_token))
        };
        let headings = &["token", "user", "app id", "created", "expires", "revoked"];
        output::list(self.control.json, headings, as_json, row, page).await
    }
}

impl Revoke {
    async fn run(self) -> Outcome {
        let mut tokens = TokensClient::new(self.control.connect().await?);
        let request = RevokeTokenRequest { app: self.control.app.clone(), user: self.user, id: self.id };
        let token = tokens.revoke_token(request).await?.into_inner();
        if self.control.json {
            return Ok(output::json(&as_json(&token))?);
        }
        eprintln!("revoked the token {} of {}", token.id, token.user);
        Ok(())
    }
}

fn row(token: &Token) -> Vec<String> {
    let app_id = if token.app_id.is_empty() { "-".to_owned() } else { token.app_id.clone() };
    let times = [&token.created_at, &token.expires_at, &token.revoked_at].map(|time| output::time(time.as_ref()));
    [token.id.clone(), token.user.clone(), app_id].into_iter().chain(times).collect()
}

fn as_json(token: &Token) -> Value {
    json!({
        "id": token.id,
        "app": token.app,
        "user": token.user,
        "app_id": token.app_id,
        "created_at": output::json_time(token.created_at.as_ref()),
        "expires_at": output::json_time(token.expires_at.as_ref()),
        "revoked_at": output::json_time(token.revoked_at.as_ref()),
    })
}
