//! Shards: the mailboxes of users, delivery to their devices, and receipts back to senders. A shard is a Raft group;
//! its state machine is a pure core, and its leader keeps in memory who is attached.
//!
//! - [`core`]: a command in, records and effects out: what is accepted, in which order, and until when it is kept
//! - [`machine`]: runs the core under consensus
//! - [`shard`]: the leader's memory: sessions, windows, pushes, acknowledgements; the courier to other shards
//! - [`link`]: the stream that a gateway holds for all its sessions
//! - [`post`]: messages of backends, and where a message is
//! - [`query`]: what a shard's state answers to its users' questions
//! - [`release_terms`]: what policies say to a scheduled message when its time has come
//! - [`relay`]: from shard to shard, in this process or over gRPC
//! - [`group_feed`]: what the control plane says of groups, into the shards that are their homes
//! - [`group_receipts`]: how far messages to groups have come, to those who sent them and want to be told
//! - [`group_activity`]: what a member of a group is doing just now, to the members who are online
//! - [`group_live`]: messages to groups that are stored nowhere
//! - [`broker`]: puts the parts of a node together; [`placer`] opens the shards that the shard map places on it
//! - [`level`]: what all brokers of the cluster apply, while one after the other is upgraded
//! - [`config`], [`error`], [`metrics`]

pub mod broker;
pub mod config;
pub mod core;
pub mod error;
pub mod group_activity;
pub mod group_feed;
pub mod group_live;
pub mod group_receipts;
mod group_search;
pub mod level;
pub mod link;
pub mod machine;
pub mod metrics;
pub mod placer;
pub mod post;
pub mod query;
mod reign;
pub mod relay;
pub mod release_terms;
pub mod shard;
pub mod shards;

pub use broker::{Broker, BrokerOptions, group_of};
pub use config::BrokerConfig;
pub use core::level::LEVEL;
pub use error::Error;
pub use group_feed::registry::GroupRegistry;
