//! The writes of a batch that is being applied, laid over the state on disk: reads see both, and nothing is visible to
//! others before the whole batch is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use rocksdb::WriteBatch;

use crate::error::Error;
use crate::recent::Recent;
use crate::state_db::GroupState;
use crate::state_store::StateStore;

pub(crate) struct Overlay {
    state: GroupState,
    /// `None` is a deletion.
    writes: BTreeMap<Vec<u8>, Option<Bytes>>,
    bytes: usize,
    /// Of the state on disk.
    recent: RefCell<Recent>,
    /// The first read that failed; what was computed after it is worth nothing.
    read_error: RefCell<Option<Error>>,
}

impl Overlay {
    pub(crate) fn new(state: GroupState, recent: Recent) -> Self {
        let recent = RefCell::new(recent);
        Self { state, writes: BTreeMap::new(), bytes: 0, recent, read_error: RefCell::new(None) }
    }

    /// What the next overlay may know, when all writes were taken and are visible.
    pub(crate) fn into_recent(self) -> Recent {
        self.recent.into_inner()
    }

    /// Bytes of keys and values written so far.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the writes out, into a batch; fails if a read had failed.
    pub(crate) fn take(&mut self) -> Result<WriteBatch, Error> {
        if let Some(error) = self.read_error.take() {
            return Err(error);
        }
        let mut batch = WriteBatch::with_capacity_bytes(self.bytes + 64 * self.writes.len());
        for (key, value) in std::mem::take(&mut self.writes) {
            self.recent.get_mut().written(&key, &value);
            let key = self.state.data_key(&key);
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        self.bytes = 0;
        Ok(batch)
    }

    fn or_stop<T: Default>(&self, read: Result<T, Error>) -> T {
        read.unwrap_or_else(|error| {
            self.read_error.borrow_mut().get_or_insert(error);
            T::default()
        })
    }

    fn read(&self, key: &[u8]) -> Option<Bytes> {
        if let Some(known) = self.recent.borrow_mut().get(key) {
            return known;
        }
        match self.state.get(key) {
            Ok(value) => {
                self.recent.borrow_mut().read(key, &value);
                value
            }
            failed => self.or_stop(failed),
        }
    }

    fn scan_in(&self, from: &[u8], to: &[u8], limit: usize, order: Order) -> Vec<(Bytes, Bytes)> {
        if from >= to || limit == 0 {
            return Vec::new();
        }
        let range = (Bound::Included(from), Bound::Excluded(to));
        let mut writes: Vec<_> = self.writes.range::<[u8], _>(range).collect();
        // Each deletion can hide one stored pair at most.
        let hidden = writes.iter().filter(|(_, value)| value.is_none()).count();
        let stored = match order {
            Order::Ascending => self.state.scan(from, to, limit.saturating_add(hidden)),
            Order::Descending => {
                writes.reverse();
                self.state.scan_reverse(from, to, limit.saturating_add(hidden))
            }
        };
        let mut stored = self.or_stop(stored).into_iter().peekable();
        let mut writes = writes.into_iter().peekable();
        let mut merged = Vec::with_capacity(limit.min(256));
        while merged.len() < limit {
            let stored_comes_first = match (stored.peek(), writes.peek()) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((on_disk, _)), Some((written, _))) => match order {
                    Order::Ascending => on_disk.as_ref() < written.as_slice(),
                    Order::Descending => on_disk.as_ref() > written.as_slice(),
                },
            };
            if stored_comes_first {
                merged.extend(stored.next());
            } else if let Some((key, value)) = writes.next() {
                stored.next_if(|(on_disk, _)| on_disk.as_ref() == key.as_slice());
                merged.extend(value.as_ref().map(|value| (Bytes::copy_from_slice(key), value.clone())));
            }
        }
        merged
    }
}

#[derive(Clone, Copy)]
enum Order {
    Ascending,
    Descending,
}

impl StateStore for Overlay {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        match self.writes.get(key) {
            Some(value) => value.clone(),
            None => self.read(key),
        }
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        self.scan_in(from, to, limit, Order::Ascending)
    }

    fn scan_reverse(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        self.scan_in(from, to, limit, Order::Descending)
    }

    fn put(&mut self, key: Vec<u8>, value: Bytes) {
        self.bytes += key.len() + value.len();
        self.writes.insert(key, Some(value));
    }

    fn delete(&mut self, key: &[u8]) {
        self.bytes += key.len();
        self.writes.insert(key.to_vec(), None);
    }

    fn fail(&mut self, reason: String) {
        let group = self.state.group();
        self.read_error.get_mut().get_or_insert(Error::Inconsistent { group, reason });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use rocksdb::DB;

    use super::*;
    use crate::failure::Failure;
    use crate::group_id::GroupId;
    use crate::memory_store::MemoryStore;

    #[derive(Debug, Clone)]
    enum Step {
        Put(u8, u8),
        Delete(u8),
        MakeVisible,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..20u8, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
            3 => (0..20u8).prop_map(Step::Delete),
            1 => Just(Step::MakeVisible),
        ];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The overlay on disk and the store in memory are the same to whoever reads them.
        #[test]
        fn is_the_same_as_a_store_in_memory(steps in steps(), from in 0..20u8, to in 0..20u8, limit in 0..12usize) {
            let folder = tempfile::tempdir().unwrap();
            let database = Arc::new(DB::open_default(folder.path()).unwrap());
            let state = |group| GroupState::new(GroupId(group), database.clone(), Arc::new(Failure::new()));
            // Neighbours whose keys must not show.
            for group in [1, 3] {
                let mut neighbour = Overlay::new(state(group), Recent::default());
                neighbour.put(vec![5], Bytes::from_static(b"other"));
                state(group).write(neighbour.take().unwrap()).unwrap();
            }
            let mut overlay = Overlay::new(state(2), Recent::default());
            let mut memory = MemoryStore::default();
            for step in steps {
                match step {
                    Step::Put(key, value) => {
                        overlay.put(vec![key], Bytes::from(vec![value]));
                        memory.put(vec![key], Bytes::from(vec![value]));
                    }
                    Step::Delete(key) => {
                        overlay.delete(&[key]);
                        memory.delete(&[key]);
                    }
                    Step::MakeVisible => state(2).write(overlay.take().unwrap()).unwrap(),
                }
                prop_assert_eq!(overlay.get(&[from]), memory.get(&[from]));
                prop_assert_eq!(overlay.scan(&[from], &[to], limit), memory.scan(&[from], &[to], limit));
                prop_assert_eq!(overlay.scan_reverse(&[from], &[to], limit), memory.scan_reverse(&[from], &[to], limit));
                prop_assert_eq!(overlay.scan(&[], &[0xff], 99), memory.dump());
            }
        }
    }
}
