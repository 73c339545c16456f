//! How a control-plane node comes into its group: it was in it before, founds it with the others, or joins it.
//!
//! Founding is safe whenever the founders start, together or one by one, and however often. A node without state asks
//! the others first. It founds only when every other founder says that it has no state either, and each that says so
//! writes that down before (the file `founder` in its data folder). A node that finds a cluster that counts on it,
//! without having written that down, has lost its data: it has promised votes and entries that it no longer knows, and
//! does not take part until it was removed (promise 1).

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidings_consensus::{Engine, NodeId};
use tidings_node::membership::{MemberServer, Membership};
use tidings_node::tls::{self, NodeTls};
use tidings_node::{Dialer, Shutdown};
use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::found_response::State;
use tidings_proto::cluster::v1::registry_server::{Registry, RegistryServer};
use tidings_proto::cluster::v1::{
    FoundRequest, FoundResponse, LeaveRequest, LeaveResponse, ProposeRequest, ProposeResponse, ReadIndexRequest,
    ReadIndexResponse,
};
use tokio::net::TcpListener;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::peers::Peers;
use crate::{Error, GROUP};

const RETRY: Duration = Duration::from_millis(200);
/// How often the others are asked to let a damaged node out.
const LEAVE_ATTEMPTS: usize = 150;
/// How often it is said that the others are not there yet.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who founds the cluster, and who this node is.
#[derive(Debug, Clone)]
pub struct Founding {
    pub me: NodeId,
    /// The founders with their node-to-node addresses.
    pub founders: BTreeMap<NodeId, String>,
    /// Other control-plane nodes that may know the cluster, as `host:port`.
    pub others: Vec<String>,
    /// Where this node writes down that it is there from the beginning.
    pub marker: PathBuf,
}

/// How a node without state is reached by the others, and reaches them.
#[derive(Debug, Clone)]
pub struct Door {
    /// The node-to-node port, which the node's own server takes over afterwards.
    pub listen: SocketAddr,
    pub membership: Membership,
    pub node_tls: Option<Arc<NodeTls>>,
    pub dialer: Dialer,
}

/// What a node is to its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has state, or the cluster was founded counting on it, and it has promised nothing yet.
    Member,
    /// It founds the cluster, like the other founders.
    Founder,
    /// The cluster is there; the leader lets it in once it has registered.
    Joins,
}

impl Founding {
    /// Finds out what this node is to its group; waits for the others as long as that is not clear. Answers their
    /// question meanwhile.
    pub async fn settle(&self, engine: &Engine, door: &Door, shutdown: &Shutdown) -> Result<Standing, Error> {
        let peers = Peers::new(&door.membership, door.dialer.clone());
        let damage = engine.damaged().borrow().get(&GROUP).cloned();
        if let Some(reason) = damage {
            self.leave(&peers, reason).await?;
            engine.erase_group(GROUP).await?;
            return Ok(Standing::Joins);
        }
        if engine.has_replica(GROUP)? {
            return Ok(Standing::Member);
        }
        if self.founders.len() == 1 && self.founders.contains_key(&self.me) {
            return Ok(Standing::Founder);
        }
        let address = door.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        let ended = Shutdown::new();
        let (serving, stop, node_tls) = (self.clone(), ended.clone(), door.node_tls.clone());
        let members_only = MemberServer::new(door.membership.clone());
        let service = InterceptedService::new(RegistryServer::new(Unfounded(serving)), members_only);
        let server = tokio::spawn(async move {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let server = Server::builder().add_service(service);
            match node_tls {
                None => server.serve_with_incoming_shutdown(incoming, stop.requested()).await,
                Some(node_tls) => {
                    let incoming = tls::accept(incoming, move || node_tls.server());
                    server.serve_with_incoming_shutdown(incoming, stop.requested()).await
                }
            }
        });
        let standing = tokio::select! {
            () = shutdown.requested() => Err(Error::Interrupted),
            standing = self.ask(&peers) => standing,
        };
        ended.request();
        // The port is free for the node's own server once this one has ended; idle connections of others do not hold
        // it.
        let aborts = server.abort_handle();
        if tokio::time::timeout(Duration::from_secs(1), server).await.is_err() {
            aborts.abort();
        }
        standing
    }

    /// Has the leader take this node, whose replica is damaged, out of the members: what it had promised no longer
    /// counts, and it can begin anew.
    async fn leave(&self, peers: &Peers, damage: String) -> Result<(), Error> {
        tracing::error!(reason = damage, "the control plane's replica is damaged; it is made anew from its peers");
        for _ in 0..LEAVE_ATTEMPTS {
            for address in self.addresses() {
                let Ok(mut client) = peers.registry(address) else { continue };
                match client.leave(LeaveRequest { node: self.me }).await {
                    Ok(_) => return Ok(()),
                    Err(status) => tracing::debug!(%address, %status, "not let out"),
                }
            }
            tokio::time::sleep(RETRY).await;
        }
        Err(Error::Damaged { node: self.me, damage })
    }

    /// Where other control-plane nodes are.
    fn addresses(&self) -> impl Iterator<Item = &String> {
        let founders = self.founders.iter().filter(|(id, _)| **id != self.me).map(|(_, address)| address);
        let is_founder = |address: &&String| self.founders.values().any(|known| known == *address);
        founders.chain(self.others.iter().filter(move |address| !is_founder(address)))
    }

    async fn ask(&self, peers: &Peers) -> Result<Standing, Error> {
        let mut told = tokio::time::Instant::now();
        loop {
            let (mut empty, mut founded) = (0, None::<FoundResponse>);
            for address in self.addresses() {
                let Ok(mut client) = peers.registry(address) else { continue };
                match client.found(FoundRequest { node: self.me }).await.map(Response::into_inner) {
                    Ok(answer) if answer.state() == State::Founded => {
                        // The certain one counts, whoever else answers.
                        founded = founded.filter(|before| before.certain).or(Some(answer));
                    }
                    Ok(answer) if answer.state() == State::Empty && self.founders.contains_key(&answer.node) => {
                        empty += 1
                    }
                    Ok(_) => {}
                    Err(status) => tracing::debug!(%address, %status, "no answer yet"),
                }
            }
            if let Some(answer) = founded
                && let Some(standing) = self.beside(&answer.members, answer.certain)?
            {
                return Ok(standing);
            }
            if self.founders.contains_key(&self.me) && empty + 1 == self.founders.len() {
                self.write_down()?;
                return Ok(Standing::Founder);
            }
            if told.elapsed() >= PATIENCE {
                told = tokio::time::Instant::now();
                tracing::info!(founders = ?self.founders, "waiting for the other founders of the control plane");
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// What this node, without state, is to a cluster that has these members; `None` as long as that is not clear: a
    /// replica that is catching up tells what was once.
    fn beside(&self, members: &[NodeId], is_certain: bool) -> Result<Option<Standing>, Error> {
        match members.contains(&self.me) {
            true if self.marker.exists() => Ok(Some(Standing::Member)),
            _ if !is_certain => Ok(None),
            true => Err(Error::LostData(self.me)),
            false => Ok(Some(Standing::Joins)),
        }
    }

    /// Answers another node. Before it says to a founder that it has no state, it has written down that it is there
    /// from the beginning.
    pub fn answer(&self, asks: NodeId, members: Vec<NodeId>, is_certain: bool) -> Result<FoundResponse, Status> {
        let is_founder = self.founders.contains_key(&asks) && self.founders.contains_key(&self.me);
        let state = match members.is_empty() {
            false => State::Founded,
            true if is_founder => {
                self.write_down().map_err(|error| ErrorCode::StorageFailed.status(error.to_string()))?;
                State::Empty
            }
            true => State::Unspecified,
        };
        Ok(FoundResponse { state: state.into(), members, node: self.me, certain: is_certain })
    }

    fn write_down(&self) -> Result<(), Error> {
        let write = || {
            if self.marker.exists() {
                return Ok(());
            }
            File::create(&self.marker)?.sync_all()?;
            let folder = self.marker.parent().unwrap_or(std::path::Path::new("."));
            File::open(folder)?.sync_all()
        };
        write().map_err(|source| Error::Marker { file: self.marker.clone(), source })
    }
}

/// What a node answers before it is part of a cluster.
struct Unfounded(Founding);

#[tonic::async_trait]
impl Registry for Unfounded {
    async fn found(&self, request: Request<FoundRequest>) -> Result<Response<FoundResponse>, Status> {
        self.0.answer(request.get_ref().node, Vec::new(), false).map(Response::new)
    }

    async fn propose(&self, _: Request<ProposeRequest>) -> Result<Response<ProposeResponse>, Status> {
        Err(ErrorCode::NotLeader.status("this node is not part of a cluster yet"))
    }

    async fn leave(&self, _: Request<LeaveRequest>) -> Result<Response<LeaveResponse>, Status> {
        Err(ErrorCode::NotLeader.status("this node is not part of a cluster yet"))
    }

    async fn read_index(&self, _: Request<ReadIndexRequest>) -> Result<Response<ReadIndexResponse>, Status> {
        Err(ErrorCode::NotLeader.status("this node is not part of a cluster yet"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn founding(me: NodeId, folder: &tempfile::TempDir) -> Founding {
        let founders = (1..=3).map(|id| (id, format!("host{id}:1"))).collect();
        Founding { me, founders, others: Vec::new(), marker: folder.path().join("founder") }
    }

    #[test]
    fn who_promised_nothing_may_take_part_and_who_forgot_may_not() {
        let folder = tempfile::tempdir().unwrap();
        let third = founding(3, &folder);
        assert!(matches!(third.beside(&[1, 2, 3], true), Err(Error::LostData(3))));
        assert_eq!(third.beside(&[1, 2, 4], true).unwrap(), Some(Standing::Joins));
        for members in [[1, 2, 3], [1, 2, 4]] {
            assert_eq!(third.beside(&members, false).unwrap(), None, "it waits for who knows it");
        }
        // A stranger's question binds nobody: only founders found.
        assert_eq!(third.answer(9, Vec::new(), false).unwrap().state(), State::Unspecified);
        assert!(matches!(third.beside(&[1, 2, 3], true), Err(Error::LostData(3))));
        assert_eq!(third.answer(1, Vec::new(), false).unwrap().state(), State::Empty);
        assert_eq!(
            third.beside(&[1, 2, 3], false).unwrap(),
            Some(Standing::Member),
            "the leader needs it to be elected"
        );
        assert_eq!(third.answer(1, vec![1, 2, 3], false).unwrap().state(), State::Founded);
        let fourth = founding(4, &folder);
        assert_eq!(fourth.answer(1, Vec::new(), false).unwrap().state(), State::Unspecified);
    }
}
