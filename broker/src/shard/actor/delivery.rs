//! Entries to sessions: pushed as they are committed, or read from the store in pages.

use bytes::Bytes;
use tidings_consensus::StateView;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{Transient, broker_frame};
use tidings_proto::mailbox::v1::MailboxRecord;
use tokio::time::Instant;

use super::{Done, Page, RETRY_PAGE, ShardActor};
use crate::core::entry::{self, Stored};
use crate::core::envelope::{Peeked, peek};
use crate::core::{CoreError, Effect, MailboxId, disappear, keys, records};
use crate::error::Error;
use crate::shard::session::{Blocked, Entry, SessionKey};

impl ShardActor {
    pub(super) fn committed(&mut self, effects: Vec<Effect>) {
        if !self.still_leads() {
            return;
        }
        let now_ms = self.clock.now_ms();
        let mut blocked = Vec::new();
        let mut to_read = Vec::new();
        let (mut lost, mut erased) = (Vec::new(), Vec::new());
        let (mut pushed, mut fell_behind, mut waits_to_expand) = (0, 0, false);
        for effect in effects {
            match effect {
                Effect::Appended { mailbox, seq, envelope, expires_at_ms } => {
                    let Some(sessions) = self.mailboxes.get_mut(&mailbox) else { continue };
                    let entry = Entry { seq, envelope, expires_at_ms };
                    for session in sessions {
                        let kept_up = !session.lags();
                        match session.committed(&entry, now_ms) {
                            Ok(delivered) => pushed += u64::from(delivered),
                            Err(Blocked::Link) => blocked.push(session.key),
                            Err(Blocked::Window) => to_read.push(session.key),
                        }
                        fell_behind += usize::from(kept_up && session.lags());
                    }
                }
                Effect::Lost { mailbox } => lost.push(mailbox),
                Effect::HidesFrom { mailbox, users } => self.presence.hides(&mailbox, users, Instant::now()),
                Effect::ContactsChanged { mailbox } => self.presence.contacts_changed(&mailbox, Instant::now()),
                Effect::Expanding => waits_to_expand = true,
                Effect::Erased { mailbox } => erased.push(mailbox),
                Effect::Owed { .. } | Effect::ReceiptsMoved { .. } => {}
            }
        }
        if waits_to_expand {
            self.expand_groups();
        }
        self.lagging += fell_behind;
        self.metrics.delivered.increment(pushed);
        for key in blocked {
            self.wait_for_link(key);
        }
        for key in to_read {
            self.read_page(key);
        }
        for mailbox in lost {
            // They attach again, and are told what is missing (promise 4).
            self.end_sessions(&mailbox, ErrorCode::SlowConsumer);
        }
        for mailbox in erased {
            self.end_sessions(&mailbox, ErrorCode::TokenRevoked);
            self.presence.forget(&mailbox, Instant::now());
        }
    }

    pub(super) fn transient(&mut self, mailbox: &MailboxId, envelope: &Bytes, conflates: u64) {
        if !self.still_leads() {
            return;
        }
        for session in self.mailboxes.get(mailbox).into_iter().flatten() {
            let transient = Transient { session: session.key.session, envelope: envelope.clone(), conflates };
            // At most once: a link without room loses it.
            session.outbox.try_deliver(broker_frame::Frame::Transient(transient));
        }
        self.metrics.transients.increment(1);
    }

    pub(super) fn read_page(&mut self, key: SessionKey) {
        let page_entries = self.config.page_entries;
        let Some(mailbox) = self.sessions.get(&key).cloned() else { return };
        let Some((after, limit)) = self.session(key).and_then(|session| session.wants_page(page_entries)) else {
            return;
        };
        let (view, reads) = (self.group.view(), self.reads.clone());
        self.running.push(Box::pin(async move {
            // Closed never: the actor holds it for as long as it polls this.
            let _permit = reads.acquire_owned().await;
            let read = tokio::task::spawn_blocking(move || {
                let (from, to) = keys::entries(&mailbox, after + 1, u64::MAX);
                let stored = view.scan(&from, &to, limit)?;
                let is_end = stored.len() < limit;
                let record = view.get(&keys::mailbox(&mailbox))?;
                let record = record.map(|stored| records::open::<MailboxRecord>("mailbox", stored)).transpose()?;
                let trimmed_to = record.map_or(0, |record| record.trimmed_to);
                let entries = stored.into_iter().map(|(key, stored)| read_entry(&view, &mailbox, &key, stored));
                let entries = entries.filter_map(Result::transpose).collect::<Result<_, Error>>()?;
                Ok(Page { entries, is_end, trimmed_to })
            });
            let page = read.await.unwrap_or(Err(Error::Interrupted));
            Done::PageRead { key, page }
        }));
    }

    pub(super) fn page_read(&mut self, key: SessionKey, page: Result<Page, Error>) {
        if !self.still_leads() {
            return;
        }
        let now_ms = self.clock.now_ms();
        let Some(session) = self.session(key) else { return };
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, "a page of a mailbox could not be read");
                session.page_failed();
                self.running.push(Box::pin(async move {
                    tokio::time::sleep(RETRY_PAGE).await;
                    Done::RetryPage { key }
                }));
                return;
            }
        };
        if session.has_lost(page.trimmed_to) {
            // Entries went before this session had them: it attaches again, and is told which (promise 4).
            return self.end_session(key, ErrorCode::SlowConsumer, 0);
        }
        let lagged = session.lags();
        let (pushed, blocked) = session.page(&page.entries, page.is_end, now_ms);
        let caught_up = lagged && !session.lags();
        self.lagging -= usize::from(caught_up);
        self.metrics.pages_read.increment(1);
        self.metrics.page_entries.record(page.entries.len() as f64);
        self.metrics.delivered.increment(pushed);
        match blocked {
            Some(Blocked::Link) => self.wait_for_link(key),
            Some(Blocked::Window) | None => self.read_page(key),
        }
    }

    /// The session goes on when its link has drained.
    pub(super) fn wait_for_link(&mut self, key: SessionKey) {
        let Some(session) = self.session(key) else { return };
        if !session.wait_for_link() {
            return;
        }
        let outbox = session.outbox.clone();
        let waiting = self.blocked.entry(key.link).or_default();
        waiting.push(key);
        if waiting.len() == 1 {
            self.running.push(Box::pin(async move {
                outbox.room().await;
                Done::LinkHasRoom { outbox }
            }));
        }
    }
}

/// An entry with the envelope that it stands for; `None` when it or the body went while the page was read.
fn read_entry(view: &StateView, mailbox: &MailboxId, key: &[u8], stored: Bytes) -> Result<Option<Entry>, Error> {
    let seq = keys::entry_seq(key).ok_or(CoreError::Contradiction("an entry's key has no number"))?;
    let stored = Stored::open(stored)?.0;
    let in_group = matches!(stored, Stored::Group(_));
    let Some(envelope) = entry::envelope_of(mailbox, stored, |key| Ok::<_, Error>(view.get(key)?))? else {
        // Of a group a body stays for as long as an entry points to it.
        let is_lost = in_group && view.get(key)?.is_some();
        let lost = CoreError::Contradiction("an entry points to a body that is gone");
        return if is_lost { Err(lost.into()) } else { Ok(None) };
    };
    let expires_at_ms = match peek(&envelope)? {
        // What has disappeared is passed over, also before it was taken away here.
        Peeked::Message(head) => disappear::expires_at_ms(head.expires_at_ms, head.disappears_at_ms),
        other => other.expires_at_ms(),
    };
    Ok(Some(Entry { seq, envelope, expires_at_ms }))
}
