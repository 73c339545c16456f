//! What a local cluster is to be.

use std::fmt;
use std::path::PathBuf;

/// What a process does in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Registry and placement.
    ControlPlane,
    /// Shards.
    Broker,
    /// Clients' connections.
    Gateway,
}

impl Role {
    /// The subcommand of the binary.
    pub fn subcommand(self) -> &'static str {
        match self {
            Self::ControlPlane => "control-plane",
            Self::Broker => "broker",
            Self::Gateway => "gateway",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.subcommand())
    }
}

/// Where the processes listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Placement {
    /// On one loopback address, on ports of their own.
    #[default]
    Loopback,
    /// Each in a network namespace with an address of its own, on a bridge that can cut them off. Needs
    /// [`crate::isolation`].
    Namespaces,
}

/// What brokers and control-plane nodes store on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    /// A folder of the cluster's temporary folder.
    #[default]
    Folder,
    /// An ext4 file system of its own for each node, of so many MiB, that can be filled up and have its power cut.
    /// Needs root.
    FileSystem {
        /// Its size.
        mebibytes: u64,
    },
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The `tidings` binary.
    pub binary: PathBuf,
    /// Another release's for all of a role; the last one of a role counts. Operators' commands are `binary`'s.
    pub binaries: Vec<(Role, PathBuf)>,
    /// How many control-plane nodes.
    pub control_planes: usize,
    /// How many brokers.
    pub brokers: usize,
    /// How many gateways.
    pub gateways: usize,
    /// Shards of the cluster.
    pub shards: u32,
    /// Replicas of each shard.
    pub replication: u32,
    /// Where the processes listen.
    pub placement: Placement,
    /// What they store on.
    pub storage: Storage,
    /// `section.key=value` for all of a role, after the cluster's own; the last one of a key counts.
    pub settings: Vec<(Role, String)>,
    /// Environment variables of every process; `{folder}` stands for the node's folder.
    pub environment: Vec<(String, String)>,
    /// Files that are in every node's folder before it starts: name and content.
    pub files: Vec<(String, String)>,
}

impl Plan {
    /// The default cluster of a binary: 3 control-plane nodes, 3 brokers, 2 gateways; 8 shards of 3 replicas.
    pub fn of(binary: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            binaries: Vec::new(),
            control_planes: 3,
            brokers: 3,
            gateways: 2,
            shards: 8,
            replication: 3,
            placement: Placement::default(),
            storage: Storage::default(),
            settings: Vec::new(),
            environment: Vec::new(),
            files: Vec::new(),
        }
    }

    /// With another release's binary for all of a role.
    pub fn run(mut self, role: Role, binary: impl Into<PathBuf>) -> Self {
        self.binaries.push((role, binary.into()));
        self
    }

    /// With a setting for all of a role.
    pub fn set(mut self, role: Role, setting: impl Into<String>) -> Self {
        self.settings.push((role, setting.into()));
        self
    }

    /// With a setting for every process.
    pub fn set_all(self, setting: &str) -> Self {
        [Role::ControlPlane, Role::Broker, Role::Gateway].into_iter().fold(self, |plan, role| plan.set(role, setting))
    }
}

impl Default for Plan {
    /// [`Plan::of`] the binary that `TIDINGS_BIN` names, or the one that was built beside the running program.
    fn default() -> Self {
        Self::of(std::env::var_os("TIDINGS_BIN").map_or_else(neighbour, PathBuf::from))
    }
}

/// `<profile>/tidings`, where this is `<profile>/<program>` or `<profile>/deps/<test>`.
fn neighbour() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let folders = own.ancestors().skip(1).map(|folder| folder.join("tidings"));
    folders.take(2).find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("tidings"))
}
