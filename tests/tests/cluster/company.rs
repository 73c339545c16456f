//! A day of a small company's chat on a cluster, one broker of which is killed in the middle of it.

use tidings_tests::company::Company;
use tidings_tests::seed;

use super::support::{control, settled, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_evening_all_have_seen_the_same() {
    let seed = seed();
    let cluster = start().await;
    let mut company = Company::open(&control(&cluster, 0).await, &cluster.gateway_urls(), seed).await;
    for _ in 0..4 {
        company.hour().await;
    }
    let broker = cluster.broker(seed as usize % 3);
    broker.kill9().unwrap();
    company.hour().await;
    broker.restart().await.unwrap();
    company.hour().await;
    settled(&cluster).await;
    for _ in 0..2 {
        company.hour().await;
    }
    company.evening().await;
}
