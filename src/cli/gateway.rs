//! The connection to a gateway: where it is, the token, and where a device keeps its state.

use std::path::PathBuf;

use clap::Args;
use tidings_sdk::{Builder, Client, ConnectionState, FileStore};

use super::exit::{Exit, Failure, Outcome};

/// Options of every user's command.
#[derive(Debug, Args)]
pub struct GatewayOptions {
    /// Where the gateway is
    #[arg(long, env = "TIDINGS_GATEWAY", default_value = "ws://127.0.0.1:7700", value_name = "URL")]
    gateway: String,
    /// The token, as `tidings token create` printed it
    #[arg(long, env = "TIDINGS_TOKEN", hide_env_values = true)]
    token: String,
    /// The app id that the token is bound to, if any
    #[arg(long, env = "TIDINGS_APP_ID", default_value = "")]
    app_id: String,
    /// Certificates to trust, as PEM, when the gateway's address begins with wss; without it, the system's
    #[arg(long, env = "TIDINGS_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Where the device keeps its place in the mailbox and what it has yet to send; without it, a folder of its own
    /// under $XDG_STATE_HOME/tidings
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl GatewayOptions {
    /// A client without a device: it only sends, and keeps nothing.
    pub fn sender(&self) -> Outcome<Builder> {
        let builder = Client::builder(&self.gateway, self.token.as_str()).app_id(&self.app_id);
        let builder = builder.agent(concat!("tidings-cli/", env!("CARGO_PKG_VERSION")));
        let Some(path) = &self.ca_file else { return Ok(builder) };
        let read_failed = |error| Failure::new(Exit::Other, format!("cannot read {}: {error}", path.display()));
        Ok(builder.trust_pem(&std::fs::read(path).map_err(read_failed)?)?)
    }

    /// A client that is the device `device`, with its state on the disk.
    pub async fn device(&self, device: &str) -> Outcome<Builder> {
        let folder = match &self.state {
            Some(folder) => folder.clone(),
            None => self.default_folder(device).await?,
        };
        Ok(self.sender()?.device(device).store(FileStore::open(folder)?))
    }

    /// The folder is named for the user, whom only the server can tell from the token: a short session asks.
    async fn default_folder(&self, device: &str) -> Outcome<PathBuf> {
        let (client, events) = self.sender()?.connect()?;
        drop(events);
        client.online().await?;
        let ConnectionState::Online { app, user } = client.state() else {
            return Err(Failure::new(Exit::Unreachable, "the gateway went away"));
        };
        client.close().await;
        let gateway = self.gateway.split_once("://").map_or(self.gateway.as_str(), |(_, rest)| rest);
        let parts = [gateway, &app, &user, device].map(file_name);
        Ok(parts.iter().fold(state_home()?.join("tidings"), |folder, part| folder.join(part)))
    }

    /// For error messages.
    pub fn gateway(&self) -> &str {
        &self.gateway
    }
}

fn state_home() -> Outcome<PathBuf> {
    let named = std::env::var_os("XDG_STATE_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let in_home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    named
        .or_else(in_home)
        .ok_or_else(|| Failure::new(Exit::Other, "neither XDG_STATE_HOME nor HOME is set: give --state"))
}

/// A file name that stands for one text alone: everything but letters, digits, '-' and '_' is written as %XX.
fn file_name(text: &str) -> String {
    let mut name = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_cannot_leave_the_folder_or_meet() {
        assert_eq!(file_name("../a"), "%2E%2E%2Fa");
        assert_eq!(file_name("Zoë-1"), "Zo%C3%AB-1");
        assert_ne!(file_name("a%2Fb"), file_name("a/b"));
    }
}
