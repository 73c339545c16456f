//! The gateway over real sockets, between clients, brokers and a control plane.

// The lint's exception for tests does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod frames;
mod handshake;
mod lifecycle;
mod links;
mod memory;
mod policies;
mod presence;
mod protocol_page;
mod requests;
mod support;
mod tls;
mod web;
