//! A small state machine and a cluster of engines in one process, joined by real gRPC on loopback.

#![allow(dead_code)] // Each test file uses its part.
#![allow(clippy::unwrap_used)] // A test ends where something is not as expected.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tidings_consensus::{
    ApplyContext, Engine, EngineOptions, Error, Group, GroupId, MemoryStore, NodeId, ProposeError, StateMachine,
    StateStore, StateView,
};
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Commands are texts. Each is kept under its number and counted, so that a lost, doubled or reordered one shows; the
/// reply is its number. `effects` gets every committed number of a leader.
pub struct Journal {
    next: u64,
    pub effects: Option<tokio::sync::mpsc::Sender<(u64, bool)>>,
    uncommitted: Vec<u64>,
}

impl Journal {
    pub fn new() -> Self {
        Self { next: 0, effects: None, uncommitted: Vec::new() }
    }
}

const COUNT: &[u8] = b"count";

impl StateMachine for Journal {
    type Reply = u64;

    fn apply(&mut self, context: &ApplyContext, command: &[u8], store: &mut dyn StateStore) -> u64 {
        let stored = store.get(COUNT).map_or(0, |count| u64::from_be_bytes(count.as_ref().try_into().unwrap()));
        assert_eq!(stored, self.next, "the cache follows the store");
        let number = self.next;
        self.next += 1;
        store.put(COUNT.to_vec(), Bytes::copy_from_slice(&self.next.to_be_bytes()));
        store.put(key(number), Bytes::copy_from_slice(command));
        // Time goes into the state: replicas that disagree on it differ.
        let time = store.get(b"time").map_or(i64::MIN, |time| i64::from_be_bytes(time.as_ref().try_into().unwrap()));
        assert!(context.now_ms >= time, "time never goes back");
        store.put(b"time".to_vec(), Bytes::copy_from_slice(&context.now_ms.to_be_bytes()));
        self.uncommitted.push(number);
        number
    }

    async fn committed(&mut self, is_leader: bool) {
        for number in self.uncommitted.drain(..) {
            if let Some(effects) = &self.effects {
                effects.send((number, is_leader)).await.ok();
            }
        }
    }

    fn restored(&mut self, view: &StateView) -> Result<(), Error> {
        self.next = count(view)?;
        self.uncommitted.clear();
        Ok(())
    }
}

fn key(number: u64) -> Vec<u8> {
    [b"entry/".as_slice(), &number.to_be_bytes()].concat()
}

pub fn count(view: &StateView) -> Result<u64, Error> {
    Ok(view.get(COUNT)?.map_or(0, |count| u64::from_be_bytes(count.as_ref().try_into().unwrap())))
}

/// Everything in the state, for comparison.
pub fn dump(view: &StateView) -> Vec<(Bytes, Bytes)> {
    view.scan(b"", &[0xff; 8], usize::MAX).unwrap()
}

/// The texts, in their order.
pub fn texts(view: &StateView) -> Vec<String> {
    let stored = view.scan(b"entry/", b"entry0", usize::MAX).unwrap();
    stored.into_iter().map(|(_, text)| String::from_utf8(text.to_vec()).unwrap()).collect()
}

pub fn text(text: impl Into<String>) -> Bytes {
    Bytes::from(text.into())
}

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("timed out: {what}"))
}

/// Waits until the replica says that it leads.
pub async fn until_leader(group: &Group<Journal>) {
    let mut leadership = group.leadership();
    within("leadership", leadership.wait_for(|leadership| leadership.is_leader)).await.unwrap();
}

/// Waits until a replica has applied so many commands.
pub async fn until_count(group: &Group<Journal>, wanted: u64) {
    let view = group.view();
    within("commands to be applied", async {
        while count(&view).unwrap() < wanted {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A group of one on a folder.
pub async fn start_alone(dir: &Path) -> (Engine, Group<Journal>) {
    start_alone_with(EngineOptions::new(dir, 1, "test")).await
}

pub async fn start_alone_with(options: EngineOptions) -> (Engine, Group<Journal>) {
    let engine = Engine::open(options).unwrap();
    let group = engine.start_group(GroupId(1), Journal::new()).await.unwrap();
    group.bootstrap(BTreeMap::from([(1, "127.0.0.1:1".to_owned())])).await.unwrap();
    until_leader(&group).await;
    (engine, group)
}

/// A text that does not compress, so that its bytes can be found in a file.
pub fn needle() -> String {
    (0..64).map(|_| char::from(rand::random_range(b'!'..=b'~'))).collect()
}

/// Flips a bit of the needle in the only table of the database that has it, also under a database that is open.
pub fn flip_bit_in_table(database: &Path, needle: &str) {
    let tables = std::fs::read_dir(database).unwrap().flatten().map(|entry| entry.path());
    let tables = tables.filter(|path| path.extension().is_some_and(|extension| extension == "sst"));
    let found: Vec<(PathBuf, usize)> = tables
        .filter_map(|path| {
            let contents = std::fs::read(&path).unwrap();
            let at = contents.windows(needle.len()).position(|window| window == needle.as_bytes())?;
            Some((path, at))
        })
        .collect();
    let [(path, at)] = found.as_slice() else { panic!("found {found:?}") };
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, *at as u64 + 7).unwrap();
    byte[0] ^= 4;
    file.write_all_at(&byte, *at as u64 + 7).unwrap();
}

/// Copies a folder as a crash would leave it: file by file, while it is in use.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A memory store that the same commands are applied to, to compare with.
pub fn replay(commands: &[(ApplyContext, Bytes)]) -> MemoryStore {
    let mut machine = Journal::new();
    let mut store = MemoryStore::default();
    for (context, command) in commands {
        machine.apply(context, command, &mut store);
    }
    store
}

/// One node of a cluster in this process.
pub struct Node {
    pub id: NodeId,
    pub address: SocketAddr,
    pub engine: Engine,
    pub group: Group<Journal>,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

impl Node {
    /// Starts a node; `address` is where it was before, or port 0.
    pub async fn start(options: EngineOptions, address: SocketAddr) -> Self {
        let started = Self::try_start(options, address).await;
        started.unwrap_or_else(|(_, error)| panic!("{error}"))
    }

    /// As [`start`](Self::start); where the group does not start, the node serves without it.
    pub async fn try_start(options: EngineOptions, address: SocketAddr) -> Result<Self, (Ungrouped, Error)> {
        let id = options.node_id;
        let engine = Engine::open(options).unwrap();
        let listener = within("the port", async {
            loop {
                match tokio::net::TcpListener::bind(address).await {
                    Ok(listener) => break listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        })
        .await;
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let router = tonic::transport::Server::builder().add_service(engine.raft_service());
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        // Connections must end too, or the peers would go on talking to what has stopped.
        let server = tokio::spawn(async move { router.serve_with_incoming_shutdown(incoming, stopped).await.unwrap() });
        let node = Ungrouped { id, address, engine, stop, server };
        node.start_group().await
    }

    /// Goes on without the group's handle.
    pub fn without_group(self) -> Ungrouped {
        let Self { id, address, engine, stop, server, group: _ } = self;
        Ungrouped { id, address, engine, stop, server }
    }

    /// Goes off the network and stops; what is stored stays.
    pub async fn stop(self) -> SocketAddr {
        self.stop.cancel();
        self.engine.shutdown().await;
        within("the server to end", self.server).await.unwrap();
        self.address
    }
}

/// A node that serves its peers, without the group.
pub struct Ungrouped {
    pub id: NodeId,
    pub address: SocketAddr,
    pub engine: Engine,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

impl Ungrouped {
    pub async fn start_group(self) -> Result<Node, (Self, Error)> {
        let group = match self.engine.start_group(GroupId(1), Journal::new()).await {
            Ok(group) => group,
            Err(error) => return Err((self, error)),
        };
        let Self { id, address, engine, stop, server } = self;
        Ok(Node { id, address, engine, group, stop, server })
    }
}

/// Three nodes with one group.
pub struct Cluster {
    pub folder: tempfile::TempDir,
    pub nodes: BTreeMap<NodeId, Node>,
    pub options: fn(EngineOptions) -> EngineOptions,
}

impl Cluster {
    pub async fn start(options: fn(EngineOptions) -> EngineOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self { folder, nodes: BTreeMap::new(), options };
        for id in 1..=3 {
            cluster.start_node(id, "127.0.0.1:0".parse().unwrap()).await;
        }
        let members: BTreeMap<NodeId, String> =
            cluster.nodes.values().map(|node| (node.id, node.address.to_string())).collect();
        // Every founding member may do this, and doing it again changes nothing.
        for node in cluster.nodes.values() {
            node.group.bootstrap(members.clone()).await.unwrap();
            node.group.bootstrap(members.clone()).await.unwrap();
        }
        cluster
    }

    pub async fn start_node(&mut self, id: NodeId, address: SocketAddr) {
        self.nodes.insert(id, Node::start(self.options_of(id), address).await);
    }

    pub fn options_of(&self, id: NodeId) -> EngineOptions {
        (self.options)(EngineOptions::new(self.folder.path().join(id.to_string()), id, "test"))
    }

    pub async fn stop_node(&mut self, id: NodeId) -> SocketAddr {
        self.nodes.remove(&id).unwrap().stop().await
    }

    /// The node that leads, once one does.
    pub async fn leader(&self) -> NodeId {
        within("a leader", async {
            loop {
                let leads = |node: &&Node| node.group.leadership().borrow().is_leader;
                if let Some(leader) = self.nodes.values().find(leads) {
                    return leader.id;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    /// Proposes until some leader has applied it; the text tells doubles apart.
    pub async fn propose(&self, command: &Bytes) -> u64 {
        within("a proposal", async {
            loop {
                let leader = self.leader().await;
                match self.nodes[&leader].group.propose(command.clone()).await {
                    Ok(number) => return number,
                    Err(ProposeError::NotLeader { .. } | ProposeError::Unknown) => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        })
        .await
    }
}
