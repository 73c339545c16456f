//! A real broker node on a real engine, and a gateway's stream to it over loopback gRPC.

mod cluster;
mod delivery;
mod fencing;
mod gateway;
mod node;
mod slow;
