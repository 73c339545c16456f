//! The services over real gRPC on loopback, on a real engine on disk.

#![allow(clippy::unwrap_used)] // These are tests through and through.

mod backends;
mod groups;
mod harness;
mod nodes;
mod policies;
mod restart;
mod watch;
