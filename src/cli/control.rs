//! The connection to the control plane: where it is, and the API key that every call carries.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use super::exit::{Exit, Failure, Outcome};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Options of every operator's command.
#[derive(Debug, Args)]
pub struct ControlOptions {
    /// Where the control plane is
    #[arg(long, env = "TIDINGS_CONTROL", default_value = "http://127.0.0.1:7701", value_name = "URL")]
    server: String,
    /// The API key
    #[arg(long, env = "TIDINGS_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: Option<String>,
    /// A file that holds the API key; the node writes the operator's to its data folder
    #[arg(long, env = "TIDINGS_API_KEY_FILE", default_value = "data/operator.key", value_name = "FILE")]
    api_key_file: PathBuf,
    /// Certificates to trust, as PEM, when the server's address begins with https
    #[arg(long, env = "TIDINGS_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The app; empty: the key's own, or `default`
    #[arg(long, env = "TIDINGS_APP", default_value = "", value_name = "APP")]
    pub app: String,
    /// Print JSON, one value in a line
    #[arg(long)]
    pub json: bool,
}

/// What the generated clients call through.
pub type Service = InterceptedService<Channel, ApiKey>;

/// Puts the key into every call.
#[derive(Debug, Clone)]
pub struct ApiKey(MetadataValue<Ascii>);

impl Interceptor for ApiKey {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl ControlOptions {
    /// Connects.
    pub async fn connect(&self) -> Outcome<Service> {
        let key = self.key()?;
        let invalid = |error: tonic::transport::Error| Failure::new(Exit::Invalid, format!("{}: {error}", self.server));
        let mut endpoint = Endpoint::from_shared(self.server.clone()).map_err(invalid)?;
        endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).timeout(CALL_TIMEOUT);
        if self.server.starts_with("https:") {
            let mut tls = ClientTlsConfig::new();
            if let Some(path) = &self.ca_file {
                tls = tls.ca_certificate(Certificate::from_pem(read(path)?));
            }
            endpoint = endpoint.tls_config(tls).map_err(invalid)?;
        }
        let channel = endpoint.connect().await.map_err(|error| {
            let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            Failure::new(Exit::Unreachable, format!("cannot reach the control plane at {}: {cause}", self.server))
        })?;
        Ok(InterceptedService::new(channel, key))
    }

    fn key(&self) -> Outcome<ApiKey> {
        let key = match &self.api_key {
            Some(key) => key.clone(),
            None => String::from_utf8_lossy(&read(&self.api_key_file)?).into_owned(),
        };
        let value = format!("Bearer {}", key.trim());
        let mut value: MetadataValue<Ascii> =
            value.parse().map_err(|_| Failure::new(Exit::Invalid, "the API key holds characters that no key has"))?;
        value.set_sensitive(true);
        Ok(ApiKey(value))
    }
}

fn read(path: &PathBuf) -> Outcome<Vec<u8>> {
    std::fs::read(path).map_err(|error| Failure::new(Exit::Other, format!("cannot read {}: {error}", path.display())))
}
