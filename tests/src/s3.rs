//! Servers that speak S3, each in a process of its own: SeaweedFS, which can be killed and started again with what it
//! had, and rclone's, which takes no notice of `If-None-Match: *`.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::DEADLINE;

/// The bucket that every server has.
pub const BUCKET: &str = "tidings";
/// A key that may do everything, and its secret.
pub const KEY_ID: &str = "tidings-key";
pub const SECRET: &str = "a-secret-of-tidings-tests";
/// A key that may only read (SeaweedFS).
pub const READER_ID: &str = "reader-key";
pub const READER_SECRET: &str = "a-secret-of-readers-in-tests";

/// Below the ports that the kernel gives to outgoing connections, above those that other servers of tests use.
const PORTS: std::ops::Range<u16> = 15_000..32_000;
/// What SeaweedFS listens on, and one that is held all the time, so that nobody else takes the others while it is down.
const PORTS_OF_ONE: u16 = 9;
/// Runs what follows; kills it when the standard input ends, as it does with the process that started this.
const WATCHED: &str = r#"exec 3<&0; "$@" </dev/null & server=$!; (read _ <&3; kill -9 $server) & wait $server"#;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Seaweedfs,
    Rclone,
}

/// A server with one bucket. It is killed when it is dropped, or with the process of the test.
pub struct S3 {
    kind: Kind,
    /// The first of its ports.
    first: u16,
    _held: TcpListener,
    folder: TempDir,
    process: Option<Child>,
}

impl S3 {
    /// SeaweedFS, ready.
    pub async fn seaweedfs() -> Self {
        let mut server = Self::prepared(Kind::Seaweedfs);
        server.launch().await;
        let made = server.ask(4, "POST", &format!("/buckets/{BUCKET}/"), b"").await;
        assert_eq!(made, Some(201), "the bucket is made");
        server
    }

    /// `rclone serve s3` over a folder, ready.
    pub async fn rclone() -> Self {
        let mut server = Self::prepared(Kind::Rclone);
        std::fs::create_dir(server.folder.path().join(BUCKET)).expect("a folder");
        server.launch().await;
        server
    }

    fn prepared(kind: Kind) -> Self {
        let (first, held) = unused_ports();
        Self { kind, first, _held: held, folder: tempfile::tempdir().expect("a temporary folder"), process: None }
    }

    /// Starts it, again with what it had, and waits until it takes objects.
    pub async fn launch(&mut self) {
        assert!(self.process.is_none(), "the server is running");
        let log = std::fs::File::options().create(true).append(true).open(self.log()).expect("the log can be written");
        let mut command = Command::new("sh");
        command.args(["-c", WATCHED, "sh"]).arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/s3-server"));
        command.args(self.words());
        command.stdin(Stdio::piped()).stdout(log.try_clone().expect("a file handle")).stderr(log);
        self.process = Some(command.spawn().expect("sh can be started"));
        let deadline = Instant::now() + DEADLINE;
        while !self.is_ready().await {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            let is_late = Instant::now() > deadline;
            assert!(ended.is_none() && !is_late, "no S3 server ({ended:?}): {}", self.told());
            // Nothing outside the process announces that it is ready.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn is_ready(&self) -> bool {
        match self.kind {
            // Its filer takes a file when all of it is there.
            Kind::Seaweedfs => {
                self.ask(4, "PUT", "/ready", b"x").await == Some(201) && self.ask(6, "GET", "/", b"").await.is_some()
            }
            Kind::Rclone => self.ask(6, "GET", "/", b"").await.is_some(),
        }
    }

    /// `kill -9`.
    pub fn kill9(&mut self) {
        let mut process = self.process.take().expect("the server is running");
        drop(process.stdin.take());
        process.wait().expect("the process can be waited for");
        for index in 0..8 {
            for part in ["master-grpc", "volume-grpc", "filer", "filer-grpc", "s3", "s3-grpc"] {
                // Most of the names do not exist.
                let _ = std::fs::remove_file(format!("/tmp/seaweedfs-{part}-{}.sock", self.first + index));
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port(6)
    }

    /// For `files.s3_endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// A node's settings.
    pub fn settings(&self) -> [String; 4] {
        [
            format!("files.s3_bucket={BUCKET}"),
            format!("files.s3_endpoint={}", self.endpoint()),
            format!("files.s3_access_key_id={KEY_ID}"),
            format!("files.s3_secret_access_key={SECRET}"),
        ]
    }

    fn port(&self, index: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.first + index))
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn told(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        log.lines().rev().take(20).collect::<Vec<_>>().join("\n")
    }

    fn words(&self) -> Vec<String> {
        let folder = self.folder.path().display();
        if self.kind == Kind::Rclone {
            let words = format!("rclone serve s3 --config= --addr {} --auth-key {KEY_ID},{SECRET}", self.address());
            return words.split(' ').map(str::to_owned).chain([folder.to_string()]).collect();
        }
        let identity = |name: &str, id: &str, secret: &str, actions: &[&str]| {
            let credentials = serde_json::json!([{ "accessKey": id, "secretKey": secret }]);
            serde_json::json!({ "name": name, "credentials": credentials, "actions": actions })
        };
        let identities = [
            identity("tidings", KEY_ID, SECRET, &["Admin", "Read", "Write", "List"]),
            identity("reader", READER_ID, READER_SECRET, &["Read", "List"]),
        ];
        let config = self.folder.path().join("s3.json");
        let written = std::fs::write(&config, serde_json::json!({ "identities": identities }).to_string());
        written.expect("the identities can be written");
        let ports = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port"];
        let ports = ports.into_iter().chain(["filer.port.grpc", "s3.port", "s3.port.grpc"]);
        // It tells nobody about itself.
        let fixed = "-master.telemetry=false -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.volumeSizeLimitMB=64 -volume.max=40 \
                     -filer -s3 -s3.port.iceberg=0 -s3.port.lance=0 -s3.autoCreateBucket=false -s3.iam=false";
        let mut words: Vec<String> = ["weed", "server"].map(str::to_owned).into();
        words.extend(fixed.split_whitespace().map(str::to_owned));
        words.extend(ports.zip(self.first..).map(|(name, port)| format!("-{name}={port}")));
        words.extend([format!("-dir={folder}"), format!("-s3.config={}", config.display())]);
        words
    }

    /// The status that a request is answered with; none where nobody answers.
    async fn ask(&self, index: u16, method: &str, path: &str, body: &[u8]) -> Option<u16> {
        let address = self.port(index);
        let asking = async {
            let mut stream = TcpStream::connect(address).await.ok()?;
            let head = crate::http::head(address, method, path, &[], body.len());
            stream.write_all(&[head.as_bytes(), body].concat()).await.ok()?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.ok()?;
            String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
        };
        tokio::time::timeout(DEADLINE, asking).await.ok().flatten()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill9();
        }
        if std::thread::panicking() {
            println!("--- what the S3 server said last ---\n{}", self.told());
        }
    }
}

/// The first of ports that nobody has, and the one after them, held.
fn unused_ports() -> (u16, TcpListener) {
    let bind = |port: u16| TcpListener::bind(("127.0.0.1", port)).ok();
    loop {
        let steps = (PORTS.end - PORTS.start) / PORTS_OF_ONE;
        let first = PORTS.start + rand::random_range(0..steps) * PORTS_OF_ONE;
        let free: Option<Vec<_>> = (first..first + PORTS_OF_ONE).map(bind).collect();
        if let Some(held) = free.and_then(|mut listeners| listeners.pop()) {
            return (first, held);
        }
    }
}
