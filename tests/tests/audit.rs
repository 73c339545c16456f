//! The loss audit in its short form: a cluster of 3 + 3 + 2 processes for each class of faults, clients that write to each
//! other, and not one accepted message lost, doubled or out of order (promises 1 to 5). `make audit` is the long form.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::process::{Command, Output};

use tidings_audit::isolation;
use tidings_tests::{binary, seed};

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
