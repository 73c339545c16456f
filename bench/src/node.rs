//! The node under load: started, asked what it has used, and stopped.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::load::Target;
use crate::process;

/// A running node on ports of its own.
pub struct Node {
    child: Child,
    data: std::path::PathBuf,
    _temporary: Option<tempfile::TempDir>,
    gateway: u16,
    control: u16,
    admin: u16,
}

/// What the servers have used since they started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub cpu_seconds: f64,
    pub bytes_written: f64,
    pub fsyncs: f64,
}

impl std::ops::Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds + other.cpu_seconds,
            bytes_written: self.bytes_written + other.bytes_written,
            fsyncs: self.fsyncs + other.fsyncs,
        }
    }
}

impl std::ops::Sub for Usage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - earlier.cpu_seconds,
            bytes_written: self.bytes_written - earlier.bytes_written,
            fsyncs: self.fsyncs - earlier.fsyncs,
        }
    }
}

impl Node {
    /// Starts the binary as `standalone` and waits until it is ready.
    pub async fn start(binary: &Path, data: Option<&Path>, cpus: Option<&str>) -> Result<Self> {
        let temporary = if data.is_none() { Some(tempfile::tempdir()?) } else { None };
        let folder = data.or(temporary.as_ref().map(tempfile::TempDir::path)).context("a data folder")?.to_owned();
        let [gateway, control, internal, admin] = free_ports()?;
        let mut command = match cpus {
            Some(cpus) => {
                let mut command = Command::new("taskset");
                command.args(["-c", cpus]).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        command.arg("standalone").arg("--data").arg(&folder);
        for (key, port) in [("gateway", gateway), ("control_plane", control), ("cluster", internal), ("admin", admin)] {
            command.arg("--set").arg(format!("{key}.listen=127.0.0.1:{port}"));
        }
        // The load comes from one address and few users; the limits against floods are not what is measured.
        for setting in ["gateway.frames_per_second=1000000", "gateway.sends_per_second=1000000"] {
            command.arg("--set").arg(setting);
        }
        command.arg("--set").arg("telemetry.filter=warn").stdout(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("starting {}", binary.display()))?;
        let mut node = Self { child, data: folder, _temporary: temporary, gateway, control, admin };
        node.wait_until_ready().await?;
        Ok(node)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait()? {
                bail!("the node ended: {status}");
            }
            if matches!(self.get("/readyz").await, Ok(answer) if answer.starts_with("HTTP/1.1 200")) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("the node was not ready within a minute")
    }

    pub fn control_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.control)
    }

    /// The operator's API key, which the node wrote into its data folder.
    pub fn operator_key(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.data.join("operator.key"))?.trim().to_owned())
    }

    /// Where it keeps its data.
    pub fn data(&self) -> std::path::PathBuf {
        self.data.clone()
    }

    /// Its resident memory in MiB.
    pub fn resident_mib(&self) -> Result<f64> {
        process::resident_mib(self.child.id().context("the node has ended")?)
    }

    /// CPU and bytes are the kernel's count of the process; fsyncs are its own.
    async fn used(&self) -> Result<Usage> {
        let id = self.child.id().context("the node has ended")?;
        let metrics = self.get("/metrics").await?;
        let fsyncs = metrics
            .lines()
            .find_map(|line| line.strip_prefix("tidings_consensus_log_fsyncs_total "))
            .context("the node's metrics have no count of fsyncs")?;
        let (cpu_seconds, bytes_written) = (process::cpu_seconds(id)?, process::bytes_written(id)?);
        Ok(Usage { cpu_seconds, bytes_written, fsyncs: fsyncs.trim().parse()? })
    }

    /// A counter of the node's, all its labels together.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let page = self.get("/metrics").await?;
        let samples = page.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' ')?.1.parse::<f64>().ok());
        Ok(samples.sum())
    }

    async fn get(&self, path: &str) -> Result<String> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.admin)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    /// Ends it and waits until it has gone.
    pub async fn stop(mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(())
    }
}

impl Target for Node {
    fn gateway_url(&self, _client: usize) -> String {
        format!("ws://127.0.0.1:{}", self.gateway)
    }

    async fn usage(&self) -> Result<Usage> {
        self.used().await
    }
}

fn free_ports() -> Result<[u16; 4]> {
    // All are held while the others are chosen, so that they differ.
    let listeners: Vec<_> = (0..4).map(|_| std::net::TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let mut ports = [0; 4];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
