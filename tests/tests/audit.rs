//! The loss audit in its short form: a cluster of 3 + 3 + 2 processes for each class of faults, clients that write to
//! each other, a backend that writes to them, and not one accepted message lost, doubled or out of order (promises 1 to
//! 5). `make audit` is the long form.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::process::{Command, Output, Stdio};

use tidings_audit::isolation;
use tidings_proto::control::v1::{ListGroupsRequest, ListUsersRequest};
use tidings_tests::{DEADLINE, Node, binary, seed, within};

/// Seconds of faults in each class.
const SECONDS: &str = "8";

fn audit(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary::tidings());
    command.args(["audit", "--local", "--seconds", SECONDS]).args(arguments);
    command
}

fn print(output: &Output) {
    println!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
}

#[test]
fn no_class_of_faults_loses_doubles_or_reorders_anything() {
    let seed = seed().to_string();
    let mut audit = audit(&["--seed", &seed]);
    if !isolation::is_root() {
        audit.arg("--allow-skip");
    }
    let output = audit.output().unwrap();
    print(&output);
    assert!(output.status.success(), "seed {seed}");
}

/// On a running cluster the audit is the traffic and the verdict; the fault here is a kill. Its users are gone
/// afterwards.
#[tokio::test]
async fn a_running_node_is_audited_from_outside() {
    let mut node = Node::start().await;
    let key = node.data().join("operator.key");
    let mut audit = tokio::process::Command::new(binary::tidings());
    audit.args(["audit", "--seconds", "4", "--json", "--gateway", &node.gateway_url()]);
    audit.args(["--server", &node.control_url(), "--api-key-file"]).arg(key).kill_on_drop(true);
    let running = audit.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = tokio::spawn(running.wait_with_output());
    within(DEADLINE, "messages are accepted", async {
        while node.metric("tidings_gateway_send_seconds_count") == 0.0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    node.restart_after_kill9().await;
    let output = within(DEADLINE, "the audit ends", ended).await.unwrap().unwrap();
    print(&output);
    assert!(output.status.success());
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let verdict = &answer["verdict"];
    assert!(verdict["direct"]["delivered"].as_u64().unwrap() > 100, "{answer}");
    assert!(verdict["groups"]["delivered"].as_u64().unwrap() > 10, "{answer}");
    assert!(verdict["scheduled"]["delivered"].as_u64().unwrap() > 5, "{answer}");
    // Each message to a user stands in two.
    assert!(verdict["histories"]["delivered"].as_u64().unwrap() > 200, "{answer}");
    assert!(verdict["backend"]["delivered"].as_u64().unwrap() > 5, "{answer}");
    assert!(verdict["settings"]["delivered"].as_u64().unwrap() > 5, "{answer}");
    let users = node.control().await.users.list_users(ListUsersRequest::default()).await.unwrap().into_inner().users;
    assert!(users.is_empty(), "{users:?}");
    let groups = node.control().await.groups.list_groups(ListGroupsRequest::default()).await.unwrap().into_inner();
    assert!(groups.groups.is_empty(), "{groups:?}");
}

/// The audit can fail: on disks that say that they have synced and have not, a power cut loses what was accepted.
#[test]
fn a_disk_that_lies_is_found() {
    if !isolation::is_root() {
        println!("not tested: only root may mount file systems");
        return;
    }
    let mut audit = audit(&["--classes", "power-cut", "--control-planes", "1", "--brokers", "1", "--gateways", "1"]);
    let kept = tempfile::tempdir().unwrap();
    let output = audit.arg("--keep").arg(kept.path()).env("LD_PRELOAD", "libeatmydata.so").output().unwrap();
    print(&output);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("cannot be preloaded"), "this test needs libeatmydata (Debian package eatmydata)");
    assert!(said.contains("not clean: power-cut"), "it found nothing");
    assert!(kept.path().join("power-cut/history.jsonl").is_file(), "the history is kept");
}
