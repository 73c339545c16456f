//! A cluster of the real binary on this machine: control-plane nodes, brokers and gateways, each a process of its own that
//! can be killed, paused, cut off, or have its disk fail. Nothing of it is left when it is dropped.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use tidings_audit::{LocalCluster, Plan};
//!
//! let cluster = LocalCluster::start(Plan::default()).await?;
//! cluster.broker(0).kill9()?;
//! cluster.broker(0).restart().await?;
//! cluster.ready().await?;
//! # Ok(())
//! # }
//! ```

mod file_system;
mod hosts;
mod member;
mod network;
mod plan;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use file_system::FileSystem;
use hosts::Host;
pub use hosts::loopback;
pub use member::{DEADLINE, Member};
pub use network::Network;
pub use plan::{Placement, Plan, Role, Storage};

/// The running processes, with everything they need.
#[derive(Debug)]
pub struct LocalCluster {
    plan: Plan,
    members: Mutex<Vec<Arc<Member>>>,
    /// Never used again, also when its node is forgotten.
    last_node: AtomicU64,
    /// `number@address` of each control-plane node, as they found the cluster.
    founders: Vec<String>,
    network: Option<Network>,
    /// Last: the members' folders lie in it.
    folder: TempDir,
}

impl LocalCluster {
    /// Starts all processes together and waits until every one of them serves.
    pub async fn start(plan: Plan) -> Result<Self> {
        ensure!(plan.binary.is_file(), "{} is no program; TIDINGS_BIN names the binary", plan.binary.display());
        let folder = tempfile::Builder::new().prefix("tidings-audit-").tempdir()?;
        let network = match plan.placement {
            Placement::Loopback => None,
            Placement::Namespaces => Some(Network::make()?),
        };
        let (members, last_node, founders) = (Mutex::default(), AtomicU64::new(0), Vec::new());
        let mut cluster = Self { plan, members, last_node, founders, network, folder };
        let hosts: Vec<Host> = (0..cluster.plan.control_planes).map(|_| cluster.host()).collect::<Result<_>>()?;
        cluster.founders = (1..).zip(&hosts).map(|(node, host)| format!("{node}@{}", host.nodes())).collect();
        for host in hosts {
            cluster.admit(Role::ControlPlane, host)?;
        }
        let others = [(Role::Broker, cluster.plan.brokers), (Role::Gateway, cluster.plan.gateways)];
        for (role, count) in others {
            for _ in 0..count {
                cluster.admit(role, cluster.host()?)?;
            }
        }
        for member in cluster.members() {
            member.launch()?;
        }
        cluster.ready().await?;
        Ok(cluster)
    }

    /// Waits until every running process serves.
    pub async fn ready(&self) -> Result<()> {
        for member in self.members().iter().filter(|member| member.is_running()) {
            member.ready().await?;
        }
        Ok(())
    }

    /// Waits until every shard has a leader and all its replicas where they are wanted, as `tidings cluster status`
    /// says.
    pub async fn settled(&self) -> Result<()> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let status = self.operate(&["cluster", "status", "--json"]).await?;
            let status: serde_json::Value = serde_json::from_str(&status).context("reading the cluster's status")?;
            let shards = status["shards"].as_array().context("the cluster's status lists no shards")?;
            if shards.iter().all(|shard| shard["settled"] == true) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "not every shard has settled after {DEADLINE:?}: {status}");
            // The cluster says what it is doing only when it is asked.
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// All processes: control-plane nodes, brokers, gateways, then those that were added.
    pub fn members(&self) -> Vec<Arc<Member>> {
        self.members.lock().clone()
    }

    /// The processes of a role, in the order of their numbers.
    pub fn of(&self, role: Role) -> Vec<Arc<Member>> {
        self.members().into_iter().filter(|member| member.role() == role).collect()
    }

    /// The control-plane node of this index. Panics where there is none, as with a slice.
    pub fn control_plane(&self, index: usize) -> Arc<Member> {
        self.of(Role::ControlPlane)[index].clone()
    }

    /// The broker of this index. Panics where there is none.
    pub fn broker(&self, index: usize) -> Arc<Member> {
        self.of(Role::Broker)[index].clone()
    }

    /// The gateway of this index. Panics where there is none.
    pub fn gateway(&self, index: usize) -> Arc<Member> {
        self.of(Role::Gateway)[index].clone()
    }

    /// Where clients connect.
    pub fn gateway_urls(&self) -> Vec<String> {
        self.of(Role::Gateway).iter().map(|gateway| gateway.gateway_url()).collect()
    }

    /// Where backends call.
    pub fn control_urls(&self) -> Vec<String> {
        self.of(Role::ControlPlane).iter().map(|node| node.control_url()).collect()
    }

    /// The operator's key, which the node that founded the cluster wrote to its data folder.
    pub fn operator_key(&self) -> Result<String> {
        let files = self.of(Role::ControlPlane).into_iter().map(|node| node.data().join("operator.key"));
        let key = files.filter_map(|file| fs::read_to_string(file).ok()).next();
        Ok(key.context("no control-plane node has the operator's key")?.trim().to_owned())
    }

    /// The network between the nodes, where they were placed in namespaces.
    pub fn network(&self) -> Result<&Network> {
        self.network.as_ref().context("this cluster was not placed in namespaces")
    }

    /// Opens every cut, and makes every slow cable fast again.
    pub fn heal_network(&self) -> Result<()> {
        self.network()?.heal(&self.members())
    }

    /// Starts one more broker, and waits until it serves.
    pub async fn add_broker(&self) -> Result<Arc<Member>> {
        let broker = self.admit(Role::Broker, self.host()?)?;
        broker.start().await?;
        Ok(broker)
    }

    /// Kills a process, if it still runs, and forgets it with all that it stored.
    pub fn forget(&self, member: &Member) -> Result<()> {
        member.stop_at_once();
        self.members.lock().retain(|other| other.node() != member.node());
        self.network.as_ref().map_or(Ok(()), |network| network.remove(member))
    }

    /// Runs an operator's command of the binary (`cluster status`) against a control-plane node that runs, until it
    /// succeeds or [`DEADLINE`] is over; answers what it printed.
    pub async fn operate(&self, arguments: &[&str]) -> Result<String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let complaint = match self.operate_once(arguments).await {
                Ok(answer) => return Ok(answer),
                Err(complaint) => complaint,
            };
            if Instant::now() > deadline {
                return Err(complaint.context(format!("not within {DEADLINE:?}: tidings {}", arguments.join(" "))));
            }
            // A cluster that has just lost a node says no for a moment; nothing tells when that is over.
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// As [`operate`](Self::operate), once: what is refused is refused.
    pub async fn operate_once(&self, arguments: &[&str]) -> Result<String> {
        let nodes = self.of(Role::ControlPlane);
        let node = nodes.iter().find(|node| node.is_running()).context("no control-plane node runs")?;
        let mut command = Command::new(&self.plan.binary);
        command.args(arguments).env("TIDINGS_CONTROL", node.control_url()).env("TIDINGS_API_KEY", self.operator_key()?);
        let output = command.kill_on_drop(true).output().await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Copies the log of every process into a folder.
    pub fn keep_logs(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        for member in self.members() {
            fs::copy(member.log(), folder.join(format!("{}.log", member.name())))?;
        }
        Ok(())
    }

    fn host(&self) -> Result<Host> {
        self.network.as_ref().map_or_else(|| Ok(Host::on_loopback()), Network::host)
    }

    /// Makes the folder of one more process, which is not started yet.
    fn admit(&self, role: Role, host: Host) -> Result<Arc<Member>> {
        let node = self.last_node.fetch_add(1, Ordering::Relaxed) + 1;
        let folder = self.folder.path().join(format!("{role}-{node}"));
        fs::create_dir_all(&folder)?;
        for (name, content) in &self.plan.files {
            fs::write(folder.join(name), content)?;
        }
        let file_system = match self.plan.storage {
            Storage::FileSystem { mebibytes } if role != Role::Gateway => Some(FileSystem::make(&folder, mebibytes)?),
            _ => None,
        };
        let settings = self.settings(role, node, &host);
        let of_role = self.plan.binaries.iter().rfind(|(of, _)| *of == role).map(|(_, binary)| binary);
        let (binary, environment) = (of_role.unwrap_or(&self.plan.binary).clone(), self.plan.environment.clone());
        let parts = member::Parts { role, node, host, folder, file_system, binary, settings, environment };
        let member = Arc::new(Member::new(parts));
        self.members.lock().push(member.clone());
        Ok(member)
    }

    fn settings(&self, role: Role, node: u64, host: &Host) -> Vec<String> {
        let addresses = self.founders.iter().filter_map(|founder| Some(founder.split_once('@')?.1));
        let mut settings = vec![
            format!("cluster.node={node}"),
            format!("cluster.secret_file={}", self.folder.path().join("cluster.secret").display()),
            format!("cluster.listen={}", host.nodes()),
            format!("cluster.advertise={}", host.address),
            format!("cluster.control_plane={:?}", addresses.collect::<Vec<_>>()),
            format!("admin.listen={}", host.admin()),
        ];
        match role {
            Role::Gateway => settings.push(format!("gateway.listen={}", host.gateway())),
            Role::Broker => {}
            Role::ControlPlane => {
                settings.push(format!("control_plane.listen={}", host.control_plane()));
                settings.push(format!("control_plane.shards={}", self.plan.shards));
                settings.push(format!("control_plane.replication={}", self.plan.replication));
                // A node that founds a cluster alone needs no list.
                if self.founders.len() > 1 {
                    settings.push(format!("control_plane.founders={:?}", self.founders));
                }
            }
        }
        let own = self.plan.settings.iter().filter(|(of, _)| *of == role);
        settings.extend(own.map(|(_, setting)| setting.clone()));
        settings
    }
}

impl Drop for LocalCluster {
    #[allow(clippy::print_stderr)] // A test that fails prints why.
    fn drop(&mut self) {
        let members = std::mem::take(&mut *self.members.lock());
        members.iter().for_each(|member| _ = member.stop_at_once());
        if std::thread::panicking() {
            for member in &members {
                eprintln!("--- last lines of {}:\n{}", member.name(), member.tail());
            }
        }
    }
}
