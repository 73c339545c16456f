//! Three control-plane nodes, three brokers, two gateways, each a process of its own: one of them dies, pauses, moves,
//! comes or goes, and nothing that was accepted is lost, doubled or reordered (promises 1 to 5).

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod backend_messages;
mod backends;
mod blocks;
mod company;
mod contacts;
mod contents;
mod control_plane;
mod damage;
mod endings;
mod erasure;
mod failover;
mod fencing;
mod group_conversations;
mod group_live;
mod groups;
mod history;
mod mailboxes;
mod members;
mod mixed_versions;
mod policies;
mod presence;
mod quorum;
mod receipts;
mod recover;
mod refusals;
mod resize;
mod scheduled;
mod search;
mod sessions;
mod support;
mod tls;
mod user_deletion;
