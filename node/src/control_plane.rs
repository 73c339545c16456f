//! The way to the control plane's nodes: any of them will do, and the next one is asked where one does not answer.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::membership::{MemberClient, Membership};
use crate::{Dialer, dial};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// What a client of one of the control plane's services is made of.
pub type ControlPlaneChannel = InterceptedService<Channel, MemberClient>;

/// One lazily connected channel per node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ControlPlaneNodes {
    channels: Arc<[ControlPlaneChannel]>,
    current: Arc<AtomicUsize>,
}

impl ControlPlaneNodes {
    /// The nodes at these addresses (`host:port`). Fails where one is no address.
    pub fn new(
        addresses: &[String],
        membership: &Membership,
        dialer: &Dialer,
    ) -> Result<Self, tonic::transport::Error> {
        let channel = |address: &String| {
            let endpoint = dial::endpoint(address)?
                .connect_timeout(CONNECT_TIMEOUT)
                .http2_keep_alive_interval(KEEP_ALIVE)
                .keep_alive_timeout(KEEP_ALIVE)
                .keep_alive_while_idle(true);
            Ok(InterceptedService::new(dialer.connect_lazy(&endpoint), MemberClient::new(membership)))
        };
        let channels = addresses.iter().map(channel).collect::<Result<_, tonic::transport::Error>>()?;
        Ok(Self { channels, current: Arc::default() })
    }

    /// Asks one node, for at most 5 s. Where it does not answer, the next question goes to the next one.
    pub async fn ask<T, F>(&self, call: impl FnOnce(ControlPlaneChannel) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let at = self.current.load(Ordering::Relaxed);
        let channel = self.channels.get(at % self.channels.len().max(1));
        let channel = channel.ok_or_else(|| Status::unavailable("no address of a control plane was configured"))?;
        let late = |_| Status::unavailable("the control plane did not answer in time");
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, call(channel.clone())).await.map_err(late).flatten();
        answer.map(Response::into_inner).inspect_err(|status| {
            if matches!(status.code(), Code::Unavailable | Code::Unknown | Code::DeadlineExceeded | Code::Internal) {
                // Unless somebody went on to the next one already.
                let next = at.wrapping_add(1);
                let _ = self.current.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
            }
        })
    }
}
