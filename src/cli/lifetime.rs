//! When a message is sent, and how long it lasts, on the command line.

use std::time::Duration;

use clap::{Args, ValueEnum};
use tidings_sdk::{Disappearance, disappearance};

use super::duration;
use super::moment::{self, Moment};

/// Options of every command that sends.
#[derive(Debug, Args)]
pub struct LifetimeOptions {
    /// How long the message may wait to be delivered; 0: only to devices that are online now
    #[arg(long, value_parser = duration::parse)]
    pub ttl: Option<Duration>,
    /// After so long it is taken out of all histories, and of what devices have yet to be given
    #[arg(long, value_parser = duration::parse)]
    disappear: Option<Duration>,
    /// When that time begins
    #[arg(long, value_enum, default_value_t = Start::Sent, requires = "disappear")]
    from: Start,
    /// When to send it: `10m` from now, or 2027-01-01T08:00:00Z; until then it waits on the server, and can be
    /// cancelled
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    pub at: Option<Moment>,
}

/// When the time of a message that disappears begins.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Start {
    /// When it is sent
    Sent,
    /// When the first device has it
    Delivered,
    /// When it was read
    Read,
}

impl From<Start> for disappearance::Start {
    fn from(start: Start) -> Self {
        match start {
            Start::Sent => Self::Sent,
            Start::Delivered => Self::Delivered,
            Start::Read => Self::Read,
        }
    }
}

impl LifetimeOptions {
    /// When it disappears, if it does.
    pub fn disappears(&self) -> Option<Disappearance> {
        let from = disappearance::Start::from(self.from).into();
        self.disappear.map(|after| Disappearance { after_ms: milliseconds(after), from })
    }
}

/// As messages hold a while.
pub fn milliseconds(while_: Duration) -> u64 {
    u64::try_from(while_.as_millis()).unwrap_or(u64::MAX)
}
