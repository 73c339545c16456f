//! A shard in memory for the tests of the core: remembers its log, and checks after every command what always holds.

use std::collections::BTreeSet;

use bytes::Bytes;
use prost::Message as _;
use tidings_proto::mailbox::v1::{
    AppendMessage, AttachDevice, ChannelDeliver, ExpireDue, MailboxRecord, MarkRead, MoveCursor, PostMessage,
    command::Command,
};
use tidings_proto::message::v1::{Envelope, Failure, Message, Receipt, envelope};

use super::entry::{self, Stored};
use super::group::fan_out::fill_bodies;
use super::level::LEVEL;
use super::{AttachedDevice, Bounds, Core, CoreError, Effect, GroupName, MailboxId, Reply, encode_at, keys, records};
use tidings_consensus::{ApplyContext, MemoryStore, StateStore};

pub const APP: &str = "app";

/// One shard.
pub struct Shard {
    pub core: Core,
    pub store: MemoryStore,
    /// Of the last command.
    pub effects: Vec<Effect>,
    pub now_ms: i64,
    /// As [`Core::apply_within`] takes them.
    pub(in crate::core) bounds: Bounds,
    /// Items that came through a channel of its own, for tests of what homes are told.
    pub(in crate::core) receipt_items: u64,
    /// What its brokers know.
    pub level: u32,
    index: u64,
    log: Vec<(i64, u64, Bytes)>,
}

pub fn mailbox_of(user: &str) -> MailboxId {
    MailboxId::new(APP, user).unwrap()
}

pub fn message(to: &str, from: &AttachedDevice, from_user: &str, seq: u64) -> AppendMessage {
    AppendMessage {
        app: APP.to_owned(),
        to: to.to_owned(),
        from: from_user.to_owned(),
        from_slot: from.slot,
        stream: from.stream,
        seq,
        content: Bytes::from_static(b"\x1a\x02hi"),
        ..AppendMessage::default()
    }
}

/// What a backend sends to bob.
pub fn post(from: &str, request_id: &str) -> PostMessage {
    let message = AppendMessage {
        app: APP.to_owned(),
        to: "bob".to_owned(),
        from: from.to_owned(),
        content: Bytes::from_static(b"\x1a\x02hi"),
        ..AppendMessage::default()
    };
    PostMessage { message: Some(message), request_id: request_id.to_owned(), ..PostMessage::default() }
}

impl Shard {
    pub fn new(shard: u32, shards: u32) -> Self {
        Self {
            core: Core { shard, shards },
            store: MemoryStore::default(),
            effects: Vec::new(),
            now_ms: 1_700_000_000_000,
            bounds: Bounds::default(),
            receipt_items: 0,
            level: LEVEL,
            index: 0,
            log: Vec::new(),
        }
    }

    /// A cluster of one shard: all users are its own.
    pub fn alone() -> Self {
        Self::new(0, 1)
    }

    pub fn apply(&mut self, command: Command) -> Reply {
        self.index += 1;
        let command = encode_at(command, self.level);
        self.log.push((self.now_ms, self.index, command.clone()));
        let before = self.store.dump();
        self.effects.clear();
        let context = ApplyContext { now_ms: self.now_ms, index: self.index, ordinal: 0, term: 1 };
        let reply =
            self.core.apply_within(self.bounds, &context, &command, &mut self.store, &mut self.effects).unwrap();
        let changes_nothing = matches!(
            reply,
            Reply::Refused(_) | Reply::Appended { duplicate: true, .. } | Reply::Posted { duplicate: true, .. }
        );
        if changes_nothing {
            assert_eq!(self.store.dump(), before, "{reply:?} changed something");
            assert!(self.effects.is_empty());
        }
        reply
    }

    /// Applies the whole log to an empty store.
    pub fn replay(&self) -> MemoryStore {
        let mut store = MemoryStore::default();
        for (now_ms, index, command) in &self.log {
            let context = ApplyContext { now_ms: *now_ms, index: *index, ordinal: 0, term: 7 };
            self.core.apply_within(self.bounds, &context, command, &mut store, &mut Vec::new()).unwrap();
        }
        store
    }

    pub fn attach(&mut self, user: &str, device: &str, resume: Option<(u64, u64, u64)>) -> AttachedDevice {
        let (mailbox_epoch, stream, cursor) = resume.unwrap_or_default();
        let attach = AttachDevice {
            app: APP.to_owned(),
            user: user.to_owned(),
            device: device.to_owned(),
            stream,
            mailbox_epoch,
            cursor: resume.map(|_| cursor),
            ..AttachDevice::default()
        };
        match self.apply(Command::AttachDevice(attach)) {
            Reply::Attached(attached) => attached,
            other => panic!("attach was answered {other:?}"),
        }
    }

    /// A new device of a user who may have so many.
    pub fn attach_of(&mut self, user: &str, device: &str, max_devices: u32) -> AttachedDevice {
        let (app, user, device) = (APP.to_owned(), user.to_owned(), device.to_owned());
        match self.apply(Command::AttachDevice(AttachDevice { app, user, device, max_devices, ..Default::default() })) {
            Reply::Attached(attached) => attached,
            other => panic!("attach was answered {other:?}"),
        }
    }

    pub fn append(&mut self, message: AppendMessage) -> Reply {
        self.apply(Command::AppendMessage(message))
    }

    pub fn ack(&mut self, user: &str, device: &AttachedDevice, cursor: u64) -> Reply {
        let (slot, stream) = (device.slot, device.stream);
        let (app, user) = (APP.to_owned(), user.to_owned());
        self.apply(Command::MoveCursor(MoveCursor { app, user, slot, cursor, stream, ..MoveCursor::default() }))
    }

    pub fn read(&mut self, user: &str, from: &str, stream: u64, up_to_seq: u64) -> Reply {
        let (app, user, from) = (APP.to_owned(), user.to_owned(), from.to_owned());
        self.apply(Command::MarkRead(MarkRead { app, user, from, stream, up_to_seq, ..MarkRead::default() }))
    }

    pub fn expire(&mut self) -> Reply {
        self.apply(Command::ExpireDue(ExpireDue { limit: 1000 }))
    }

    pub fn deliver(&mut self, page: ChannelDeliver) -> u64 {
        match self.apply(Command::ChannelDeliver(page)) {
            Reply::ChannelDelivered { up_to } => up_to,
            other => panic!("a page of the channel was answered {other:?}"),
        }
    }

    /// A page of the channel to a shard, as a leader would send it.
    pub fn page(&self, target: u32, after: u64, limit: usize) -> Option<ChannelDeliver> {
        let (from, to) = (keys::channel_item(target, after + 1), keys::channel_item(target, u64::MAX));
        let page = self.store.scan(&from, &to, limit);
        let mut page = super::channel::page_of_channel(self.core.shard, after, page).unwrap();
        if let Some(page) = &mut page {
            let read = |group: &GroupName, seq| Ok::<_, CoreError>(self.store.get(&keys::group_body(group, seq)));
            fill_bodies(page, 1 << 20, read).unwrap();
        }
        page
    }

    pub fn record(&self, user: &str) -> MailboxRecord {
        let stored = self.store.get(&keys::mailbox(&mailbox_of(user)));
        stored.map(|stored| records::open("mailbox", stored).unwrap()).unwrap_or_default()
    }

    /// What the store holds for a user after a number, without entries of what has disappeared.
    pub fn entries(&self, user: &str, after: u64) -> Vec<(u64, Envelope)> {
        let (from, to) = keys::entries(&mailbox_of(user), after + 1, u64::MAX);
        let entry = |(key, stored): (Bytes, Bytes)| {
            let stored = Stored::open(stored).unwrap().0;
            let in_group = matches!(stored, Stored::Group(_));
            let read = |key: &[u8]| Ok::<_, CoreError>(self.store.get(key));
            let envelope = entry::envelope_of(&mailbox_of(user), stored, read).unwrap();
            assert!(envelope.is_some() || !in_group, "a body that is referred to is gone");
            let envelope = envelope?;
            Some((keys::entry_seq(&key).unwrap(), Envelope::decode(envelope).unwrap()))
        };
        self.store.scan(&from, &to, usize::MAX).into_iter().filter_map(entry).collect()
    }

    /// What the entries of a user count as, in bytes.
    fn cost(&self, user: &str) -> u64 {
        let (from, to) = keys::entries(&mailbox_of(user), 1, u64::MAX);
        let entries = self.store.scan(&from, &to, usize::MAX).into_iter();
        entries.map(|(_, stored)| Stored::open(stored).unwrap().1).sum()
    }

    pub fn messages(&self, user: &str) -> Vec<Message> {
        let entries = self.entries(user, 0).into_iter();
        entries.filter_map(|(_, envelope)| as_message(envelope)).collect()
    }

    pub fn receipts(&self, user: &str) -> Vec<Receipt> {
        let entries = self.entries(user, 0).into_iter();
        entries.filter_map(|(_, envelope)| as_receipt(envelope)).collect()
    }

    pub fn failures(&self, user: &str) -> Vec<Failure> {
        let entries = self.entries(user, 0).into_iter();
        entries.filter_map(|(_, envelope)| as_failure(envelope)).collect()
    }

    /// Counts and indexes agree with what is stored.
    pub fn check(&self, users: &[&str]) {
        let mut expiring = BTreeSet::new();
        for user in users {
            let record = self.record(user);
            let (mut pending, mut retained, bytes) = (0, 0, self.cost(user));
            let (from, to) = keys::entries(&mailbox_of(user), 1, u64::MAX);
            for (key, stored) in self.store.scan(&from, &to, usize::MAX) {
                let seq = keys::entry_seq(&key).unwrap();
                assert!(seq > record.trimmed_to && seq <= record.last_seq, "{user}: {seq} of {record:?}");
                if seq > record.delivered_to {
                    pending += 1
                } else {
                    retained += 1
                }
                let expires_at_ms = Stored::open(stored).unwrap().0.peek().unwrap().expires_at_ms();
                if expires_at_ms != 0 {
                    expiring.insert(keys::expiry(expires_at_ms, &mailbox_of(user), seq));
                }
            }
            assert_eq!((record.pending_entries, record.retained_entries), (pending, retained), "{user}");
            assert_eq!(record.pending_bytes + record.retained_bytes, bytes, "{user}");
            assert!(record.trimmed_to <= record.delivered_to && record.delivered_to <= record.last_seq);
        }
        let (from, to) = keys::expiring_before(i64::MAX);
        let indexed = self.store.scan(&from, &to, usize::MAX).into_iter().map(|(key, _)| key.to_vec());
        assert_eq!(indexed.collect::<BTreeSet<_>>(), expiring, "the expiry index is what expires");
    }
}

pub fn as_message(envelope: Envelope) -> Option<Message> {
    match envelope.event {
        Some(envelope::Event::Message(message)) => Some(message),
        _ => None,
    }
}

pub fn as_receipt(envelope: Envelope) -> Option<Receipt> {
    match envelope.event {
        Some(envelope::Event::Receipt(receipt)) => Some(receipt),
        _ => None,
    }
}

pub fn as_failure(envelope: Envelope) -> Option<Failure> {
    match envelope.event {
        Some(envelope::Event::Failure(failure)) => Some(failure),
        _ => None,
    }
}
