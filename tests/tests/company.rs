//! A day of a small company's chat on one node, which is killed in the middle of it: in the evening every device has
//! seen what the server holds, and what the others have seen (promises 1 to 4).

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use tidings_tests::company::Company;
use tidings_tests::{Node, seed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_evening_all_have_seen_the_same() {
    let seed = seed();
    let mut node = Node::start().await;
    let mut company = Company::open(&node.control().await, &[node.gateway_url()], seed).await;
    for _ in 0..4 {
        company.hour().await;
    }
    tokio::join!(company.hour(), node.restart_after_kill9());
    for _ in 0..4 {
        company.hour().await;
    }
    company.evening().await;
}
