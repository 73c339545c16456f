//! The section `[tls]` on the port of backends: operators' commands reach it over TLS and trust what `--ca-file` names.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::process::{Command, Output};

use tidings_tests::certificates::Authority;
use tidings_tests::{Node, binary};

async fn create_user(node: &Node, url: &str, ca: &Authority) -> Output {
    let ca_file = node.scratch("ca.pem");
    fs::write(&ca_file, ca.pem()).unwrap();
    let mut command = Command::new(binary::tidings());
    command.args(["user", "create", "alice", "--server", url, "--ca-file"]).arg(ca_file);
    command.arg("--api-key-file").arg(node.data().join("operator.key")).env_remove("TIDINGS_API_KEY");
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn commands_over_tls() {
    let authority = Authority::default();
    let node = Node::start_over_tls(&authority).await;

    let (plain, secure) = (node.control_url(), node.control_url().replace("http:", "https:"));
    let foreign = create_user(&node, &secure, &Authority::default()).await;
    assert_eq!(foreign.status.code(), Some(3), "{foreign:?}");
    let clear = create_user(&node, &plain, &authority).await;
    assert!(!clear.status.success(), "{clear:?}");
    let created = create_user(&node, &secure, &authority).await;
    assert_eq!((created.status.code(), created.stdout.as_slice()), (Some(0), b"alice\n".as_slice()), "{created:?}");
}
