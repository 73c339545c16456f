//! `tidings.cluster.v1.Registry`: what control-plane nodes ask each other.

use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::registry_server::Registry;
use tidings_proto::cluster::v1::{
    FoundRequest, FoundResponse, LeaveRequest, LeaveResponse, ProposeRequest, ProposeResponse, ReadIndexRequest,
    ReadIndexResponse,
};
use tonic::{Request, Response, Status};

use super::answer;
use crate::controller::Controller;
use crate::founding::Founding;
use crate::replica::status_of;

/// The registry's own service.
#[derive(Clone)]
pub struct RegistryService {
    pub controller: Controller,
    pub founding: Founding,
}

#[tonic::async_trait]
impl Registry for RegistryService {
    async fn found(&self, request: Request<FoundRequest>) -> Result<Response<FoundResponse>, Status> {
        answer("Found", async {
            let group = self.controller.replica.group();
            let is_certain = self.controller.replica.is_current().await;
            self.founding.answer(request.get_ref().node, group.status().members.into_keys().collect(), is_certain)
        })
        .await
    }

    async fn propose(&self, request: Request<ProposeRequest>) -> Result<Response<ProposeResponse>, Status> {
        answer("Propose", async { Ok(self.controller.replica.propose_for_another(request.into_inner().command).await) })
            .await
    }

    async fn leave(&self, request: Request<LeaveRequest>) -> Result<Response<LeaveResponse>, Status> {
        answer("Leave", async {
            let group = self.controller.replica.group();
            group.read_barrier().await.map_err(|error| status_of(&error))?;
            let left = self.controller.remove_member(request.get_ref().node).await;
            left.map_err(|error| ErrorCode::FailedPrecondition.status(error.to_string()))?;
            Ok(LeaveResponse {})
        })
        .await
    }

    async fn read_index(&self, _: Request<ReadIndexRequest>) -> Result<Response<ReadIndexResponse>, Status> {
        answer("ReadIndex", async {
            let index = self.controller.replica.group().read_index().await.map_err(|error| status_of(&error))?;
            Ok(ReadIndexResponse { index })
        })
        .await
    }
}
