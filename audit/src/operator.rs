//! Calls to a control plane with an API key.

use anyhow::Result;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::cluster::LocalCluster;

/// What the generated clients call through.
pub type Service = InterceptedService<Channel, Key>;

/// Puts an API key into each call.
#[derive(Debug, Clone)]
pub struct Key(MetadataValue<Ascii>);

impl Interceptor for Key {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Connects to every control-plane node of a cluster of this machine, with the operator's key.
pub async fn connect_to_all(cluster: &LocalCluster) -> Result<Vec<Service>> {
    let (key, mut nodes) = (cluster.operator_key()?, Vec::new());
    for url in cluster.control_urls() {
        nodes.push(connect(&url, &key).await?);
    }
    Ok(nodes)
}

/// Connects to a control-plane node, `http://host:port`.
pub async fn connect(url: &str, key: &str) -> Result<Service> {
    let key = Key(format!("Bearer {key}").parse()?);
    Ok(InterceptedService::new(Endpoint::from_shared(url.to_owned())?.connect().await?, key))
}
