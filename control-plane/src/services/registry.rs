//! `tidings.cluster.v1.Registry`: what control-plane nodes ask each other.

use tidings_proto::cluster::v1::registry_server::Registry;
use tidings_proto::cluster::v1::{
    FoundRequest, FoundResponse, ProposeRequest, ProposeResponse, ReadIndexRequest, ReadIndexResponse,
};
use tonic::{Request, Response, Status};

use super::answer;
use crate::founding::Founding;
use crate::replica::{Replica, status_of};

/// The registry's own service.
#[derive(Clone)]
pub struct RegistryService {
    pub replica: Replica,
    pub founding: Founding,
}

#[tonic::async_trait]
impl Registry for RegistryService {
    async fn found(&self, request: Request<FoundRequest>) -> Result<Response<FoundResponse>, Status> {
        answer("Found", async {
            let members: Vec<u64> = self.replica.group().status().members.into_keys().collect();
            self.founding.answer(request.get_ref().node, members)
        })
        .await
    }

    async fn propose(&self, request: Request<ProposeRequest>) -> Result<Response<ProposeResponse>, Status> {
        answer("Propose", async { Ok(self.replica.propose_for_another(request.into_inner().command).await) }).await
    }

    async fn read_index(&self, _: Request<ReadIndexRequest>) -> Result<Response<ReadIndexResponse>, Status> {
        answer("ReadIndex", async {
            let index = self.replica.group().read_index().await.map_err(|error| status_of(&error))?;
            Ok(ReadIndexResponse { index })
        })
        .await
    }
}
