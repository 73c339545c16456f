//! A bucket of a server that speaks S3.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tidings_files::{Files, FilesConfig, FilesError, Limits, NewUpload};
use tidings_node::Clock;
use tidings_node::secret::Secret;
use tidings_tests::s3::{self, S3};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OnceCell;

use crate::suite::{self, ALICE, World, content, limits, read, uploaded};

/// One server for all tests of the process; it ends with it.
async fn server() -> &'static S3 {
    static SERVER: OnceCell<S3> = OnceCell::const_new();
    SERVER.get_or_init(S3::seaweedfs).await
}

fn at(endpoint: String) -> FilesConfig {
    FilesConfig {
        s3_bucket: s3::BUCKET.to_owned(),
        s3_endpoint: endpoint,
        s3_access_key_id: s3::KEY_ID.to_owned(),
        s3_secret_access_key: s3::SECRET.into(),
        ..FilesConfig::default()
    }
}

fn open(config: FilesConfig, clock: &Clock) -> Files {
    let secret = Secret::new("the-cluster-secret").unwrap();
    Files::open(config, None, &secret, clock.clone()).unwrap().unwrap()
}

/// A place of its own in the bucket.
struct Bucket {
    config: FilesConfig,
    raw: Arc<dyn ObjectStore>,
    clock: Clock,
}

impl Bucket {
    async fn new() -> Self {
        let prefix = format!("tests/{}", tidings_files::FileId::random());
        let config = FilesConfig { s3_prefix: format!("/{prefix}/"), ..at(server().await.endpoint()) };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let raw = AmazonS3Builder::new()
            .with_endpoint(&config.s3_endpoint)
            .with_allow_http(true)
            .with_bucket_name(s3::BUCKET)
            .with_region("us-east-1")
            .with_access_key_id(s3::KEY_ID)
            .with_secret_access_key(s3::SECRET);
        let raw = Arc::new(PrefixStore::new(raw.build().unwrap(), prefix));
        Self { config, raw, clock: Clock::manual(Clock::system().now_ms()) }
    }
}

impl World for Bucket {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    async fn gateway(&self) -> Files {
        let files = open(self.config.clone(), &self.clock);
        files.check().await.unwrap();
        files
    }

    async fn objects(&self) -> Vec<String> {
        let found: Vec<_> = self.raw.list(None).try_collect().await.unwrap();
        found.into_iter().map(|object| object.location.to_string()).collect()
    }

    async fn put(&self, path: &str, bytes: &[u8]) {
        self.raw.put(&Path::from(path), bytes.to_vec().into()).await.unwrap();
    }

    async fn remove(&self, path: &str) {
        self.raw.delete(&Path::from(path)).await.unwrap();
    }
}

suite::holds!(Bucket::new().await);

async fn refused(config: FilesConfig) -> String {
    let files = open(config, &Clock::system());
    let checked = files.check().await.unwrap_err();
    let new = NewUpload { size: 1, ..NewUpload::default() };
    let refused = files.create(ALICE, new, &limits()).await.unwrap_err();
    assert!(matches!(&refused, FilesError::Unusable(reason) if **reason == *checked.to_string()), "{refused}");
    checked.to_string()
}

#[tokio::test]
async fn a_bucket_that_cannot_be_used_is_told_by_its_fault() {
    let good = at(server().await.endpoint());
    let key = FilesConfig { s3_access_key_id: "another-key".to_owned(), ..good.clone() };
    assert!(refused(key).await.starts_with("the store of files refuses (InvalidAccessKeyId: "));
    let secret = FilesConfig { s3_secret_access_key: "another-secret-of-nobody".into(), ..good.clone() };
    let told = refused(secret).await;
    assert!(
        told.starts_with("the store of files refuses (SignatureDoesNotMatch: ") && !told.contains("nobody"),
        "{told}"
    );
    let reader = FilesConfig {
        s3_access_key_id: s3::READER_ID.to_owned(),
        s3_secret_access_key: s3::READER_SECRET.into(),
        ..good.clone()
    };
    assert!(refused(reader).await.starts_with("the store of files refuses (AccessDenied: "));
    let bucket = FilesConfig { s3_bucket: "another".to_owned(), ..good.clone() };
    assert!(refused(bucket).await.starts_with("there is no such bucket (NoSuchBucket: "));
    // A server that hangs up.
    let held = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = held.local_addr().unwrap();
    let hanging_up = tokio::spawn(async move { while held.accept().await.is_ok() {} });
    let told = refused(FilesConfig { s3_endpoint: format!("http://{address}"), ..good }).await;
    assert!(told.starts_with("the store of files fails ("), "{told}");
    hanging_up.abort();
}

#[tokio::test]
async fn a_server_that_overwrites_is_not_used() {
    let rclone = S3::rclone().await;
    let told = refused(at(rclone.endpoint())).await;
    assert_eq!(told, FilesError::Overwrites.to_string());
}

#[tokio::test]
async fn what_was_wrong_at_first_may_be_right_later() {
    let mut server = S3::seaweedfs().await;
    server.kill9();
    let files = open(at(server.endpoint()), &Clock::system());
    assert!(matches!(files.check().await, Err(FilesError::Store(_))));
    server.launch().await;
    files.check().await.unwrap();
    let bytes = content(100);
    let id = uploaded(&files, bytes.clone()).await;
    // A look that fails later keeps nobody from trying.
    server.kill9();
    assert!(files.check().await.is_err());
    assert!(matches!(files.file("app", &id).await, Err(FilesError::Store(_))));
    server.launch().await;
    assert!(read(&files, &id, 0..100).await == bytes);
}

#[tokio::test]
async fn the_secret_may_be_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    Secret::new(s3::SECRET).unwrap().write(&file).unwrap();
    let of_file = |file| FilesConfig {
        s3_secret_access_key: "".into(),
        s3_secret_access_key_file: file,
        ..at("http://127.0.0.1:1".to_owned())
    };
    let config = FilesConfig { s3_endpoint: server().await.endpoint(), ..of_file(file) };
    open(config, &Clock::system()).check().await.unwrap();
    let secret = Secret::new("the-cluster-secret").unwrap();
    let missing = Files::open(of_file(folder.path().join("none")), None, &secret, Clock::system());
    assert!(matches!(missing, Err(FilesError::Config(reason)) if reason.contains("does not exist")));
}

/// Forwards to the server, and ends each connection after so many bytes of its answers.
async fn breaking(target: SocketAddr, after: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(target).await.unwrap();
            tokio::spawn(async move {
                let (mut requests, mut out) = client.split();
                let (answers, mut into) = server.split();
                let mut answers = answers.take(after);
                tokio::select! {
                    _ = tokio::io::copy(&mut requests, &mut into) => {}
                    _ = tokio::io::copy(&mut answers, &mut out) => {}
                }
                let _ = out.shutdown().await;
            });
        }
    });
    address
}

#[tokio::test]
async fn reading_goes_on_over_connections_that_break() {
    let world = Bucket::new().await;
    let bytes = content(4 << 20);
    let id = uploaded(&world.gateway().await, bytes.clone()).await;
    // Eight connections for one part: more often than one request is repeated.
    let endpoint = format!("http://{}", breaking(server().await.address(), 600 << 10).await);
    let files = open(FilesConfig { s3_endpoint: endpoint, ..world.config.clone() }, &world.clock);
    files.check().await.unwrap();
    assert!(read(&files, &id, 0..4 << 20).await == bytes);
    assert!(read(&files, &id, 100..2_000_000).await == bytes[100..2_000_000]);
    // One that brings nothing ends.
    let endpoint = format!("http://{}", breaking(server().await.address(), 0).await);
    let files = open(FilesConfig { s3_endpoint: endpoint, ..world.config.clone() }, &world.clock);
    assert!(matches!(files.check().await, Err(FilesError::Store(_) | FilesError::Slow)));
}

/// Forwards to the server, but for the first requests that put something: they are told that another one is about to,
/// as Amazon's S3 tells one of two who create at the same moment.
async fn conflicting(target: SocketAddr, conflicts: Arc<AtomicUsize>) -> SocketAddr {
    const CONFLICT: &str = "<Error><Code>ConditionalRequestConflict</Code></Error>";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let conflicts = Arc::clone(&conflicts);
            tokio::spawn(async move {
                let mut verb = [0; 1];
                client.peek(&mut verb).await.unwrap();
                let less = |left: usize| left.checked_sub(1);
                if verb == *b"P" && conflicts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
                    let head =
                        format!("HTTP/1.1 409 Conflict\r\nConnection: close\r\nContent-Length: {}", CONFLICT.len());
                    client.write_all(format!("{head}\r\n\r\n{CONFLICT}").as_bytes()).await.unwrap();
                    client.shutdown().await.unwrap();
                    // What was sent is read, so that the answer is not lost.
                    let _ = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
                    return;
                }
                let mut server = TcpStream::connect(target).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn creating_goes_on_where_another_one_is_about_to() {
    let world = Bucket::new().await;
    let conflicts = Arc::new(AtomicUsize::new(1));
    let endpoint = format!("http://{}", conflicting(server().await.address(), Arc::clone(&conflicts)).await);
    // The look creates something twice: it comes through, and is told that it is there.
    let files = open(FilesConfig { s3_endpoint: endpoint, ..world.config.clone() }, &world.clock);
    files.check().await.unwrap();
    assert_eq!(conflicts.load(Ordering::SeqCst), 0);
    assert_eq!(world.objects().await, [""; 0], "a look leaves nothing");
}

#[tokio::test]
async fn a_killed_server_costs_a_request_and_nothing_that_was_stored() {
    let mut server = S3::seaweedfs().await;
    let files = open(at(server.endpoint()), &Clock::system());
    files.check().await.unwrap();
    let bytes = content(10 << 20);
    let new = NewUpload { size: 10 << 20, ..NewUpload::default() };
    let limits = Limits { max_bytes: 10 << 20, types: Vec::new() };
    let (id, _) = files.create(ALICE, new, &limits).await.unwrap();
    let mut upload = files.resume(ALICE, &id, 0).await.unwrap();
    upload.push(bytes.slice(..5 << 20)).await.unwrap();
    server.kill9();
    assert!(matches!(upload.finish().await, Err(FilesError::Store(_))));
    server.launch().await;
    assert_eq!(files.progress(ALICE, &id).await.unwrap().offset, 4 << 20);
    suite::send(&files, ALICE, &id, 4 << 20, bytes.slice(4 << 20..)).await.unwrap();
    assert!(read(&files, &id, 0..10 << 20).await == bytes);
}
