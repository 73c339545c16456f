//! How a state machine sees its state: ordered bytes to bytes.

use bytes::Bytes;

use crate::error::Error;
use crate::memory_store::MemoryStore;
use crate::state_db::GroupState;

/// The state of one group while commands are applied: ordered keys, alone in their own space. Reads see the writes made
/// before. A read that fails stops the group and discards what the batch wrote, so reads here have no error to handle.
pub trait StateStore {
    /// The value under a key.
    fn get(&self, key: &[u8]) -> Option<Bytes>;
    /// At most `limit` pairs with `from <= key < to`, ascending.
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Bytes)>;
    /// At most `limit` pairs with `from <= key < to`, descending.
    fn scan_reverse(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Bytes)>;
    /// Sets the value under a key.
    fn put(&mut self, key: Vec<u8>, value: Bytes);
    /// Removes a key, if it is there.
    fn delete(&mut self, key: &[u8]);
    /// What was read is damaged, or of a version that this build does not know: stops the group as a failed read does,
    /// and discards what the batch wrote. The reply of the command goes nowhere.
    fn fail(&mut self, reason: String);
}

/// The applied state of one group, for reading from outside of the state machine: each call sees all that was applied
/// when it began. On a replica that does not lead, that may be a little old. Cheap to clone.
#[derive(Clone)]
pub struct StateView(Source);

#[derive(Clone)]
enum Source {
    Disk(GroupState),
    Memory(MemoryStore),
}

impl StateView {
    pub(crate) fn of_disk(state: GroupState) -> Self {
        Self(Source::Disk(state))
    }

    pub(crate) fn of_memory(store: MemoryStore) -> Self {
        Self(Source::Memory(store))
    }

    /// The value under a key. Fails when the storage does, or when what is stored is damaged.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        match &self.0 {
            Source::Disk(state) => state.get(key),
            Source::Memory(store) => Ok(store.get(key)),
        }
    }

    /// At most `limit` pairs with `from <= key < to`, ascending, all of one moment.
    pub fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Error> {
        match &self.0 {
            Source::Disk(state) => state.scan(from, to, limit),
            Source::Memory(store) => Ok(store.scan(from, to, limit)),
        }
    }

    /// At most `limit` pairs with `from <= key < to`, descending, all of one moment.
    pub fn scan_reverse(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Error> {
        match &self.0 {
            Source::Disk(state) => state.scan_reverse(from, to, limit),
            Source::Memory(store) => Ok(store.scan_reverse(from, to, limit)),
        }
    }
}
