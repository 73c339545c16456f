//! Typed reading of the state, the same for commands that are being applied and for questions from outside.

use bytes::Bytes;
use prost::Message;
use tidings_consensus::{StateStore, StateView};
use tidings_proto::ErrorCode;

use super::record;
use super::refusal::Refusal;

/// Ordered bytes to bytes that can be read.
pub trait Read {
    /// The value under a key.
    fn value(&self, key: &[u8]) -> Result<Option<Bytes>, Refusal>;

    /// At most `limit` pairs with `from <= key < to`, ascending.
    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Refusal>;

    /// The record under a key.
    fn record<T: Message + Default>(&self, key: &[u8]) -> Result<Option<T>, Refusal> {
        Ok(self.value(key)?.map(|bytes| record::decode(&bytes)).transpose()?)
    }

    /// The records with `from <= key < to`, at most `limit`, ascending.
    fn records<T: Message + Default>(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, T)>, Refusal> {
        let pairs = self.range(from, to, limit)?;
        pairs.into_iter().map(|(key, bytes)| Ok((key, record::decode(&bytes)?))).collect()
    }
}

impl Read for StateView {
    fn value(&self, key: &[u8]) -> Result<Option<Bytes>, Refusal> {
        self.get(key).map_err(failed)
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Refusal> {
        self.scan(from, to, limit).map_err(failed)
    }
}

fn failed(error: tidings_consensus::Error) -> Refusal {
    Refusal::new(ErrorCode::StorageFailed, error.to_string())
}

impl Read for dyn StateStore + '_ {
    fn value(&self, key: &[u8]) -> Result<Option<Bytes>, Refusal> {
        Ok(self.get(key))
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Refusal> {
        Ok(self.scan(from, to, limit))
    }
}
