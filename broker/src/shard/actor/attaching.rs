//! Sessions come and go: attached through Raft, replaced by newer ones, ended with their link or with leadership.

use std::sync::Arc;

use tidings_consensus::ProposeError;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{Attach, Attached, Detached, broker_frame};
use tidings_proto::client::v1::UnknownRange;
use tidings_proto::mailbox::v1::{AttachDevice, command::Command};

use super::{Attaching, Done, ShardActor};
use crate::core::{AttachedDevice, MailboxId, Reply};
use crate::error::code_of;
use crate::link::outbox::Outbox;
use crate::shard::session::{Session, SessionKey, Window};

impl ShardActor {
    pub(super) fn attach(&mut self, key: SessionKey, outbox: Arc<Outbox>, mailbox: MailboxId, attach: Attach) {
        self.follows_its_reign();
        let Some(reign) = self.reign else {
            let leader = self.group.leadership().borrow().leader.filter(|leader| *leader != self.node);
            return refuse(&outbox, key, ErrorCode::NotLeader, leader.unwrap_or(0));
        };
        if self.sessions.contains_key(&key) || self.attaching.contains_key(&key) {
            return refuse(&outbox, key, ErrorCode::InvalidArgument, 0);
        }
        if self.sessions.len() + self.attaching.len() >= self.config.sessions_per_shard {
            return refuse(&outbox, key, ErrorCode::Overloaded, 0);
        }
        self.attaching.insert(key, true);
        let resume = attach.resume.unwrap_or_default();
        let command = self.level.encode(Command::AttachDevice(AttachDevice {
            app: attach.app,
            user: attach.user,
            device: attach.device.clone(),
            stream: resume.stream,
            mailbox_epoch: resume.mailbox_epoch,
            // Without an epoch the cursor means nothing.
            cursor: Some(resume.cursor),
            attached: attach.attached,
            nonce: attach.nonce,
            max_devices: attach.max_devices,
            withholds_delivered: attach.withholds_delivered,
        }));
        let Some(command) = command else {
            self.attaching.remove(&key);
            return refuse(&outbox, key, ErrorCode::Unavailable, 0);
        };
        let window = self.window(attach.window_entries, attach.window_bytes);
        let request = Attaching { key, outbox, mailbox, device: attach.device, window, reign };
        let group = self.group.clone();
        self.running.push(Box::pin(async move {
            let answer = group.propose_when_ready(command).await;
            Done::Attached { request, answer }
        }));
    }

    pub(super) fn window(&self, entries: u32, bytes: u32) -> Window {
        let or_default =
            |asked: u32, default: u32, max: u32| if asked == 0 { default } else { asked.min(max) } as usize;
        Window {
            entries: or_default(entries, self.config.window_entries, self.config.max_window_entries),
            bytes: or_default(bytes, self.config.window_bytes, self.config.max_window_bytes),
        }
    }

    pub(super) fn attached(&mut self, request: Attaching, answer: Result<Reply, ProposeError>) {
        let still_wanted = self.attaching.remove(&request.key).unwrap_or(false);
        if !still_wanted {
            return;
        }
        let (key, outbox) = (request.key, request.outbox.clone());
        match answer {
            Ok(Reply::Attached(device)) if self.reign == Some(request.reign) => self.admit(request, device),
            Ok(Reply::Attached(_)) => refuse(&outbox, key, ErrorCode::NotLeader, 0),
            Ok(Reply::Refused(code)) => refuse(&outbox, key, code, 0),
            Ok(_) => refuse(&outbox, key, ErrorCode::Internal, 0),
            Err(error) => {
                let (code, leader) = code_of(&error);
                refuse(&outbox, key, code, leader);
            }
        }
    }

    pub(super) fn admit(&mut self, request: Attaching, device: AttachedDevice) {
        let key = request.key;
        let is_named = !request.device.is_empty();
        if is_named && !self.supersede(&request, &device) {
            return refuse(&request.outbox, key, ErrorCode::SessionSuperseded, 0);
        }
        request.outbox.push(broker_frame::Frame::Attached(Attached {
            session: key.session,
            code: 0,
            leader_node: 0,
            mailbox_epoch: device.mailbox_epoch,
            stream: device.stream,
            slot: device.slot,
            cursor: device.cursor,
            tail: device.tail,
            unknown: device.unknown.map(|(from, to)| UnknownRange { from, to }),
            attached: device.attached,
        }));
        // A session that only sends is not delivered to: there is nothing to remember of it.
        if !is_named {
            return;
        }
        let session = Session::new(
            key,
            request.outbox,
            request.device,
            device.slot,
            device.stream,
            device.attached,
            request.window,
            device.cursor,
            device.recorded_cursor,
        );
        self.sessions.insert(key, request.mailbox.clone());
        let sessions = self.mailboxes.entry(request.mailbox.clone()).or_default();
        sessions.push(session);
        if sessions.len() == 1 {
            self.user_came(&request.mailbox);
        }
        self.metrics.sessions.increment(1.0);
        self.lagging += 1;
        self.read_page(key);
        self.record_cursor(key);
    }

    /// Ends the older sessions of the device, and those of devices that lost their slots. `false` when there is a newer
    /// session already.
    pub(super) fn supersede(&mut self, request: &Attaching, device: &AttachedDevice) -> bool {
        let Some(others) = self.mailboxes.get(&request.mailbox) else { return true };
        let same = |other: &&Session| other.device == request.device;
        if others.iter().filter(same).any(|other| other.attached > device.attached) {
            return false;
        }
        let evicted = |other: &&Session| device.evicted_slots.contains(&other.slot) && other.attached < device.attached;
        let ended: Vec<_> =
            others.iter().filter(|other| same(other) || evicted(other)).map(|other| other.key).collect();
        for key in ended {
            self.end_session(key, ErrorCode::SessionSuperseded, 0);
        }
        true
    }

    pub(super) fn detach(&mut self, key: SessionKey) {
        if let Some(wanted) = self.attaching.get_mut(&key) {
            *wanted = false;
        }
        self.remove(key);
    }

    /// Takes a session out, by its own identity: a newer one of the same device stays (promise 5).
    pub(super) fn remove(&mut self, key: SessionKey) -> Option<Session> {
        let mailbox = self.sessions.remove(&key)?;
        let sessions = self.mailboxes.get_mut(&mailbox)?;
        let place = sessions.iter().position(|session| session.key == key)?;
        let session = sessions.swap_remove(place);
        if sessions.is_empty() {
            self.mailboxes.remove(&mailbox);
            self.user_left(&mailbox);
        }
        self.lagging -= usize::from(session.lags());
        self.metrics.sessions.decrement(1.0);
        self.record_last(&mailbox, &session);
        Some(session)
    }

    pub(super) fn end_session(&mut self, key: SessionKey, code: ErrorCode, leader_node: u64) {
        let Some(session) = self.remove(key) else { return };
        session.outbox.push(detached(key, code, leader_node));
        self.metrics.detached(code, 1);
    }

    /// Ends all sessions of a user.
    pub(super) fn end_sessions(&mut self, mailbox: &MailboxId, code: ErrorCode) {
        let keys: Vec<_> = self.mailboxes.get(mailbox).into_iter().flatten().map(|session| session.key).collect();
        for key in keys {
            self.end_session(key, code, 0);
        }
    }

    pub(super) fn detach_all(&mut self, code: ErrorCode, leader_node: u64) {
        let sessions = std::mem::take(&mut self.mailboxes).into_values().flatten();
        let mut count = 0;
        for session in sessions {
            session.outbox.push(detached(session.key, code, leader_node));
            count += 1;
        }
        self.sessions.clear();
        self.blocked.clear();
        self.gathered.clear();
        self.lagging = 0;
        self.metrics.sessions.decrement(count as f64);
        self.metrics.detached(code, count);
    }

    pub(super) fn link_ended(&mut self, link: u64) {
        for (key, wanted) in &mut self.attaching {
            *wanted &= key.link != link;
        }
        self.blocked.remove(&link);
        self.unwatch(link);
        let gone: Vec<_> = self.sessions.keys().filter(|key| key.link == link).copied().collect();
        for key in gone {
            self.remove(key);
        }
    }

    pub(super) fn session(&mut self, key: SessionKey) -> Option<&mut Session> {
        let mailbox = self.sessions.get(&key)?;
        self.mailboxes.get_mut(mailbox)?.iter_mut().find(|session| session.key == key)
    }
}

fn refuse(outbox: &Outbox, key: SessionKey, code: ErrorCode, leader_node: u64) {
    let attached = Attached { session: key.session, code: code.into(), leader_node, ..Attached::default() };
    outbox.push(broker_frame::Frame::Attached(attached));
}

fn detached(key: SessionKey, code: ErrorCode, leader_node: u64) -> broker_frame::Frame {
    broker_frame::Frame::Detached(Detached { session: key.session, code: code.into(), leader_node })
}
