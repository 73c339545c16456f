//! What an idle session costs; prints the figure, and fails only far above it.

use tidings_proto::client::v1::client_frame;
use tidings_proto::frame::encode_client;

use crate::support::{RawClient, World, config, hello, until};
use tidings_gateway::GatewayConfig;

const SESSIONS: usize = 2_000;

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures the process: alone, with `--ignored --nocapture`"]
async fn idle_sessions() {
    let world = World::with(GatewayConfig { max_connections_per_user: 100_000, ..config() }).await;
    let mut held = Vec::new();
    let mut before = 0;
    for number in 0..SESSIONS + 200 {
        if number == 200 {
            before = resident_bytes();
        }
        let mut client = RawClient::connect(&world.address).await;
        let greeting = encode_client(client_frame::Frame::Hello(hello("alice", &format!("device {number}"))));
        client.write(&RawClient::masked(2, &greeting)).await;
        client.frame().await;
        held.push(client);
    }
    until("all are attached", || world.cluster.sessions() == SESSIONS + 200).await;
    let each = resident_bytes().saturating_sub(before) / SESSIONS;
    println!("{each} bytes of resident memory per idle session: gateway, test broker and test client together");
    assert!(each < 8 * 1024, "{each}");
}
