//! What an application can ask: each method is one request to the server, repeated until it is answered.

use tidings_proto::client::v1::{Devices, ListDevices, request, response};
use tokio::sync::oneshot;

use crate::client::{Client, Command};
use crate::error::RequestError;

impl Client {
    /// This user's devices, and where each stands in the mailbox.
    pub async fn devices(&self) -> Result<Devices, RequestError> {
        match self.ask(request::Request::ListDevices(ListDevices {})).await? {
            response::Response::Devices(devices) => Ok(devices),
            _ => Err(RequestError::UnknownAnswer),
        }
    }

    /// Asks, and waits for the answer: without a limit, since a request that is lost is repeated.
    pub(crate) async fn ask(&self, request: request::Request) -> Result<response::Response, RequestError> {
        let (answer, answered) = oneshot::channel();
        let command = Command::Request { request, answer };
        self.commands.send(command).await.map_err(|_| RequestError::Stopped(self.stop_reason()))?;
        answered.await.unwrap_or_else(|_| Err(RequestError::Stopped(self.stop_reason())))
    }
}
