//! The local cluster that other tests stand on: its processes start, die, pause and come back as they are told, and
//! nothing of them stays.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use tidings_audit::{LocalCluster, Placement, Plan, isolation};
use tidings_tests::{Control, DEADLINE, binary, next_message, within};

fn plan() -> Plan {
    Plan { control_planes: 1, brokers: 1, gateways: 1, replication: 1, ..Plan::of(binary::tidings()) }
}

#[tokio::test]
async fn processes_do_as_they_are_told() {
    let cluster = LocalCluster::start(plan()).await.unwrap();
    let folder = cluster.broker(0).folder().parent().unwrap().to_owned();
    let control = Control::connect(&cluster.control_urls()[0], &cluster.operator_key().unwrap()).await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let client = |token: &str| tidings_sdk::Client::builder(&cluster.gateway_urls()[0], token).device("phone");
    let (sender, _events) = client(&alice).connect().unwrap();
    let (_recipient, mut events) = client(&bob).connect().unwrap();

    let broker = cluster.broker(0);
    broker.pause().unwrap();
    assert!(broker.is_running() && !broker.is_ready().await, "a paused process answers nobody");
    broker.resume().unwrap();
    broker.ready().await.unwrap();
    broker.kill9().unwrap();
    assert!(!broker.is_running() && broker.kill9().is_err() && broker.pause().is_err());
    let sending = sender.send("bob", "hello").await.unwrap();
    broker.restart().await.unwrap();
    within(DEADLINE, "the message is sent", sending.sent()).await.unwrap();
    assert_eq!(next_message(&mut events).await.text(), "hello");

    let gateway = cluster.gateway(0);
    assert!(gateway.terminate().await.unwrap().success());
    gateway.start().await.unwrap();
    assert!(gateway.metric("tidings_gateway_connections").await.is_ok());

    let ids: Vec<u32> = cluster.members().iter().map(|member| member.process_id().unwrap()).collect();
    drop((cluster, broker, gateway));
    assert!(!folder.exists(), "its folder is gone");
    assert!(ids.iter().all(|id| !std::path::Path::new(&format!("/proc/{id}")).exists()), "its processes are gone");
}

#[test]
fn nodes_in_namespaces_can_be_cut_off() {
    if !isolation::is_root() {
        println!("not tested: only root may make namespaces");
        return;
    }
    isolation::test("nodes_in_namespaces_can_be_cut_off", || {
        tokio::runtime::Runtime::new().unwrap().block_on(cut_off());
    })
    .unwrap();
}

async fn cut_off() {
    let cluster = LocalCluster::start(Plan { placement: Placement::Namespaces, ..plan() }).await.unwrap();
    let network = cluster.network().unwrap();
    let (broker, gateway) = (cluster.broker(0), cluster.gateway(0));
    network.isolate(&broker).unwrap();
    assert!(!broker.is_ready().await && gateway.get("/healthz").await.is_ok());
    cluster.heal_network().unwrap();
    cluster.ready().await.unwrap();
    network.lose(&gateway, 99).unwrap();
    assert!(gateway.get("/healthz").await.is_err());
    cluster.heal_network().unwrap();
    network.slow_down(&gateway, 256).unwrap();
    gateway.get("/healthz").await.unwrap();
    cluster.heal_network().unwrap();
    drop(cluster);
    // The names are free again.
    LocalCluster::start(Plan { placement: Placement::Namespaces, ..plan() }).await.unwrap();
}
