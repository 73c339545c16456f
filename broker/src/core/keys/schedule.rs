//! Keys of messages that wait for their time, in the shard of their sender: a user, or the system of an app.

use tidings_proto::message::v1::MessageId;

use super::{MailboxId, SCHEDULE, SCHEDULE_DUE, SCHEDULE_SENDER, SCHEDULED, key, time};

/// Whose messages wait.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scheduler {
    /// The user; of the system, the name that recipients see.
    pub mailbox: MailboxId,
    pub is_system: bool,
}

impl Scheduler {
    /// `None` as for [`MailboxId::new`].
    pub fn new(app: &str, user: &str, is_system: bool) -> Option<Self> {
        MailboxId::new(app, user).map(|mailbox| Self { mailbox, is_system })
    }

    fn bytes(&self) -> [&[u8]; 2] {
        [&self.mailbox.0, if self.is_system { &[1] } else { &[0] }]
    }
}

/// What one has scheduled.
pub fn schedule(of: &Scheduler) -> Vec<u8> {
    key(SCHEDULE, &of.bytes())
}

/// A message that waits.
pub fn scheduled(of: &Scheduler, id: MessageId) -> Vec<u8> {
    let [mailbox, owner] = of.bytes();
    key(SCHEDULED, &[mailbox, owner, &id.stream.to_be_bytes(), &id.seq.to_be_bytes()])
}

/// The messages of one that wait, as the ends of a scan.
pub fn all_scheduled(of: &Scheduler) -> (Vec<u8>, Vec<u8>) {
    let [mailbox, owner] = of.bytes();
    (key(SCHEDULED, &[mailbox, owner]), key(SCHEDULED, &[mailbox, &[owner[0] + 1]]))
}

/// The id in such a key.
pub fn scheduled_id(key: &[u8]) -> Option<MessageId> {
    let (kind, rest) = key.split_first()?;
    let (_, id) = split_id(rest)?;
    (*kind == SCHEDULED).then_some(id)
}

/// A message whose time comes.
pub fn schedule_due(at_ms: i64, of: &Scheduler, id: MessageId) -> Vec<u8> {
    let [mailbox, owner] = of.bytes();
    key(SCHEDULE_DUE, &[&time(at_ms), mailbox, owner, &id.stream.to_be_bytes(), &id.seq.to_be_bytes()])
}

/// Every message whose time comes before another, as the ends of a scan.
pub fn schedule_due_before(at_ms: i64) -> (Vec<u8>, Vec<u8>) {
    (key(SCHEDULE_DUE, &[]), key(SCHEDULE_DUE, &[&time(at_ms)]))
}

/// Whose message it is in such a key, and its id.
pub fn due_scheduled(key: &[u8]) -> Option<(Scheduler, MessageId)> {
    let (kind, rest) = key.split_first()?;
    let (_, rest) = rest.split_first_chunk::<8>()?;
    let (owner, id) = split_id(rest)?;
    let (is_system, mailbox) = owner.split_last()?;
    let of = Scheduler { mailbox: MailboxId::from_key(mailbox)?, is_system: *is_system == 1 };
    (*kind == SCHEDULE_DUE).then_some((of, id))
}

/// What a user's schedule keeps of one of the user's devices.
pub fn schedule_sender(mailbox: &MailboxId, slot: u8) -> Vec<u8> {
    key(SCHEDULE_SENDER, &[&mailbox.0, &[slot]])
}

fn split_id(key: &[u8]) -> Option<(&[u8], MessageId)> {
    let (rest, seq) = key.split_last_chunk::<8>()?;
    let (rest, stream) = rest.split_last_chunk::<8>()?;
    Some((rest, MessageId { stream: u64::from_be_bytes(*stream), seq: u64::from_be_bytes(*seq) }))
}
