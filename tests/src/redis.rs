//! A Redis server in a process of its own: started, killed, paused.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::DEADLINE;

/// Below the ports that the kernel gives to outgoing connections.
const FIRST_PORT: u16 = 6400;

/// A server without persistence. It is killed when it is dropped.
pub struct Redis {
    address: SocketAddr,
    folder: TempDir,
    process: Option<Child>,
}

impl Redis {
    /// Starts a server and waits until it takes connections.
    pub async fn start() -> Self {
        static SERVERS: AtomicU16 = AtomicU16::new(0);
        let port = FIRST_PORT + SERVERS.fetch_add(1, Ordering::Relaxed);
        let address = SocketAddr::new(tidings_audit::loopback(), port);
        let mut redis = Self { address, folder: tempfile::tempdir().expect("a temporary folder"), process: None };
        redis.launch().await;
        redis
    }

    /// Starts it again, empty, where it was.
    pub async fn launch(&mut self) {
        assert!(self.process.is_none(), "the server is running");
        let mut command = Command::new("redis-server");
        command.args(["--bind", &self.address.ip().to_string(), "--port", &self.address.port().to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = command.spawn();
        self.process = Some(started.expect("redis-server, which `scripts/setup test` installs"));
        let deadline = Instant::now() + DEADLINE;
        while TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_err() {
            assert!(Instant::now() < deadline, "Redis does not listen on {}", self.address);
            // Nothing outside the process announces that it listens.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// `kill -9`.
    pub fn kill9(&mut self) {
        let mut process = self.process.take().expect("the server is running");
        process.kill().expect("a process can be killed");
        process.wait().expect("a killed process ends");
    }

    /// Stops it in the middle of whatever it does; connections stay open.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// For `gateway.redis_url`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    fn signal(&self, signal: &str) {
        let id = self.process.as_ref().expect("the server is running").id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.expect("kill can be started").success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill9();
        }
    }
}
