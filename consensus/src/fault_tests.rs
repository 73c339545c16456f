//! A log write that fails: nothing is acknowledged, nothing more is accepted, and a restart finds whole entries alone
//! (promise 1).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::error::{Error, ProposeError};
use crate::group::Group;
use crate::log_writer::WriteFault;
use crate::machine::{ApplyContext, StateMachine};
use crate::options::EngineOptions;
use crate::state_store::{StateStore, StateView};
use crate::{Engine, GroupId};

/// Keeps every command under its own text, and replies how many were applied.
#[derive(Default)]
struct Collect {
    applied: u64,
}

impl StateMachine for Collect {
    type Reply = u64;

    fn apply(&mut self, _: &ApplyContext, command: &[u8], store: &mut dyn StateStore) -> u64 {
        store.put(command.to_vec(), Bytes::from_static(b"x"));
        self.applied += 1;
        self.applied
    }

    async fn committed(&mut self, _: bool) {}

    fn restored(&mut self, view: &StateView) -> Result<(), Error> {
        self.applied = view.scan(b"", b"\xff", usize::MAX)?.len() as u64;
        Ok(())
    }
}

async fn lead(engine: &Engine) -> Group<Collect> {
    let group = engine.start_group(GroupId(1), Collect::default()).await.unwrap();
    group.bootstrap(BTreeMap::from([(1, "127.0.0.1:1".to_owned())])).await.unwrap();
    group.leadership().wait_for(|leadership| leadership.is_leader).await.unwrap();
    group
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_log_write_is_never_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let options = || EngineOptions::new(folder.path(), 1, "faults");
    let fault = WriteFault::default();
    let engine = Engine::open_with(options(), fault.clone()).unwrap();
    let group = lead(&engine).await;
    assert_eq!(group.propose(Bytes::from_static(b"before")).await, Ok(1));
    assert!(engine.is_healthy());

    fault.fail_next();
    let outcomes: Vec<_> = (0..100).map(|n| group.propose(Bytes::from(format!("during {n}")))).collect();
    for outcome in outcomes {
        assert_eq!(outcome.await, Err(ProposeError::StorageFailed));
    }
    let failure = engine.failure().wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert!(failure.contains("Input/output error"), "{failure}");
    assert!(!engine.is_healthy());
    // The disk would work again, but what a failed fsync has lost is unknown: the engine stays failed.
    let after = group.propose(Bytes::from_static(b"after")).await;
    assert!(matches!(after, Err(ProposeError::StorageFailed | ProposeError::ShuttingDown)), "{after:?}");
    assert!(!group.leadership().borrow().is_leader || group.read_barrier().await.is_err());
    engine.shutdown().await;
    drop((engine, group));

    let engine = Engine::open(options()).unwrap();
    let group = lead(&engine).await;
    assert!(engine.is_healthy());
    let found = group.view().scan(b"", b"\xff", usize::MAX).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(group.propose(Bytes::from_static(b"again")).await, Ok(2));
    engine.shutdown().await;
}
