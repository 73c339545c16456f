//! The names of nodes and of consensus groups.

use std::fmt;

/// A node of the cluster, the same in every group that it has a replica of.
pub type NodeId = u64;

/// A consensus group: a shard, or the control plane. At most [`GroupId::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

impl GroupId {
    /// The largest group id; the one above it is the stores' own.
    pub const MAX: Self = Self(u32::MAX - 1);
}

impl fmt::Display for GroupId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
