//! The links that are up, to tell all gateways at once which shards this node leads.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tidings_proto::broker::v1::{Leads, LedShard, broker_frame};

use super::outbox::Outbox;

/// Outboxes by link. Cheap to clone; bounded by the connections that there are.
#[derive(Clone, Default)]
pub struct Links(Arc<Mutex<BTreeMap<u64, Arc<Outbox>>>>);

impl Links {
    /// A link is up: it is told of these shards, and of every later one until it is removed.
    pub fn add(&self, outbox: &Arc<Outbox>, led: Vec<LedShard>) {
        // Told under the lock: what is announced meanwhile comes after it.
        let mut links = self.0.lock();
        if !led.is_empty() {
            outbox.push(broker_frame::Frame::Leads(Leads { shards: led }));
        }
        links.insert(outbox.id, outbox.clone());
    }

    /// A link has ended.
    pub fn remove(&self, link: u64) {
        self.0.lock().remove(&link);
    }

    /// This node leads a shard from now on, in a term.
    pub fn announce(&self, shard: u32, term: u64) {
        for outbox in self.0.lock().values() {
            outbox.push(broker_frame::Frame::Leads(Leads { shards: vec![LedShard { shard, term }] }));
        }
    }
}
