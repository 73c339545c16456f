//! The scrub finds damage in what nobody reads.

#![allow(clippy::unwrap_used)] // A test ends where something is not as expected.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use support::{Journal, flip_bit_in_table, needle, text, until_leader, within};
use tidings_consensus::{Engine, EngineOptions, Group, GroupId, ScrubReport};

const GROUPS: [GroupId; 3] = [GroupId(1), GroupId(2), GroupId(3)];

/// Three groups with the needle in the middle of the second; nothing is cached.
async fn stored(dir: &Path, needle: &str) -> (Engine, Vec<Group<Journal>>) {
    let mut options = EngineOptions::new(dir, 1, "test");
    options.tuning.block_cache_bytes = 0;
    options.tuning.log_cache_bytes = 0;
    options.tuning.scrub_bytes_per_second = 1 << 40;
    let engine = Engine::open(options).unwrap();
    let mut groups = Vec::new();
    for id in GROUPS {
        let group = engine.start_group(id, Journal::new()).await.unwrap();
        group.bootstrap([(1, "127.0.0.1:1".to_owned())].into()).await.unwrap();
        until_leader(&group).await;
        for n in 0..100 {
            group.propose(text(format!("{n} {}", "x".repeat(5000)))).await.unwrap();
            if n == 50 && id == GROUPS[1] {
                group.propose(text(needle)).await.unwrap();
            }
        }
        group.compact(1000).await.unwrap();
        groups.push(group);
    }
    (engine, groups)
}

fn damaged(engine: &Engine) -> Vec<GroupId> {
    engine.damaged().borrow().keys().copied().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scrub_finds_a_flipped_bit_in_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let needle = needle();
    let (engine, groups) = stored(folder.path(), &needle).await;
    let clean = engine.scrub_now().await.unwrap();
    assert_eq!((clean.groups, clean.damaged), (3, 0));
    // Each text twice: in the log and in the state.
    assert!(clean.bytes > 2 * 3 * 100 * 5000, "{clean:?}");
    assert_eq!(damaged(&engine), []);

    flip_bit_in_table(&folder.path().join("state"), &needle);
    let ScrubReport { groups: whole, damaged: found, .. } = engine.scrub_now().await.unwrap();
    assert_eq!((whole, found), (2, 1));
    assert_eq!(damaged(&engine), [GROUPS[1]]);
    // The replica stops; the others go on.
    let mut leadership = groups[1].leadership();
    within("the end of leadership", leadership.wait_for(|leadership| !leadership.is_leader)).await.unwrap();
    groups[2].propose(text("on")).await.unwrap();
    assert_eq!(engine.scrub_now().await.unwrap().groups, 2);
    engine.erase_group(GROUPS[1]).await.unwrap();
    assert!(engine.is_healthy());
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scrub_finds_a_record_that_does_not_fit_and_a_hole_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, groups) = stored(folder.path(), "nothing").await;
    engine.shutdown().await;
    drop((engine, groups));
    {
        // Through the database, so that its own checksums are right.
        let log = rocksdb::DB::open_default(folder.path().join("log")).unwrap();
        let key = |group, index| [0x10, 0, 0, 0, group, 0, 0, 0, 0, 0, 0, 0, index];
        let mut record = log.get(key(1, 20)).unwrap().unwrap();
        record[100] ^= 1;
        log.put(key(1, 20), record).unwrap();
        log.delete(key(3, 30)).unwrap();
    }
    // No group runs: this is what lies on the disk alone.
    let engine = Engine::open(EngineOptions::new(folder.path(), 1, "test")).unwrap();
    let report = engine.scrub_now().await.unwrap();
    assert_eq!((report.groups, report.damaged), (1, 2));
    let reasons = engine.damaged().borrow().clone();
    assert!(reasons[&GROUPS[0]].contains("log entry 20"), "{reasons:?}");
    assert!(reasons[&GROUPS[2]].contains("hole at entry 30"), "{reasons:?}");
    engine.shutdown().await;
}

/// Promise 6: the scrub takes no more of the disk than it may, and ends with the engine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scrub_keeps_to_its_rate_and_ends_with_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, groups) = stored(folder.path(), "nothing").await;
    engine.shutdown().await;
    drop((engine, groups));
    let mut options = EngineOptions::new(folder.path(), 1, "test");
    options.tuning.scrub_bytes_per_second = 4 * 1024 * 1024;
    let engine = Engine::open(options.clone()).unwrap();
    let begun = Instant::now();
    let report = engine.scrub_now().await.unwrap();
    let least = Duration::from_secs_f64(report.bytes as f64 / (4.0 * 1024.0 * 1024.0));
    assert!(begun.elapsed() >= least, "{:?} for {} bytes", begun.elapsed(), report.bytes);
    engine.shutdown().await;
    drop(engine);

    options.tuning.scrub_bytes_per_second = 1;
    let engine = Engine::open(options).unwrap();
    let round = {
        let engine = engine.clone();
        tokio::spawn(async move { engine.scrub_now().await })
    };
    engine.shutdown().await;
    assert!(within("the round to end", round).await.unwrap().is_err());
}
