//! Which shard a user's mailbox lives in: `xxh3_64(app ‖ 0 ‖ user) mod shards`. Fixed for the life of a cluster, the
//! same in every language; the vectors below are part of the contract.

use xxhash_rust::xxh3::Xxh3;

/// The most shards that a cluster can have: a stream id keeps its shard in 12 bits.
pub const MAX_SHARDS: u32 = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 12;

/// The shard of a user. `shards` is 1 to [`MAX_SHARDS`].
pub fn shard_of(app: &str, user: &str, shards: u32) -> u32 {
    debug_assert!((1..=MAX_SHARDS).contains(&shards));
    let mut hash = Xxh3::new();
    hash.update(app.as_bytes());
    hash.update(&[0]);
    hash.update(user.as_bytes());
    // The remainder is below `shards`, which is a u32.
    (hash.digest() % u64::from(shards)) as u32
}

/// A stream id: a count that the shard keeps, and the shard in the low bits. Unique in the cluster, rising in a shard.
pub fn stream_id(count: u64, shard: u32) -> u64 {
    debug_assert!(shard < MAX_SHARDS);
    (count << SHARD_BITS) | u64::from(shard)
}

/// The shard that gave out a stream id, where the sender's mailbox lives.
pub fn shard_of_stream(stream: u64) -> u32 {
    (stream & u64::from(MAX_SHARDS - 1)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors() {
        let vectors = [
            ("default", "alice", 4, 3),
            ("default", "bob", 4, 1),
            ("default", "alice", 64, 31),
            ("default", "bob", 64, 61),
            ("shop", "Zoë", 64, 7),
            ("shop", "Zoë", 4096, 1671),
        ];
        for (app, user, shards, expected) in vectors {
            assert_eq!(shard_of(app, user, shards), expected, "{app} {user} {shards}");
        }
    }

    #[test]
    fn the_separator_keeps_app_and_user_apart() {
        assert_ne!(shard_of("ab", "c", 4096), shard_of("a", "bc", 4096));
    }

    #[test]
    fn streams_carry_their_shard_and_rise() {
        assert_eq!(shard_of_stream(stream_id(7, 63)), 63);
        assert!(stream_id(8, 0) > stream_id(7, 4095));
    }
}
