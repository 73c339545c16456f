//! An entry of a mailbox as it is stored: whole, behind format byte 1; where the history has the body, a pointer to it
//! behind format byte 2; where a group has it, a pointer to its place behind format byte 3. A body is thereby stored
//! once, and what is edited or taken back leaves nothing behind in the log of entries.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;
use tidings_proto::mailbox::v1::{EntryPointer, GroupPointer, HistoryRecord};
use tidings_proto::message::v1::{Change, Content, Envelope, change, envelope};

use super::envelope::{MessageHead, Peeked, of_message, peek};
use super::keys::{self, GroupName, MailboxId};
use super::records::{self, CoreError, FORMAT};

/// The format of a pointer into the history.
const POINTER: u8 = 2;
/// The format of a pointer into a group.
const GROUP_POINTER: u8 = 3;

/// An entry that is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub stored: Bytes,
    /// What the mailbox counts it as, in bytes: also a body that stands elsewhere.
    pub cost: u64,
    envelope: Bytes,
}

impl Entry {
    /// An entry that holds its envelope.
    pub fn whole(envelope: &Envelope) -> Self {
        let stored = records::seal(envelope);
        Self { cost: stored.len() as u64, envelope: stored.slice(1..), stored }
    }

    /// An entry of a message, around an encoded `Content`.
    pub fn of_message(head: &MessageHead<'_>, content: &[u8]) -> Self {
        let mut stored = BytesMut::new();
        stored.put_u8(FORMAT);
        of_message(head, Some(content), &mut stored);
        let stored = stored.freeze();
        Self { cost: stored.len() as u64, envelope: stored.slice(1..), stored }
    }

    /// An entry of a message whose envelope stands at a place of the history.
    pub fn pointing_at(envelope: Bytes, head: &MessageHead<'_>, conversation: &str, place: u64) -> Self {
        let mut headless = BytesMut::new();
        of_message(head, None, &mut headless);
        Self::pointer(envelope, headless.freeze(), conversation, place)
    }

    /// A change of a message. An edit's content is that of the message at its place, whenever it is read.
    pub fn of_change(change: &Change, conversation: &str, place: u64) -> Self {
        let whole = Envelope { event: Some(envelope::Event::Change(change.clone())) };
        if change.kind() != change::Kind::Edit {
            return Self::whole(&whole);
        }
        let headless = Change { content: None, ..change.clone() };
        let headless = Envelope { event: Some(envelope::Event::Change(headless)) };
        Self::pointer(whole.encode_to_vec().into(), headless.encode_to_vec().into(), conversation, place)
    }

    fn pointer(envelope: Bytes, head: Bytes, conversation: &str, place: u64) -> Self {
        let bytes = envelope.len() as u64;
        let stored = seal_as(POINTER, &EntryPointer { conversation: conversation.to_owned(), place, bytes, head });
        Self { cost: stored.len() as u64 + bytes, envelope, stored }
    }

    /// An entry of something whose envelope stands in the order of a group. The body is not its own, and does not
    /// count.
    pub fn of_group(pointer: &GroupPointer, envelope: Bytes) -> Self {
        let stored = seal_as(GROUP_POINTER, pointer);
        Self { cost: stored.len() as u64, envelope, stored }
    }

    /// The envelope, as it is sent.
    pub fn envelope(&self) -> Bytes {
        self.envelope.clone()
    }
}

fn seal_as(format: u8, pointer: &impl prost::Message) -> Bytes {
    let mut stored = BytesMut::with_capacity(1 + pointer.encoded_len());
    stored.put_u8(format);
    pointer.encode(&mut stored).expect("the buffer has the pointer's length");
    stored.freeze()
}

/// An entry that was stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored {
    /// Its envelope.
    Whole(Bytes),
    Pointer(EntryPointer),
    Group(GroupPointer),
}

impl Stored {
    /// Reads a stored entry, and what the mailbox counts it as.
    pub fn open(stored: Bytes) -> Result<(Self, u64), CoreError> {
        let length = stored.len() as u64;
        match stored.first() {
            Some(&POINTER) => {
                let pointer: EntryPointer = open_pointer(&stored)?;
                let cost = length + pointer.bytes;
                Ok((Self::Pointer(pointer), cost))
            }
            Some(&GROUP_POINTER) => Ok((Self::Group(open_pointer(&stored)?), length)),
            _ => Ok((Self::Whole(records::open_bytes("entry", stored)?), length)),
        }
    }

    /// What is known of it without its body.
    pub fn peek(&self) -> Result<Peeked<'_>, CoreError> {
        match self {
            Self::Whole(envelope) => peek(envelope),
            Self::Pointer(pointer) => peek(&pointer.head),
            Self::Group(pointer) => Ok(Peeked::Group(pointer)),
        }
    }
}

fn open_pointer<P: prost::Message + Default>(stored: &Bytes) -> Result<P, CoreError> {
    P::decode(stored.slice(1..)).map_err(|error| CoreError::Damaged { what: "entry", reason: error.to_string() })
}

/// The envelope that a stored entry of a mailbox stands for; `None` when the body that it points to is gone. `read`
/// answers what is stored under a key.
pub fn envelope_of<E: From<CoreError>>(
    mailbox: &MailboxId,
    stored: Stored,
    read: impl Fn(&[u8]) -> Result<Option<Bytes>, E>,
) -> Result<Option<Bytes>, E> {
    match stored {
        Stored::Whole(envelope) => Ok(Some(envelope)),
        Stored::Pointer(pointer) => {
            let Some(record) = read(&keys::history(mailbox, &pointer.conversation, pointer.place))? else {
                return Ok(None);
            };
            Ok(Some(resolve(pointer, records::open("message", record)?)?))
        }
        Stored::Group(pointer) => {
            let group = GroupName::new(mailbox.app(), &pointer.group);
            let group = group.ok_or(CoreError::Contradiction("an entry points to no group"))?;
            let body = |place| read(&keys::group_body(&group, place));
            let Some(stored) = body(pointer.group_seq)? else { return Ok(None) };
            let envelope = records::open_bytes("group body", stored)?;
            resolve_in_group(envelope, body)
        }
    }
}

/// The envelope that a pointer stands for, from the record at its place.
fn resolve(pointer: EntryPointer, record: HistoryRecord) -> Result<Bytes, CoreError> {
    match decode(&pointer.head)? {
        envelope::Event::Change(change) => {
            let content = content_of(&record.envelope)?;
            let event = envelope::Event::Change(Change { content, ..change });
            Ok(Envelope { event: Some(event) }.encode_to_vec().into())
        }
        _ => Ok(record.envelope),
    }
}

/// The envelope of what stands at a place of a group, of an edit with the content that its message has now. `read`
/// answers a body as it is stored; `None` when the message is gone.
pub fn resolve_in_group<E: From<CoreError>>(
    envelope: Bytes,
    read: impl FnOnce(u64) -> Result<Option<Bytes>, E>,
) -> Result<Option<Bytes>, E> {
    if !matches!(peek(&envelope)?, Peeked::Change { .. }) {
        return Ok(Some(envelope));
    }
    match decode(&envelope)? {
        envelope::Event::Change(change) if change.kind() == change::Kind::Edit => {
            let Some(of) = read(change.of_group_seq)? else { return Ok(None) };
            let content = content_of(&records::open_bytes("group body", of)?)?;
            let event = envelope::Event::Change(Change { content, ..change });
            Ok(Some(Envelope { event: Some(event) }.encode_to_vec().into()))
        }
        _ => Ok(Some(envelope)),
    }
}

fn content_of(envelope: &Bytes) -> Result<Option<Content>, CoreError> {
    match decode(envelope)? {
        envelope::Event::Message(message) => Ok(message.content),
        _ => Ok(None),
    }
}

/// The event of a stored envelope.
pub fn decode(envelope: &Bytes) -> Result<envelope::Event, CoreError> {
    let damaged = |reason: String| CoreError::Damaged { what: "envelope", reason };
    let decoded = Envelope::decode(envelope.clone()).map_err(|error| damaged(error.to_string()))?;
    decoded.event.ok_or_else(|| damaged("no event".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never change these bytes: they are stored.
    #[test]
    fn golden_pointers() {
        let group = "team".to_owned();
        let pointer = GroupPointer {
            group,
            group_seq: 300,
            at_ms: 4,
            expires_at_ms: 5,
            is_message: true,
            ..GroupPointer::default()
        };
        let entry = Entry::of_group(&pointer, Bytes::from_static(b"body"));
        assert_eq!(&entry.stored[..], b"\x03\x0a\x04team\x10\xac\x02\x18\x04\x20\x05\x28\x01");
        assert_eq!(Stored::open(entry.stored), Ok((Stored::Group(pointer), 16)));

        let head = MessageHead { stream: 1, seq: 2, from: "bob", ..MessageHead::default() };
        let entry = Entry::pointing_at(Bytes::from_static(b"body"), &head, "bob", 3);
        assert_eq!(
            &entry.stored[..],
            b"\x02\x0a\x03bob\x10\x03\x18\x04\x22\x0f\x0a\x0d\x0a\x04\x08\x01\x10\x02\x12\x03bob\x1a\x00"
        );
        let (stored, cost) = Stored::open(entry.stored).unwrap();
        assert_eq!((stored.peek(), cost), (Ok(Peeked::Message(head)), entry.cost));
    }
}
