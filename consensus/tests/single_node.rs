//! A group of one on a real store: what was acknowledged is there after every kind of restart.

mod support;

use std::collections::BTreeSet;

use bytes::Bytes;
use support::{copy_folder, count, dump, start_alone, start_alone_with, text, texts, within};
use tidings_consensus::{Engine, EngineOptions, Error, GroupId, ProposeError};
use tidings_node::Clock;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_commands_survive_a_restart_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, group) = start_alone(folder.path()).await;
    let outcomes: Vec<_> = (0..500).map(|n| group.propose(text(format!("command {n}")))).collect();
    for (number, outcome) in (0..).zip(outcomes) {
        assert_eq!(outcome.await, Ok(number));
    }
    group.read_barrier().await.unwrap();
    let before = dump(&group.view());
    let status = group.status();
    assert_eq!((status.role, status.leader, status.failure), ("leader", Some(1), None));
    engine.shutdown().await;
    assert!(!group.leadership().borrow().is_leader);
    assert_eq!(group.propose(text("late")).await, Err(ProposeError::ShuttingDown));
    drop((engine, group));

    let (engine, group) = start_alone(folder.path()).await;
    assert_eq!(dump(&group.view()), before);
    assert_eq!(group.propose(text("next")).await, Ok(500));
    engine.shutdown().await;
}

/// The folder is copied while commands are applied: as after a crash, the state database has what was flushed (nothing,
/// or the beginning) and the log has all that was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_commands_survive_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, group) = start_alone(folder.path()).await;
    for round in 0..3u64 {
        let mut acknowledged = BTreeSet::new();
        let running: Vec<_> = (0..300).map(|n| group.propose(text(format!("{round}/{n}")))).collect();
        for (n, outcome) in running.into_iter().enumerate() {
            outcome.await.unwrap();
            acknowledged.insert(format!("{round}/{n}"));
            if n == 150 {
                let crashed = tempfile::tempdir().unwrap();
                // More is acknowledged while this copies, so what is there before the copy is what must be found.
                let expected = acknowledged.clone();
                copy_folder(folder.path(), crashed.path());
                let (other, survivor) = start_alone(crashed.path()).await;
                let found = texts(&survivor.view());
                let distinct: BTreeSet<_> = found.iter().cloned().collect();
                assert_eq!(distinct.len(), found.len(), "nothing is doubled");
                assert!(distinct.is_superset(&expected), "nothing is lost");
                let original = texts(&group.view());
                assert_eq!(found, original[..found.len()], "and all is in order");
                other.shutdown().await;
            }
        }
        if round == 1 {
            // From here on the beginning is in the state database alone.
            group.compact(10).await.unwrap();
        }
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purged_log_and_a_state_that_is_older_are_refused_together() {
    let folder = tempfile::tempdir().unwrap();
    let old_state = tempfile::tempdir().unwrap();
    let (engine, group) = start_alone(folder.path()).await;
    group.propose(text("first")).await.unwrap();
    engine.shutdown().await;
    drop((engine, group));
    copy_folder(&folder.path().join("state"), old_state.path());

    let (engine, group) = start_alone(folder.path()).await;
    for n in 0..100 {
        group.propose(text(format!("{n}"))).await.unwrap();
    }
    group.compact(5).await.unwrap();
    within("the purge", async {
        while group.status().purged.is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    engine.shutdown().await;
    drop((engine, group));

    std::fs::remove_dir_all(folder.path().join("state")).unwrap();
    copy_folder(old_state.path(), &folder.path().join("state"));
    let engine = Engine::open(EngineOptions::new(folder.path(), 1, "test")).unwrap();
    let started = engine.start_group(GroupId(1), support::Journal::new()).await;
    assert!(matches!(started, Err(Error::Inconsistent { .. })));
    assert!(engine.damaged().borrow()[&GroupId(1)].contains("older than the beginning of its log"));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_somebody_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, group) = start_alone(folder.path()).await;
    engine.shutdown().await;
    drop((engine, group));
    let refused = |options: EngineOptions| match Engine::open(options) {
        Err(Error::WrongStore { reason, .. }) => reason,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    };
    assert!(refused(EngineOptions::new(folder.path(), 2, "test")).contains("node 1"));
    assert!(refused(EngineOptions::new(folder.path(), 1, "other")).contains("cluster"));
    // One that is not whole is damaged, and the operator is told what to do.
    std::fs::remove_dir_all(folder.path().join("state")).unwrap();
    match Engine::open(EngineOptions::new(folder.path(), 1, "test")) {
        Err(Error::StoreDamaged { reason, .. }) => assert!(reason.contains("state is missing"), "{reason}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_answer_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = EngineOptions::new(folder.path(), 1, "test");
    options.tuning.queue_commands = 8;
    options.tuning.max_command_bytes = 1000;
    options.tuning.queue_bytes = 4000;
    let (engine, group) = start_alone_with(options).await;
    assert_eq!(group.propose(Bytes::from(vec![b'x'; 1001])).await, Err(ProposeError::TooLarge));
    let outcomes: Vec<_> = (0..1000).map(|n| group.propose(text(format!("{n}")))).collect();
    let mut applied = Vec::new();
    let mut refused = 0;
    for (n, outcome) in outcomes.into_iter().enumerate() {
        match outcome.await {
            Ok(_) => applied.push(n.to_string()),
            Err(error) => {
                assert_eq!(error, ProposeError::Overloaded);
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && !applied.is_empty());
    assert_eq!(texts(&group.view()), applied, "those that were taken are applied in their order");
    // With room awaited nothing is refused, and all the room comes back.
    for n in 0..100 {
        group.propose_when_ready(text(format!("again {n}"))).await.unwrap();
    }
    engine.shutdown().await;
}

/// Promise of the group commit: what many groups and callers write at a moment shares an fsync.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_groups_share_fsyncs() {
    const GROUPS: u32 = 8;
    const CALLERS: usize = 32;
    const EACH: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(EngineOptions::new(folder.path(), 1, "test")).unwrap();
    let mut groups = Vec::new();
    for id in 1..=GROUPS {
        let group = engine.start_group(GroupId(id), support::Journal::new()).await.unwrap();
        group.bootstrap([(1, "127.0.0.1:1".to_owned())].into()).await.unwrap();
        support::until_leader(&group).await;
        groups.push(group);
    }
    let before = engine.log_stats();
    let mut callers = tokio::task::JoinSet::new();
    for group in &groups {
        for caller in 0..CALLERS {
            let group = group.clone();
            callers.spawn(async move {
                for n in 0..EACH {
                    group.propose_when_ready(text(format!("{caller}/{n}"))).await.unwrap();
                }
            });
        }
    }
    within("all callers", callers.join_all()).await;
    let after = engine.log_stats();
    let commands = (GROUPS as usize * CALLERS * EACH) as u64;
    let (fsyncs, records) = (after.fsyncs - before.fsyncs, after.records - before.records);
    println!("{commands} commands in {records} records with {fsyncs} fsyncs");
    assert!(fsyncs * 10 <= commands, "{fsyncs} fsyncs for {commands} commands");
    assert!(fsyncs * 2 <= records, "{fsyncs} fsyncs for {records} records");
    for group in &groups {
        assert_eq!(count(&group.view()).unwrap(), (CALLERS * EACH) as u64);
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_never_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    for now_ms in [5_000, 1_000] {
        let mut options = EngineOptions::new(folder.path(), 1, "test");
        options.clock = Clock::manual(now_ms);
        let (engine, group) = start_alone_with(options).await;
        group.propose(text("tick")).await.unwrap();
        let time = group.view().get(b"time").unwrap().unwrap();
        assert_eq!(time.as_ref(), 5_000i64.to_be_bytes());
        engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_group_starts_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, group) = start_alone(folder.path()).await;
    group.propose(text("gone")).await.unwrap();
    let again = engine.start_group(GroupId(1), support::Journal::new()).await;
    assert!(matches!(again, Err(Error::GroupTaken(GroupId(1)))));
    engine.erase_group(GroupId(1)).await.unwrap();
    assert_eq!(dump(&group.view()), []);
    let group = engine.start_group(GroupId(1), support::Journal::new()).await.unwrap();
    assert_eq!(group.status().last_log, None);
    group.bootstrap([(1, "127.0.0.1:1".to_owned())].into()).await.unwrap();
    support::until_leader(&group).await;
    assert_eq!(group.propose(text("new")).await, Ok(0));
    engine.shutdown().await;
}
