//! Every call between nodes goes over mutual TLS: founding, Raft, heartbeats, gateways' links; certificates are
//! replaced while it runs.

use tidings_audit::{Plan, loopback};
use tidings_tests::certificates::Authority;

use super::support::{Traffic, settled, start_as};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_over_mutual_tls_goes_on_while_certificates_are_replaced() {
    let (authority, folder) = (Authority::default(), tempfile::tempdir().unwrap());
    let write = || authority.write(folder.path(), &loopback().to_string());
    write();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let plan = Plan::default()
        .set_all(&format!("node_tls.ca={}", file("ca.pem")))
        .set_all(&format!("node_tls.cert={}", file("cert.pem")))
        .set_all(&format!("node_tls.key={}", file("key.pem")));
    let cluster = start_as(plan).await;
    let traffic = Traffic::start(&cluster, 2).await;
    traffic.goes_on(50).await;
    write();
    // Each that comes back makes new connections, with the new certificate or the old one: both are of the authority.
    cluster.broker(0).restart().await.unwrap();
    cluster.control_plane(1).restart().await.unwrap();
    settled(&cluster).await;
    traffic.goes_on(50).await;
    traffic.end().await;
}
