//! What a person who opens the node's address gets: the demo's sign-in in `standalone`, and in no other role.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use serde_json::Value as Json;
use tidings_tests::http::{Answer, request};
use tidings_tests::{DEADLINE, Node, binary, next_message, within};
use tokio::net::TcpStream;

async fn sign_in(address: SocketAddr, name: &str) -> Answer {
    let origin = format!("http://{address}");
    let body = serde_json::json!({ "name": name }).to_string();
    let headers = [("Origin", origin.as_str()), ("Content-Type", "application/json")];
    request(address, "POST", "/demo/sign-in", &headers, body.as_bytes()).await
}

fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json[key].as_str().unwrap_or_default()
}

#[tokio::test]
async fn two_people_sign_in_by_name_and_chat() {
    let node = Node::start().await;
    let address = node.gateway_address();
    let config = request(address, "GET", "/config.json", &[], b"").await.json();
    assert_eq!(
        (text(&config, "websocket"), &config["demo"], &config["files"]),
        ("/v1/connect", &true.into(), &true.into())
    );

    let ada = sign_in(address, "Ada").await.json();
    let bob = sign_in(address, "Bob").await.json();
    assert_eq!((text(&ada, "user"), text(&ada, "app")), ("ada", "default"));
    let (ada, _events) = node.client(text(&ada, "token"), "page").connect().unwrap();
    let (_bob, mut events) = node.client(text(&bob, "token"), "page").connect().unwrap();
    ada.send("bob", "hi").await.unwrap().sent().await.unwrap();
    assert_eq!(next_message(&mut events).await.from(), "ada");

    // The same person again, with a token of its own; whoever an operator made has to show theirs.
    let again = sign_in(address, "ADA").await.json();
    assert_eq!(text(&again, "user"), "ada");
    node.control().await.user("carol").await;
    let refused = sign_in(address, "Carol").await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "PERMISSION_DENIED"));
    assert_eq!(sign_in(address, "?!").await.status, 400);
}

#[tokio::test]
async fn a_name_signs_in_more_often_than_it_has_tokens() {
    let node = Node::start().await;
    // A user has at most 64 live tokens, and the demo takes two people a second.
    let mut signed_in = 0;
    within(DEADLINE * 2, "66 sign in", async {
        while signed_in < 66 {
            match sign_in(node.gateway_address(), "Ada").await.status {
                200 => signed_in += 1,
                429 => tokio::task::yield_now().await,
                other => panic!("{other}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn where_it_is_switched_off_nobody_signs_in() {
    let node = Node::start_with(&["demo.sign_in=false"]).await;
    assert_eq!(sign_in(node.gateway_address(), "Ada").await.status, 404);
    let config = request(node.gateway_address(), "GET", "/config.json", &[], b"").await.json();
    assert_eq!(config["demo"], false);
}

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_gateway_of_its_own_signs_nobody_in_whatever_is_configured() {
    let node = Node::start().await;
    let ports = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let [address, admin] = ports.map(|listener| listener.local_addr().unwrap());
    let mut command = Command::new(binary::tidings());
    command.arg("gateway").arg("--data").arg(node.scratch("gateway"));
    for setting in [
        "cluster.node=9".to_owned(),
        format!("cluster.control_plane=[\"{}\"]", node.cluster_address()),
        format!("cluster.secret_file={}", node.data().join("cluster.secret").display()),
        format!("gateway.listen={address}"),
        format!("admin.listen={admin}"),
        "demo.sign_in=true".to_owned(),
    ] {
        command.arg("--set").arg(setting);
    }
    let _gateway = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    within(DEADLINE, "the gateway listens", async {
        while TcpStream::connect(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(sign_in(address, "Ada").await.status, 404);
    let config = request(address, "GET", "/config.json", &[], b"").await.json();
    // Nor does it keep files in a folder that no other gateway has.
    assert_eq!((&config["demo"], &config["files"]), (&false.into(), &false.into()));
    assert_eq!(request(address, "POST", "/files/v1/uploads", &[], b"").await.status, 404);
}
