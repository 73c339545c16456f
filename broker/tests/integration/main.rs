//! A real broker node on a real engine, and a gateway's stream to it over loopback gRPC.

#![allow(clippy::unwrap_used)] // Tests end where something is not as it should be.

mod cluster;
mod delivery;
mod fencing;
mod gateway;
mod node;
mod presence;
mod slow;
