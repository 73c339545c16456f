//! System tests: real processes of the `tidings` binary, real sockets, real faults. Each file under `tests/` shows one
//! promise or one kind of fault.
//!
//! - [`binary`]: where the binary is; [`shell`]: its commands, as a person types them
//! - [`node`]: a node that can be started, killed and measured
//! - [`control`]: users and tokens over gRPC; [`nodes`]: what nodes are told
//! - [`answers`]: what clients are answered; [`change_windows`], [`contents`], [`group_life`]: people who try what
//!   there is
//! - [`deletions`]: what is said and taken back, and what is left of it
//! - [`group_kinds`]: a help desk and a radio
//! - [`group_view`]: what a member sees of a group
//! - [`company`]: people with several devices, who chat for a day; [`crowd`]: three among more than a thousand
//! - [`raw`]: a WebSocket without the SDK, to say what no SDK would
//! - [`http`]: plain requests to the client port
//! - [`proxy`]: connections that can be cut
//! - [`redis`]: a Redis server; [`s3`]: servers that speak S3
//! - [`certificates`]: a certificate authority
//! - [`traffic`], [`recorder`]: numbered messages, and the account of who was told what
//!
//! `TIDINGS_BIN` names the binary, `TIDINGS_LAST_RELEASE` that of the last release; without them, they are built.
//! `TIDINGS_SEED` repeats a run.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

pub mod answers;
pub mod binary;
pub mod certificates;
pub mod change_windows;
pub mod company;
pub mod contents;
pub mod control;
pub mod crowd;
pub mod deletions;
pub mod group_kinds;
pub mod group_life;
pub mod group_view;
pub mod http;
pub mod node;
pub mod nodes;
pub mod proxy;
pub mod raw;
pub mod recorder;
pub mod redis;
pub mod s3;
pub mod settings;
pub mod shell;
pub mod traffic;

use std::future::Future;
use std::time::Duration;

pub use control::Control;
pub use node::Node;
pub use nodes::Nodes;
pub use raw::RawClient;
use tidings_sdk::{Event, Events, Message};

/// The longest that a step of a test may take, on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for something that must happen; names it when it does not.
pub async fn within<F: Future>(limit: Duration, what: &str, future: F) -> F::Output {
    match tokio::time::timeout(limit, future).await {
        Ok(output) => output,
        Err(_) => panic!("did not happen within {limit:?}: {what}"),
    }
}

/// The next message that a client is shown, whatever else it is told before.
pub async fn next_message(events: &mut Events) -> Message {
    told(events, "a message comes", |event| if let Event::Message(message) = event { Some(message) } else { None })
        .await
}

/// Waits until a client is told what is wanted.
pub async fn told<T>(events: &mut Events, what: &str, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    within(DEADLINE, what, async {
        loop {
            if let Some(found) = wanted(events.next().await.expect("the client goes on")) {
                return found;
            }
        }
    })
    .await
}

/// The seed of a run, printed so that it can be repeated.
pub fn seed() -> u64 {
    let named = std::env::var("TIDINGS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = named.unwrap_or_else(rand::random);
    println!("repeat with TIDINGS_SEED={seed}");
    seed
}
