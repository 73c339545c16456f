//! What a browser gets from the client port: the app, what it is told of the gateway, and the demo's sign-in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tidings_gateway::{Accounts, Asset, Demo, SignedIn};
use tidings_proto::ErrorCode;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tonic::Status;

use crate::support::{PATIENCE, World, config};

fn assets(name: &str) -> Option<Asset> {
    let known = ["index.html", "assets/index-1a2b.js"].contains(&name);
    known.then(|| Asset { bytes: Bytes::from(format!("content of {name}")), version: "v1".to_owned() })
}

/// Takes every name and counts.
#[derive(Default)]
struct Book(AtomicUsize);

impl Accounts for Book {
    fn sign_in(&self, name: String) -> BoxFuture<'_, Result<SignedIn, Status>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let user = name.to_lowercase();
        let refused = Err(ErrorCode::PermissionDenied.status("taken"));
        let signed_in = Ok(SignedIn { app: "app".to_owned(), token: format!("token of {user}"), user });
        std::future::ready(if name == "Taken" { refused } else { signed_in }).boxed()
    }
}

async fn world_with_demo(any_host: bool) -> (World, Arc<Book>) {
    let book = Arc::new(Book::default());
    let demo = Demo { accounts: book.clone(), app: "app".to_owned(), any_host };
    let world = World::within(config(), |environment| {
        environment.app = Some(assets);
        environment.demo = Some(demo);
    });
    (world.await, book)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

fn sign_in(host: &str, origin: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /demo/sign-in HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_and_its_configuration_are_served() {
    let (world, _) = world_with_demo(false).await;
    for path in ["/", "/chats/bob"] {
        let index = world.http(&get(path)).await;
        assert!(index.starts_with("HTTP/1.1 200") && index.ends_with("content of index.html"), "{index}");
        assert!(index.contains("content-security-policy: default-src 'none'"), "{index}");
        assert!(index.contains("x-content-type-options: nosniff"), "{index}");
    }
    let script = world.http(&get("/assets/index-1a2b.js")).await;
    assert!(script.contains("immutable") && script.contains("text/javascript"), "{script}");
    for path in ["/../Cargo.toml", "/assets/..%2f..%2fCargo.toml", "/nothing.js", "//etc/passwd.txt"] {
        let answer = world.http(&get(path)).await;
        assert!(answer.starts_with("HTTP/1.1 404") || answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
    let head = world.http(&get("/").replacen("GET", "HEAD", 1)).await;
    assert!(head.contains("content-length: 21") && head.ends_with("\r\n\r\n"), "{head}");
    let config = world.http(&get("/config.json")).await;
    assert!(config.contains("cache-control: no-store"), "{config}");
    let body: serde_json::Value = serde_json::from_str(config.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!((body["websocket"].as_str(), body["demo"].as_bool()), (Some("/v1/connect"), Some(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_follow_each_other_on_one_connection_and_the_last_may_become_a_websocket() {
    let (world, _) = world_with_demo(false).await;
    let mut stream = BufReader::new(TcpStream::connect(&world.address).await.unwrap());
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            tokio::time::timeout(PATIENCE, stream.read_line(&mut line)).await.unwrap().unwrap();
        }
        stream.read_exact(&mut [0; 21]).await.unwrap();
    }
    let upgrade = "GET /v1/connect HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut line = String::new();
    tokio::time::timeout(PATIENCE, stream.read_line(&mut line)).await.unwrap().unwrap();
    assert!(line.starts_with("HTTP/1.1 101"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_signs_in_from_its_own_pages_only() {
    let (world, book) = world_with_demo(false).await;
    let (here, page, json) = ("127.0.0.1:7700", "http://127.0.0.1:7700", "application/json");
    let ada = r#"{"name":" Ada "}"#;
    let answer = world.http(&sign_in(here, page, json, ada)).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("cache-control: no-store"), "{answer}");
    let body: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body, serde_json::json!({ "app": "app", "user": "ada", "token": "token of ada" }));

    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(41));
    let huge = format!(r#"{{"name":"{}"}}"#, "x".repeat(2_000));
    for (host, origin, content_type, body, status) in [
        (here, "http://evil.example", json, ada, 403),
        (here, "null", json, ada, 403),
        // A name that somebody made point at this machine.
        ("evil.example:7700", "http://evil.example:7700", json, ada, 403),
        // What a form can send without asking.
        (here, page, "text/plain", ada, 400),
        (here, page, json, "{}", 400),
        (here, page, json, r#"{"name":""}"#, 400),
        (here, page, json, r#"{"name":"a\u0000b"}"#, 400),
        (here, page, json, &long, 400),
        (here, page, json, &huge, 400),
        (here, page, json, r#"{"name":"Taken"}"#, 403),
    ] {
        let answer = world.http(&sign_in(host, origin, content_type, body)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{host} {origin} {content_type}: {answer}");
        assert!(answer.contains(r#"{"error":{"code":""#), "{answer}");
    }
    assert_eq!(book.0.load(Ordering::SeqCst), 2, "nobody else came to the book");
    assert!(world.http(&get("/demo/sign-in")).await.starts_with("HTTP/1.1 405"));
    let (world, _) = world_with_demo(true).await;
    let named = sign_in("chat.example", "https://chat.example", json, ada);
    assert!(world.http(&named).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_sign_in_at_once_and_no_more() {
    let (world, book) = world_with_demo(false).await;
    let request = sign_in("localhost", "http://localhost", "application/json", r#"{"name":"Ada"}"#);
    let mut answers = Vec::new();
    for _ in 0..40 {
        answers.push(world.http(&request).await);
    }
    let refused: Vec<_> = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 429")).collect();
    assert!(refused.iter().all(|answer| answer.contains("retry-after: 1") && answer.contains("RATE_LIMITED")));
    assert!(!refused.is_empty() && book.0.load(Ordering::SeqCst) == 40 - refused.len());
    assert!(answers[..20].iter().all(|answer| answer.starts_with("HTTP/1.1 200")));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_demo_there_is_no_sign_in() {
    let world = World::start().await;
    let request = sign_in("localhost", "http://localhost", "application/json", r#"{"name":"Ada"}"#);
    assert!(world.http(&request).await.starts_with("HTTP/1.1 404"));
    let config = world.http(&get("/config.json")).await;
    assert!(config.contains(r#""demo":false"#), "{config}");
}
