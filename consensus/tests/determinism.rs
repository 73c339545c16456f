//! The same commands give the same bytes, in memory and on disk.

mod support;

use bytes::Bytes;
use support::{dump, replay, start_alone_with, text};
use tidings_consensus::{ApplyContext, EngineOptions};
use tidings_node::Clock;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replays_and_a_group_on_disk_are_byte_equal() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = EngineOptions::new(folder.path(), 1, "test");
    options.clock = Clock::manual(77);
    let (engine, group) = start_alone_with(options).await;
    let commands: Vec<(ApplyContext, Bytes)> = (0..300u32)
        .map(|n| (ApplyContext { now_ms: 77, index: 1, ordinal: n, term: 1 }, text(format!("command {n}"))))
        .collect();
    let outcomes: Vec<_> = commands.iter().map(|(_, command)| group.propose(command.clone())).collect();
    for outcome in outcomes {
        outcome.await.unwrap();
    }
    let first = replay(&commands);
    assert_eq!(first.dump(), replay(&commands).dump());
    assert_eq!(first.dump(), dump(&group.view()));
    assert_eq!(dump(&first.view()), first.dump());
    engine.shutdown().await;
}
