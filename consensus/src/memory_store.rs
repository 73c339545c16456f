//! A state store in memory, for property tests of state machines: the same contract without a disk.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::state_store::{StateStore, StateView};

/// Ordered bytes to bytes in memory. Two replicas that applied the same have equal [`dump`](Self::dump)s.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStore(BTreeMap<Vec<u8>, Bytes>, Option<String>);

impl MemoryStore {
    /// Everything, in order.
    pub fn dump(&self) -> Vec<(Bytes, Bytes)> {
        self.0.iter().map(|(key, value)| (Bytes::copy_from_slice(key), value.clone())).collect()
    }

    /// Why the state machine found its state damaged, if it did.
    pub fn failure(&self) -> Option<&str> {
        self.1.as_deref()
    }

    /// A view of what is in the store now; later writes do not change it.
    pub fn view(&self) -> StateView {
        StateView::of_memory(self.clone())
    }

    fn range(&self, from: &[u8], to: &[u8]) -> impl DoubleEndedIterator<Item = (Bytes, Bytes)> {
        let range = self.0.range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Excluded(to)));
        range.map(|(key, value)| (Bytes::copy_from_slice(key), value.clone()))
    }
}

impl StateStore for MemoryStore {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(key).cloned()
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        if from >= to {
            return Vec::new();
        }
        self.range(from, to).take(limit).collect()
    }

    fn scan_reverse(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        if from >= to {
            return Vec::new();
        }
        self.range(from, to).rev().take(limit).collect()
    }

    fn put(&mut self, key: Vec<u8>, value: Bytes) {
        self.0.insert(key, value);
    }

    fn delete(&mut self, key: &[u8]) {
        self.0.remove(key);
    }

    fn fail(&mut self, reason: String) {
        self.1.get_or_insert(reason);
    }
}
