//! The bridge from consensus to the pure core: applies commands, and hands what they led to to the shard's memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tidings_consensus::{ApplyContext, Error, StateMachine, StateStore, StateView};
use tidings_proto::ErrorCode;
use tokio::sync::mpsc;

use crate::core::{Core, Effect, Reply};
use crate::group_receipts::ReceiptWatches;
use crate::metrics::Metrics;
use crate::shard::backlog::Backlog;

/// One replica of a shard.
pub struct ShardMachine {
    core: Core,
    effects: Vec<Effect>,
    observer: Observer,
    commands: u32,
    busy: Duration,
    metrics: Metrics,
}

/// Who wants to know what was applied. The shard's memory is the leader's alone: elsewhere nobody asks.
#[derive(Clone)]
pub struct Observer {
    /// Whether entries are wanted. Whoever sets it reads from the store, afterwards, what came before.
    pub wanted: Arc<AtomicBool>,
    pub entries: mpsc::Sender<Vec<Effect>>,
    pub backlog: Arc<Backlog>,
    pub receipts: Arc<ReceiptWatches>,
}

impl ShardMachine {
    /// A replica that has applied nothing.
    pub fn new(core: Core, observer: Observer, metrics: Metrics) -> Self {
        Self { core, effects: Vec::new(), observer, commands: 0, busy: Duration::ZERO, metrics }
    }
}

impl StateMachine for ShardMachine {
    type Reply = Reply;

    fn apply(&mut self, context: &ApplyContext, command: &[u8], store: &mut dyn StateStore) -> Reply {
        let begun = Instant::now();
        let reply = self.core.apply(context, command, store, &mut self.effects).unwrap_or_else(|error| {
            tracing::error!(shard = self.core.shard, index = context.index, %error, "the shard stops");
            store.fail(error.to_string());
            Reply::Refused(ErrorCode::StorageFailed)
        });
        self.commands += 1;
        self.busy += begun.elapsed();
        reply
    }

    async fn committed(&mut self, _is_leader: bool) {
        self.metrics.applied(std::mem::take(&mut self.commands), std::mem::take(&mut self.busy));
        let (backlog, receipts) = (&self.observer.backlog, &self.observer.receipts);
        self.effects.retain(|effect| match effect {
            Effect::Owed { target } => {
                backlog.mark(*target);
                false
            }
            Effect::ReceiptsMoved { group } => {
                receipts.moved(group);
                false
            }
            _ => true,
        });
        if self.effects.is_empty() {
            return;
        }
        let effects = std::mem::take(&mut self.effects);
        if self.observer.wanted.load(Ordering::SeqCst) {
            // Fails when the shard is closing: nobody is left who would want it.
            let _ = self.observer.entries.send(effects).await;
        }
    }

    fn restored(&mut self, _view: &StateView) -> Result<(), Error> {
        self.effects.clear();
        Ok(())
    }
}
