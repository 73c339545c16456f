//! One process of the cluster, with its folder, its ports and its log: started, killed, paused, asked.

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::file_system::FileSystem;
use super::hosts::Host;
use super::plan::Role;

/// How long a process may take to be ready, and to end after SIGTERM, on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Nothing outside a process announces that it is ready, or that it has ended: it is asked this often.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// An answer of the admin port takes no longer, unless the process is paused or cut off.
const ANSWER: Duration = Duration::from_secs(2);
/// Lines of the log in an error.
const LOG_LINES: usize = 25;

/// One process of the cluster. It is killed when it is dropped.
#[derive(Debug)]
pub struct Member {
    role: Role,
    node: u64,
    host: Host,
    folder: PathBuf,
    file_system: Option<FileSystem>,
    binary: Mutex<PathBuf>,
    settings: Vec<String>,
    environment: Vec<(String, String)>,
    process: Mutex<Option<Child>>,
}

/// What a member is made of.
pub(super) struct Parts {
    pub(super) role: Role,
    pub(super) node: u64,
    pub(super) host: Host,
    pub(super) folder: PathBuf,
    pub(super) file_system: Option<FileSystem>,
    pub(super) binary: PathBuf,
    pub(super) settings: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
}

impl Member {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { role, node, host, folder, file_system, binary, settings, mut environment } = parts;
        for (_, value) in &mut environment {
            *value = value.replace("{folder}", &folder.display().to_string());
        }
        let (binary, process) = (Mutex::new(binary), Mutex::new(None));
        Self { role, node, host, folder, file_system, binary, settings, environment, process }
    }

    /// What it does.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its number in the cluster.
    pub fn node(&self) -> u64 {
        self.node
    }

    /// `broker-4`, for people.
    pub fn name(&self) -> String {
        format!("{}-{}", self.role, self.node)
    }

    /// Its own folder: the log, the data, and whatever a test keeps beside them.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where it stores.
    pub fn data(&self) -> PathBuf {
        self.file_system.as_ref().map_or(self.folder.as_path(), FileSystem::path).join("data")
    }

    /// The file system that it stores on, where the plan gave it one of its own.
    pub fn file_system(&self) -> Result<&FileSystem> {
        self.file_system.as_ref().with_context(|| format!("{} has no file system of its own", self.name()))
    }

    /// What the process has written.
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// The address that it listens on.
    pub fn address(&self) -> IpAddr {
        self.host.address
    }

    /// Where clients connect, of a gateway.
    pub fn gateway_url(&self) -> String {
        format!("ws://{}", self.host.gateway())
    }

    /// Where backends call, of a control-plane node.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.host.control_plane())
    }

    /// Where other nodes call.
    pub fn node_address(&self) -> SocketAddr {
        self.host.nodes()
    }

    /// From the next start on it is this binary, of another release.
    pub fn run(&self, binary: &Path) {
        *self.binary.lock() = binary.to_owned();
    }

    /// Starts the process, on the folder and the ports that it had before.
    pub fn launch(&self) -> Result<()> {
        let mut process = self.process.lock();
        ensure!(process.is_none(), "{} is running", self.name());
        let log = File::options().create(true).append(true).open(self.log()).context("opening a log")?;
        let mut command = self.command(self.role.subcommand());
        command.stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log);
        *process = Some(command.spawn().with_context(|| format!("starting {}", self.name()))?);
        Ok(())
    }

    /// Runs a command of the binary that works on the data of a node that does not run (`recover`); answers what it
    /// printed.
    pub fn run_offline(&self, subcommand: &str, arguments: &[&str]) -> Result<String> {
        let output = self.command(subcommand).args(arguments).output().context("starting the binary")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The binary with this node's configuration.
    fn command(&self, subcommand: &str) -> Command {
        let mut command = self.host.command(&self.binary.lock());
        command.arg(subcommand).arg("--data").arg(self.data());
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the process and waits until it serves.
    pub async fn start(&self) -> Result<()> {
        self.launch()?;
        self.ready().await
    }

    /// `kill -9` where it still runs, a new process on the same folder, ready.
    pub async fn restart(&self) -> Result<()> {
        self.stop_at_once();
        self.start().await
    }

    /// `kill -9`; what the process had in memory is gone.
    pub fn kill9(&self) -> Result<()> {
        ensure!(self.stop_at_once(), "{} is not running", self.name());
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    pub async fn terminate(&self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                self.stop_at_once();
                bail!("{} did not end within {DEADLINE:?} of SIGTERM", self.name());
            }
            sleep(ASK_EVERY).await;
        }
    }

    /// SIGSTOP: it does nothing any more, and does not know it.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let (id, deadline) = (self.process_id()?, Instant::now() + DEADLINE);
        // A thread that runs on another processor goes on for a moment.
        while !is_stopped(id) {
            ensure!(Instant::now() < deadline, "{} was not stopped within {DEADLINE:?}", self.name());
            std::thread::yield_now();
        }
        Ok(())
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Whether there is a process, paused or not.
    pub fn is_running(&self) -> bool {
        matches!((self.ended(), self.process_id()), (Ok(None), Ok(_)))
    }

    /// The process's number.
    pub fn process_id(&self) -> Result<u32> {
        let process = self.process.lock();
        Ok(process.as_ref().with_context(|| format!("{} is not running", self.name()))?.id())
    }

    /// Waits until `/readyz` says that it serves.
    pub async fn ready(&self) -> Result<()> {
        let deadline = Instant::now() + DEADLINE;
        while !self.is_ready().await {
            if let Some(status) = self.ended()? {
                bail!("{} ended while it was waited for, with {status}; its last lines:\n{}", self.name(), self.tail());
            }
            let late = Instant::now() > deadline;
            ensure!(!late, "{} is not ready after {DEADLINE:?}; its last lines:\n{}", self.name(), self.tail());
            sleep(ASK_EVERY).await;
        }
        Ok(())
    }

    /// Whether `/readyz` says that it serves.
    pub async fn is_ready(&self) -> bool {
        self.get("/readyz").await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// Waits until `/healthz` says that the process will not serve again.
    pub async fn unhealthy(&self) -> Result<()> {
        let deadline = Instant::now() + DEADLINE;
        while !self.get("/healthz").await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 503")) {
            ensure!(Instant::now() < deadline, "{} noticed nothing within {DEADLINE:?}", self.name());
            sleep(ASK_EVERY).await;
        }
        Ok(())
    }

    /// A counter or gauge of `/metrics`, summed over its labels; 0 where there is none.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let page = self.get("/metrics").await?;
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let samples = page.lines().filter(of_name);
        Ok(samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// The answer of the admin port to a `GET`, with its head.
    pub async fn get(&self, path: &str) -> Result<String> {
        let ask = async {
            let mut stream = TcpStream::connect(self.host.admin()).await?;
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = timeout(ANSWER, ask).await.with_context(|| format!("{} does not answer", self.name()))?;
        answer.with_context(|| format!("asking {} for {path}", self.name()))
    }

    /// The last lines of the log.
    pub fn tail(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// How the process ended by itself, if it did; then it can be launched again.
    fn ended(&self) -> Result<Option<ExitStatus>> {
        let mut process = self.process.lock();
        let status = process.as_mut().map(Child::try_wait).transpose()?.flatten();
        if status.is_some() {
            *process = None;
        }
        Ok(status)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process.lock();
        let child = process.as_ref().with_context(|| format!("{} is not running", self.name()))?;
        kill_process(Pid::from_child(child), signal).with_context(|| format!("signalling {}", self.name()))
    }

    /// Whether there was a process to kill.
    pub(super) fn stop_at_once(&self) -> bool {
        let Some(mut child) = self.process.lock().take() else { return false };
        // Both fail only where it has ended already.
        let _ = child.kill();
        let _ = child.wait();
        true
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop_at_once();
    }
}

/// Runs a program to its end; its complaint is the error.
pub(super) fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("starting {program}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {}", arguments.join(" "), complaint.trim());
    Ok(())
}

/// Whether no thread of a process runs.
fn is_stopped(id: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else { return true };
    threads.flatten().all(|thread| {
        // Its name, in parentheses, may hold anything. One that is gone has no state.
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 't', 'Z', 'X']))
    })
}
