//! What a control-plane node says to other nodes of its cluster, over node-to-node gRPC.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tidings_proto::cluster::v1::nodes_client::NodesClient;
use tidings_proto::cluster::v1::{GetShardMapRequest, ListNodesRequest, Node, ShardMap};
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

/// A member of the cluster, by its secret alone: the releases before this one named no cluster either.
pub struct Nodes {
    client: NodesClient<Channel>,
    authorization: MetadataValue<Ascii>,
}

impl Nodes {
    /// Connects to a control-plane node.
    pub async fn connect(address: SocketAddr, secret_file: &Path) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a URL");
        let client = NodesClient::new(endpoint.connect().await.expect("the node"));
        let secret = fs::read_to_string(secret_file).expect("the cluster's secret");
        Self { client, authorization: format!("Bearer {}", secret.trim()).parse().expect("a secret is ASCII") }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        request
    }

    /// The map as this node knows it.
    pub async fn shard_map(&self) -> ShardMap {
        let asked = self.client.clone().get_shard_map(self.request(GetShardMapRequest {})).await;
        asked.expect("the map").into_inner()
    }

    /// The nodes as they are registered.
    pub async fn list(&self) -> Vec<Node> {
        let asked = self.client.clone().list_nodes(self.request(ListNodesRequest {})).await;
        asked.expect("the nodes").into_inner().nodes
    }
}
