//! A sync of the disk completes between a message's arrival and its `Accepted` (promise 1): seen from outside, by
//! strace.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidings_tests::{Node, RawClient};

const MESSAGES: u64 = 20;

/// A completed `fsync` or `fdatasync`, in seconds of Unix time.
#[derive(Debug)]
struct Sync {
    began: f64,
    ended: f64,
}

#[allow(clippy::disallowed_methods)] // strace stamps its lines with the machine's clock.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Lines of `strace -f -ttt -T`: `PID TIME fdatasync(9) = 0 <TAKEN>`, or two of them where threads interleave, of which
/// the second, `PID TIME <... fdatasync resumed>) = 0 <TAKEN>`, has the time of the end.
fn syncs(log: &str) -> Vec<Sync> {
    let completed = log.lines().filter(|line| line.contains("sync") && line.contains("= 0 <"));
    let sync = |line: &str| {
        let time: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
        let taken: f64 = line.rsplit('<').next()?.trim_end_matches('>').parse().ok()?;
        let resumed = line.contains("resumed>");
        Some(if resumed {
            Sync { began: time - taken, ended: time }
        } else {
            Sync { began: time, ended: time + taken }
        })
    };
    completed.filter_map(sync).collect()
}

#[tokio::test]
async fn between_send_and_accepted_a_sync_completes() {
    if Command::new("strace").arg("-V").output().is_err() {
        panic!("this test needs strace: apt-get install strace");
    }
    let strace = ["strace", "-f", "-ttt", "-T", "-e", "trace=fsync,fdatasync", "-o", "{folder}/strace.log"];
    let node = Node::start_under(&strace, &[]).await;
    let control = node.control().await;
    let alice = control.user("alice").await;
    control.user("bob").await;
    let (mut client, _) = RawClient::attached(node.gateway_address(), &alice, "phone", None).await;

    let mut windows = Vec::new();
    for seq in 1..=MESSAGES {
        let sent = now();
        client.send(seq, 0, "bob", "hello").await;
        assert_eq!(client.answer().await, (seq, None));
        windows.push((sent, now()));
    }
    // strace writes a line when the call has ended, perhaps a moment after the process goes on.
    let read = || syncs(&std::fs::read_to_string(node.scratch("strace.log")).unwrap());
    let covered = |syncs: &[Sync]| {
        let within = |(sent, accepted): &&(f64, f64)| syncs.iter().any(|s| s.began >= *sent && s.ended <= *accepted);
        windows.iter().filter(within).count()
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while covered(&read()) < windows.len() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let syncs = read();
    let (first, last) = (windows[0].0, windows[windows.len() - 1].1);
    let during = syncs.iter().filter(|sync| sync.began >= first && sync.ended <= last).count();
    println!("{} messages, one at a time, in {:.3} s: {during} syncs", windows.len(), last - first);
    assert_eq!(covered(&syncs), windows.len(), "an Accepted came without a sync: {windows:?} {syncs:?}");
}
