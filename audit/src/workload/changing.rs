//! Changes of earlier messages: other texts, and texts that are taken away. What is changed is the last message that
//! was accepted, so that some of it is on its way still.

use rand::Rng as _;
use rand::rngs::SmallRng;
use tidings_sdk::{Change as Changed, Client, MessageId, SendError, Sending};

use super::device::To;
use super::naming::edited;
use super::owner;
use crate::history::{Change, Event};
use crate::people::Person;

/// One of so many messages of a user changes an earlier one.
const CHANGE_ONE_OF: u32 = 10;
/// One change of so many is a recall, and as many are wipes.
const GONE_ONE_OF: u32 = 4;

/// A message that may be changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accepted {
    pub(super) number: u64,
    pub(super) id: MessageId,
    pub(super) to: To,
}

/// A change that is to be given to the client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changing {
    of: Accepted,
    change: Change,
}

impl Changing {
    /// Whether what is given next changes the last message that was accepted, and how.
    pub(super) fn draw(last: Option<Accepted>, rng: &mut SmallRng) -> Option<Self> {
        let of = last.filter(|_| rng.random_ratio(1, CHANGE_ONE_OF))?;
        let change = match rng.random_range(0..GONE_ONE_OF) {
            0 => Change::Recall,
            1 => Change::Wipe,
            _ => Change::Edit,
        };
        Some(Self { of, change })
    }

    /// It is given to the client, under a number.
    pub(super) fn event(&self, number: u64) -> Event {
        let Self { of: Accepted { number: of, to, .. }, change } = *self;
        match to {
            To::User(to) => Event::GivenChange { number, to, of, change },
            To::Group(group) => Event::GivenGroupChange { number, group, of, change },
        }
    }

    pub(super) async fn give(&self, number: u64, client: &Client, people: &[Person]) -> Result<Sending, SendError> {
        let Accepted { number: of, id, to } = self.of;
        let change = match self.change {
            Change::Edit => Changed::edit(edited(of, number)),
            Change::Recall => Changed::recall(),
            Change::Wipe => Changed::wipe(),
        };
        match to {
            To::User(to) => client.change(&people[to as usize].id, id, change).await,
            To::Group(group) => client.change_in_group(owner::group_of(people, group), id, change).await,
        }
    }
}
