//! A snapshot reaches a follower over a network that breaks again and again, and by the former call.

#![allow(clippy::unwrap_used)] // A test ends where something is not as expected.

mod support;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use support::{Cluster, Journal, count, dump, text, until_count, within};
use tidings_consensus::{Engine, EngineOptions, GroupId, RaftService};
use tidings_proto::raft::v1::raft_transport_server::RaftTransportServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;

const MIB: u64 = 1024 * 1024;

/// Passes connections on to `target`, each until so many bytes have gone there; counts them all.
async fn cutting_proxy(target: SocketAddr, cut_after: u64) -> (SocketAddr, Arc<AtomicU64>, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (bytes, cuts) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counters = (bytes.clone(), cuts.clone());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass_on(client, target, cut_after, counters.clone()));
        }
    });
    (address, bytes, cuts)
}

async fn pass_on(
    client: TcpStream,
    target: SocketAddr,
    cut_after: u64,
    (bytes, cuts): (Arc<AtomicU64>, Arc<AtomicU64>),
) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async {
        let mut buffer = vec![0; 16 * 1024];
        let mut passed = 0;
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            passed += read as u64;
            bytes.fetch_add(read as u64, Ordering::Relaxed);
            if passed > cut_after {
                cuts.fetch_add(1, Ordering::Relaxed);
                return;
            }
            if to_server.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = there => {}
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
    }
}

fn plain(options: EngineOptions) -> EngineOptions {
    options
}

/// A cluster with about so many bytes of state and no log behind them.
async fn cluster_with(bytes: usize) -> Cluster {
    let cluster = Cluster::start(plain).await;
    let leader = cluster.leader().await;
    let group = &cluster.nodes[&leader].group;
    for n in 0..bytes / 50_000 {
        group.propose_when_ready(text(format!("{n} {}", "x".repeat(50_000)))).await.unwrap();
    }
    group.compact(0).await.unwrap();
    within("the purge", async {
        while group.status().purged.is_none_or(|purged| purged < 50) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_is_cut_many_times_goes_on_where_it_was() {
    let mut cluster = cluster_with(20 * MIB as usize).await;
    cluster.start_node(4, "127.0.0.1:0".parse().unwrap()).await;
    let (address, bytes, cuts) = cutting_proxy(cluster.nodes[&4].address, 2 * MIB).await;
    let leader = cluster.leader().await;
    let group = cluster.nodes[&leader].group.clone();
    within("the learner", group.add_learner(4, address.to_string())).await.unwrap();
    let total = count(&group.view()).unwrap();
    until_count(&cluster.nodes[&4].group, total).await;
    assert_eq!(dump(&cluster.nodes[&4].group.view()), dump(&group.view()));
    let (bytes, cuts) = (bytes.load(Ordering::Relaxed), cuts.load(Ordering::Relaxed));
    assert!(cuts >= 9, "{cuts} cuts");
    // A cut costs the chunk that it fell into, and what was on its way.
    assert!(bytes <= 20 * MIB + (cuts + 1) * MIB, "{bytes} bytes with {cuts} cuts");
    for node in cluster.nodes.values() {
        // No file is left behind; the leader's stays for a while, should it be asked for again.
        let folder = cluster.options_of(node.id).dir.join("snapshots");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert!(files <= usize::from(node.id == leader), "node {}: {files} files", node.id);
        assert!(node.engine.is_healthy());
        node.engine.shutdown().await;
    }
}

/// Passes calls on as a node of the version before would: it does not know the call for chunks.
#[derive(Clone)]
struct VersionBefore(RaftTransportServer<RaftService>);

impl NamedService for VersionBefore {
    const NAME: &'static str = <RaftTransportServer<RaftService> as NamedService>::NAME;
}

impl Service<http::Request<Body>> for VersionBefore {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<http::Request<Body>>::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path().ends_with("/TransferSnapshot") {
            return Box::pin(async { Ok(tonic::Status::unimplemented("unknown method").into_http()) });
        }
        self.0.call(request)
    }
}

/// Promise 7: a node of the version before is sent the snapshot in one piece.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_know_chunks_gets_the_snapshot_in_one_piece() {
    let cluster = cluster_with(4 * MIB as usize).await;
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(EngineOptions::new(folder.path(), 4, "test")).unwrap();
    let older = engine.start_group(GroupId(1), Journal::new()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = tonic::transport::Server::builder().add_service(VersionBefore(engine.raft_service()));
    tokio::spawn(router.serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)));
    let leader = cluster.leader().await;
    let group = cluster.nodes[&leader].group.clone();
    within("the learner", group.add_learner(4, address.to_string())).await.unwrap();
    until_count(&older, count(&group.view()).unwrap()).await;
    assert_eq!(dump(&older.view()), dump(&group.view()));
    engine.shutdown().await;
    for node in cluster.nodes.values() {
        node.engine.shutdown().await;
    }
}
