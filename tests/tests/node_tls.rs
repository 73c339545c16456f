//! Mutual TLS between nodes: a node's roles talk to each other over its node-to-node port, and nobody else does who has
//! no certificate of the cluster's CA, or belongs to another cluster. Certificates are replaced while the node runs.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::error::Error as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use tidings_proto::cluster::v1::ResolveUserRequest;
use tidings_proto::cluster::v1::directory_client::DirectoryClient;
use tidings_sdk::{Client, Event, Events};
use tidings_tests::certificates::Authority;
use tidings_tests::{DEADLINE, Node, within};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

/// A node whose files lie in the folder, ready: its gateway and its broker have reached its control plane.
async fn start(folder: &Path, authority: &Authority) -> Node {
    let settings = ["ca", "cert", "key"].map(|file| format!("node_tls.{file}={}/{file}.pem", folder.display()));
    let mut node = Node::prepare(&[], &settings.each_ref().map(String::as_str));
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    authority.write(folder, &name(&node));
    node.launch();
    node.ready().await;
    node
}

fn name(node: &Node) -> String {
    node.cluster_address().ip().to_string()
}

/// Who calls the node-to-node port.
struct Caller {
    tls: Option<ClientTlsConfig>,
    cluster: &'static str,
    secret: String,
}

impl Caller {
    /// One that shows a certificate of `own`, and takes one of `trusted`.
    fn new(node: &Node, own: &Authority, trusted: &Authority) -> Self {
        let tls = ClientTlsConfig::new().identity(own.identity("caller.example"));
        let tls = tls.ca_certificate(Certificate::from_pem(trusted.pem()));
        let secret = fs::read_to_string(node.data().join("cluster.secret")).unwrap().trim().to_owned();
        Self { tls: Some(tls), cluster: "tidings", secret }
    }

    /// Asks the directory, over a new connection, as a gateway does.
    async fn ask(&self, node: &Node) -> Result<(), Status> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{}", node.cluster_address())).unwrap();
        if let Some(tls) = &self.tls {
            endpoint = endpoint.tls_config(tls.clone()).unwrap();
        }
        let mut client = DirectoryClient::new(endpoint.connect_lazy());
        let mut request = Request::new(ResolveUserRequest { app: "default".to_owned(), user: "alice".to_owned() });
        request.metadata_mut().insert("tidings-cluster", self.cluster.parse().unwrap());
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.secret).parse().unwrap());
        within(DEADLINE, "an answer, or an error", client.resolve_user(request)).await.map(|_| ())
    }

    /// No connection came about: what failed is the transport, and nobody answered.
    async fn is_kept_out(&self, node: &Node) -> bool {
        self.ask(node).await.is_err_and(|status| status.source().is_some())
    }
}

/// Waits until new connections are judged by the new files.
async fn until_reaches(caller: &Caller, node: &Node, reaches: bool) {
    within(DEADLINE, "the new files are taken up", async {
        // Nothing outside the node announces that it looked at the files: it has to be asked.
        while caller.ask(node).await.is_ok() != reaches {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

async fn passes(from: &Client, events: &mut Events, text: &str) {
    from.send("bob", text).await.unwrap().sent().await.unwrap();
    let came = within(DEADLINE, "the message arrives", async {
        loop {
            if let Some(Event::Message(message)) = events.next().await {
                return message.text().to_owned();
            }
        }
    });
    assert_eq!(came.await, text);
}

#[tokio::test]
async fn members_of_the_cluster_talk_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, foreign) = (Authority::default(), Authority::default());
    let node = start(folder.path(), &authority).await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, _alice_events) = node.client(&alice, "phone").connect().unwrap();
    let (_bob, mut events) = node.client(&bob, "phone").connect().unwrap();
    passes(&alice, &mut events, "over mutual TLS").await;

    let member = Caller::new(&node, &authority, &authority);
    member.ask(&node).await.unwrap();
    let plain = Caller { tls: None, ..Caller::new(&node, &authority, &authority) };
    assert!(plain.is_kept_out(&node).await, "a plain connection");
    assert!(Caller::new(&node, &foreign, &authority).is_kept_out(&node).await, "the certificate of a foreign CA");
    let ca = Certificate::from_pem(authority.pem());
    let anonymous = ClientTlsConfig::new().ca_certificate(ca);
    let anonymous = Caller { tls: Some(anonymous), ..Caller::new(&node, &authority, &authority) };
    assert!(anonymous.is_kept_out(&node).await, "no certificate");
    assert!(Caller::new(&node, &authority, &foreign).is_kept_out(&node).await, "a CA that did not sign the node's");

    let elsewhere = Caller { cluster: "elsewhere", ..Caller::new(&node, &authority, &authority) };
    assert_eq!(elsewhere.ask(&node).await.unwrap_err().code(), Code::FailedPrecondition);
    let stranger = Caller { secret: "x".repeat(43), ..Caller::new(&node, &authority, &authority) };
    assert_eq!(stranger.ask(&node).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_new_authority_takes_over_while_messages_flow() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::default(), Authority::default());
    let node = start(folder.path(), &old).await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, _alice_events) = node.client(&alice, "phone").connect().unwrap();
    let (_bob, mut events) = node.client(&bob, "phone").connect().unwrap();
    let (before, after) = (Caller::new(&node, &old, &old), Caller::new(&node, &new, &new));
    before.ask(&node).await.unwrap();
    assert!(after.is_kept_out(&node).await);

    // The three steps of docs/operations/certificates.md: trust both, show the new one, trust the new one alone.
    fs::write(folder.path().join("ca.pem"), old.pem() + &new.pem()).unwrap();
    until_reaches(&Caller::new(&node, &new, &old), &node, true).await;
    passes(&alice, &mut events, "both are trusted").await;

    new.write(folder.path(), &name(&node));
    until_reaches(&after, &node, true).await;
    passes(&alice, &mut events, "the new one is shown").await;

    fs::write(folder.path().join("ca.pem"), new.pem()).unwrap();
    until_reaches(&Caller::new(&node, &old, &new), &node, false).await;
    passes(&alice, &mut events, "the old one is gone").await;
    after.ask(&node).await.unwrap();
}
