//! One node: the real binary in a process of its own, on free ports and a folder of its own.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tidings_sdk::{Builder, Client, Events};

use crate::certificates::Authority;
use crate::{Control, DEADLINE, RawClient, binary, within};

/// The settings that take an address, by the distance of their port from the node's first.
const LISTENERS: [&str; 4] = ["gateway.listen", "control_plane.listen", "cluster.listen", "admin.listen"];
/// Below the ports that the kernel gives to outgoing connections, so that a restarted node finds its own free.
const FIRST_PORT: u16 = 7700;

/// A node. It is killed, and its folder removed, when it is dropped; its log is printed when the test has failed.
pub struct Node {
    folder: TempDir,
    /// The gateway's; the other listeners follow it.
    address: SocketAddr,
    settings: Vec<String>,
    wrapper: Vec<String>,
    binary: PathBuf,
    process: Option<Child>,
}

impl Node {
    /// A node with the defaults, ready.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A node with `section.key=value` settings, ready.
    pub async fn start_with(settings: &[&str]) -> Self {
        Self::start_under(&[], settings).await
    }

    /// A node started by another command (`strace …`), ready. `{folder}` stands for the node's folder.
    pub async fn start_under(wrapper: &[&str], settings: &[&str]) -> Self {
        let mut node = Self::prepare(wrapper, settings);
        node.launch();
        node.ready().await;
        node
    }

    /// A node whose port for backends speaks TLS, with a certificate of this authority, ready.
    pub async fn start_over_tls(authority: &Authority) -> Self {
        let mut node = Self::prepare(&[], &[]);
        authority.write(node.folder.path(), &node.address.ip().to_string());
        let files = ["cert", "key"].map(|file| (file, node.scratch(&format!("{file}.pem"))));
        node.settings.extend(files.map(|(key, file)| format!("tls.{key}={}", file.display())));
        node.launch();
        node.ready().await;
        node
    }

    /// The same before it is launched: its addresses are known.
    pub fn prepare(wrapper: &[&str], settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().display().to_string();
        let wrapper = wrapper.iter().map(|part| part.replace("{folder}", &path)).collect();
        let settings = settings.iter().map(ToString::to_string).collect();
        let binary = binary::tidings().clone();
        Self { folder, address: unused_address(), settings, wrapper, binary, process: None }
    }

    /// From the next launch on it is this binary, of another release.
    pub fn run(&mut self, binary: &Path) {
        binary.clone_into(&mut self.binary);
    }

    /// Starts the process, on the same ports and folder as before.
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "the node is running");
        let log = File::options().create(true).append(true).open(self.log_path()).expect("the log can be written");
        let mut words = self.wrapper.clone();
        words.push(self.binary.display().to_string());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("standalone").arg("--data").arg(self.data());
        for (index, key) in LISTENERS.iter().enumerate() {
            command.arg("--set").arg(format!("{key}={}", self.listener(index)));
        }
        command.arg("--set").arg(format!("cluster.advertise={}", self.address.ip()));
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        let error_log = log.try_clone().expect("a file handle");
        command.stdin(Stdio::null()).stdout(log).stderr(error_log);
        self.process = Some(command.spawn().unwrap_or_else(|error| panic!("{}: {error}", words[0])));
    }

    /// Waits until `/readyz` says so.
    pub async fn ready(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        while !self.get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            if let Some(status) = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten()) {
                panic!("the node ended while starting, with {status}");
            }
            assert!(Instant::now() < deadline, "the node is not ready after {DEADLINE:?}");
            // Nothing outside the process announces that it is ready: it has to be asked.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `kill -9`; what the node had in memory is gone.
    pub fn kill9(&mut self) {
        let mut process = self.process.take().expect("the node is running");
        end(&mut process);
    }

    /// Asks the node to end, and waits for it.
    pub async fn terminate(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the node is running");
        let killed = Command::new("kill").arg("-TERM").arg(process.id().to_string()).status();
        assert!(killed.expect("kill can be started").success());
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = process.try_wait().expect("the process can be asked") {
                return status;
            }
            if Instant::now() > deadline {
                process.kill().expect("the process can be killed");
                panic!("the node does not end after SIGTERM");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `kill -9`, and a new process on the same folder, ready.
    pub async fn restart_after_kill9(&mut self) {
        self.kill9();
        self.launch();
        self.ready().await;
    }

    /// Where clients connect.
    pub fn gateway_url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// The client port.
    pub fn gateway_address(&self) -> SocketAddr {
        self.address
    }

    /// Where backends call.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.listener(1))
    }

    /// Where other nodes call.
    pub fn cluster_address(&self) -> SocketAddr {
        self.listener(2)
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder of the test's own, beside the data.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The operator's key.
    pub fn operator_key(&self) -> String {
        fs::read_to_string(self.data().join("operator.key")).expect("the operator's key").trim().to_owned()
    }

    /// The control plane, with the operator's key.
    pub async fn control(&self) -> Control {
        Control::connect(&self.control_url(), &self.operator_key()).await
    }

    /// A client of the SDK that comes back quickly.
    pub fn client(&self, token: &str, device: &str) -> Builder {
        let quickly = Duration::from_millis(50);
        Client::builder(self.gateway_url(), token).device(device).backoff(quickly, quickly * 4)
    }

    /// The same, when it is online, with what it is told.
    pub async fn online(&self, token: &str, device: &str) -> (Client, Events) {
        let (client, events) = self.client(token, device).connect().unwrap();
        within(DEADLINE, "a client is online", client.online()).await.unwrap();
        (client, events)
    }

    /// A WebSocket without the SDK.
    pub async fn raw(&self) -> RawClient {
        RawClient::open(self.gateway_address()).await
    }

    /// The process's number.
    pub fn process_id(&self) -> u32 {
        self.process.as_ref().expect("the node is running").id()
    }

    /// Resident memory of the process, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process_id())).expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().expect("a number of kB");
        kib * 1024
    }

    /// A counter or gauge of `/metrics`, summed over its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics").expect("the admin port answers");
        let samples =
            page.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// `GET` on the admin port; `None` when nobody answers.
    pub fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect_timeout(&self.listener(3), Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn listener(&self, index: usize) -> SocketAddr {
        let index = u16::try_from(index).expect("a handful of listeners");
        SocketAddr::new(self.address.ip(), self.address.port() + index)
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            end(&mut process);
        }
        if std::thread::panicking() {
            let log = fs::read_to_string(self.log_path()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(200)..];
            println!("--- the node's log, {} of {} lines ---\n{}", last.len(), lines.len(), last.join("\n"));
        }
    }
}

/// Kills a process and, where it is a wrapper such as strace, the node that it started.
fn end(process: &mut Child) {
    let id = process.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    // Killing fails only where the process has ended already.
    let _ = process.kill();
    for child in children.split_whitespace() {
        let _ = Command::new("kill").args(["-KILL", child]).status();
    }
    process.wait().expect("a killed process ends");
}

/// A loopback address of this process's own, and ports of this node's own: nodes of tests that run at the same time
/// cannot meet.
fn unused_address() -> SocketAddr {
    static NODES: AtomicU16 = AtomicU16::new(0);
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let port = FIRST_PORT + 10 * NODES.fetch_add(1, Ordering::Relaxed);
    SocketAddr::from(([127, a | 0x40, b, c], port))
}
