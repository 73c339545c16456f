//! Presence under this leader: gateways ask for users, and are told as it changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidings_consensus::StateView;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{Acquainted, HidingUser, PresenceChanged, broker_frame};
use tidings_proto::mailbox::v1::{BlocksRecord, Contact, ContactsRecord};
use tidings_proto::policy::v1::Audience;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::ShardActor;
use crate::core::records::load;
use crate::core::{MailboxId, keys};
use crate::link::outbox::Outbox;
use crate::shard::WatchedMailbox;
use crate::shard::presence::{Telling, UserState, Watch};

/// Users looked at in one step, before others get their turn: for each there may be a list to read.
const USERS_PER_STEP: usize = 128;
/// Users in one frame.
const USERS_PER_FRAME: usize = 256;
/// The longest that a gateway may want to be told without asking again.
const LONGEST_LEASE: Duration = Duration::from_secs(600);

impl ShardActor {
    pub(super) fn watch(&mut self, outbox: &Arc<Outbox>, users: Vec<WatchedMailbox>, lease: Duration) {
        if !self.follows_its_reign() {
            let leader = self.group.leadership().borrow().leader.filter(|leader| *leader != self.node);
            return outbox.push(not_watched(self.core.shard, ErrorCode::NotLeader, leader.unwrap_or(0)));
        }
        let now = Instant::now();
        let until = now + lease.min(LONGEST_LEASE);
        let (mut is_full, view) = (false, self.group.view());
        for WatchedMailbox { mailbox, is_known, last_seen_ms, among, knows_them } in users {
            let is_online = self.mailboxes.contains_key(&mailbox);
            let hides_from =
                if self.presence.is_watched(&mailbox) { Vec::new() } else { self.hides_from(&view, &mailbox) };
            let link = outbox.id;
            let watch =
                Watch { link, mailbox, is_online, last_seen_ms, is_known, until, hides_from, among, knows_them };
            is_full |= self.presence.watch(watch, now).is_err();
        }
        self.watching_links.insert(outbox.id, outbox.clone());
        if is_full {
            outbox.push(not_watched(self.core.shard, ErrorCode::Overloaded, 0));
        }
    }

    /// One short read for each user who begins to be watched. What changes afterwards is told as it is applied.
    fn hides_from(&self, view: &StateView, mailbox: &MailboxId) -> Vec<String> {
        let blocks = load::<BlocksRecord>(view, "blocks", &keys::blocks(mailbox));
        blocks.map(|blocks| blocks.unwrap_or_default().profile).unwrap_or_else(|error| {
            tracing::error!(shard = self.core.shard, %error, "whom a user hides from cannot be read");
            Vec::new()
        })
    }

    /// Who is among those whom the gateway wants to know of, as it is applied now.
    fn acquainted(&self, view: &StateView, telling: &Telling) -> Option<Acquainted> {
        if telling.among == Audience::Unspecified {
            return None;
        }
        let record = load::<ContactsRecord>(view, "contacts", &keys::contacts(&telling.mailbox));
        let record = record.map(Option::unwrap_or_default).unwrap_or_else(|error| {
            tracing::error!(shard = self.core.shard, %error, "the contacts of a user cannot be read");
            ContactsRecord::default()
        });
        let is_one = |contact: &Contact| telling.among == Audience::Contacts || contact.is_paired;
        let with = record.contacts.into_iter().filter(is_one).map(|contact| contact.user).collect();
        Some(Acquainted { user: telling.mailbox.user().to_owned(), with, among: telling.among.into() })
    }

    /// Dropping the question says that this replica does not lead.
    pub(super) fn answer_presence(&mut self, users: &[MailboxId], answer: oneshot::Sender<Vec<Option<UserState>>>) {
        if !self.follows_its_reign() || !self.still_leads() {
            return;
        }
        let now = Instant::now();
        let of = |user: &MailboxId| self.presence.of(user, self.mailboxes.contains_key(user), now);
        // Whoever asked may have gone.
        let _ = answer.send(users.iter().map(of).collect());
    }

    /// Whether this replica leads; the request may have overtaken the news.
    pub(super) fn follows_its_reign(&mut self) -> bool {
        if self.reign.is_none() {
            let now = self.group.leadership().borrow().clone();
            self.follow(&now);
        }
        self.reign.is_some()
    }

    pub(super) fn user_came(&mut self, mailbox: &MailboxId) {
        self.presence.came(mailbox, Instant::now());
    }

    pub(super) fn user_left(&mut self, mailbox: &MailboxId) {
        self.presence.left(mailbox, Instant::now(), self.clock.now_ms());
    }

    pub(super) fn unwatch(&mut self, link: u64) {
        if self.watching_links.remove(&link).is_some() {
            self.presence.unlink(link, Instant::now());
        }
    }

    /// Tells gateways what is due. A link without room is told later.
    pub(super) fn tell_presence(&mut self) {
        if !self.still_leads() {
            return;
        }
        let now = Instant::now();
        let tellings = self.presence.take_due(now, USERS_PER_STEP);
        let view = self.group.view();
        let mut by_link: BTreeMap<(u64, &str), Vec<&Telling>> = BTreeMap::new();
        for telling in &tellings {
            by_link.entry((telling.link, telling.mailbox.app())).or_default().push(telling);
        }
        for ((link, app), tellings) in by_link {
            // Of a link that ended meanwhile.
            let Some(outbox) = self.watching_links.get(&link) else { continue };
            // What comes with lists, which may be long, goes alone.
            let is_plain = |telling: &&Telling| telling.hides_from.is_empty() && telling.among == Audience::Unspecified;
            let runs = tellings.chunk_by(|one, next| is_plain(one) && is_plain(next));
            for tellings in runs.flat_map(|run| run.chunks(USERS_PER_FRAME)) {
                let users = tellings.iter().map(|telling| telling.state.told(telling.mailbox.user())).collect();
                let hiding =
                    tellings.iter().filter(|telling| !telling.hides_from.is_empty()).map(|one| hiding(one)).collect();
                let acquainted = tellings.iter().filter_map(|telling| self.acquainted(&view, telling)).collect();
                let (shard, app) = (self.core.shard, app.to_owned());
                let changed = PresenceChanged { shard, app, users, hiding, acquainted, ..PresenceChanged::default() };
                if outbox.try_deliver(broker_frame::Frame::Presence(changed)) {
                    self.metrics.presence_told.increment(tellings.len() as u64);
                } else {
                    tellings.iter().for_each(|telling| self.presence.not_told(telling, now));
                }
            }
        }
    }
}

fn hiding(telling: &Telling) -> HidingUser {
    HidingUser { user: telling.mailbox.user().to_owned(), from: telling.hides_from.to_vec() }
}

/// The answer to a gateway that is told nothing.
pub fn not_watched(shard: u32, code: ErrorCode, leader_node: u64) -> broker_frame::Frame {
    let changed = PresenceChanged { shard, code: code.into(), leader_node, ..PresenceChanged::default() };
    broker_frame::Frame::Presence(changed)
}
