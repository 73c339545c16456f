//! What the client says.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use prost::Message as _;
use tidings_proto::broker::v1::{Ack as BrokerAck, Submit, gateway_frame};
use tidings_proto::client::v1::{Ack, Pong, Read, ReadRecorded, Refused, Send, client_frame, server_frame};
use tidings_proto::{EffectivePolicy, ErrorCode, GroupId, UserId};
use tokio::time::Instant;

use super::outbound::UnansweredRead;
use super::requests::{LEVEL, SCHEDULED_LEVEL};
use super::{Connection, Unblocked};
use crate::backoff;
use crate::claims::{self, NotClaimed};
use crate::directory::{Found, UserKey};
use crate::limits::{LimitOf, Limited, Rates, Verdict};
use crate::link::{LinkHandle, NotQueued};
use crate::permission;
use crate::sends::{Admission, Pending};
use crate::session::Close;
use crate::socket::Transport;

/// Read watermarks that may be unanswered.
const MAX_UNANSWERED_READS: usize = 64;
/// What a client is told to wait where the gateway knows no better.
pub(super) const RETRY_AFTER_MS: u32 = 250;
/// After a refusal that another node may lift.
pub(super) const RETRY_SOON: Duration = Duration::from_millis(30);

impl<S: Transport> Connection<S> {
    pub(super) fn on_frame(&mut self, frame: client_frame::Frame, now: Instant) -> Result<(), Close> {
        match frame {
            client_frame::Frame::Send(send) => self.on_send(send, now),
            client_frame::Frame::Ack(ack) => self.on_ack(ack),
            client_frame::Frame::Read(read) => self.on_read(read),
            client_frame::Frame::Request(request) => self.on_request(request, now),
            client_frame::Frame::Activity(activity) => self.on_activity(activity, now),
            client_frame::Frame::Ping(ping) => {
                self.core.metrics.frames_out_other.increment(1);
                self.tell(server_frame::Frame::Pong(Pong { nonce: ping.nonce }))
            }
            client_frame::Frame::Hello(_) => Err(Close::new(ErrorCode::FrameUnexpected, "a second Hello")),
        }
    }

    fn on_send(&mut self, send: Send, now: Instant) -> Result<(), Close> {
        if send.seq == 0 || send.after >= send.seq {
            return Err(Close::new(ErrorCode::FrameMalformed, "Send.seq is 1 or more, and Send.after is less"));
        }
        match self.sends.admission(send.seq, self.core.config.send_window) {
            Admission::New => {}
            Admission::Unanswered => return Ok(()),
            Admission::OutsideWindow => {
                return Err(Close::new(ErrorCode::SendWindowExceeded, "more unanswered sends than the window holds"));
            }
        }
        if let Err(wait) = self.sent.take(&self.core.send_rate, self.core.uptime(now)) {
            self.core.metrics.limited_by_connection.increment(1);
            return self.refuse_for(wait, send.seq, "too many messages per second over this connection");
        }
        if let Err(reason) = valid_recipient(&send) {
            return self.refuse(send.seq, ErrorCode::InvalidArgument, &reason, None);
        }
        let (policy, user) = (self.session().policy(), self.session().token.user.user());
        let own = policy.effective();
        if let Err(forbidden) = permission::to_send(&own, user, &send, self.core.config.max_content_bytes) {
            return self.refuse(send.seq, forbidden.code, &forbidden.message, None);
        }
        self.count(send, Rates { user: own, app: policy.of_app() }, now)
    }

    /// Counts the send in the limits of its user and app.
    fn count(&mut self, send: Send, rates: Rates, now: Instant) -> Result<(), Close> {
        let limits = self.core.limits.clone();
        let user = &self.guard.session().token.user;
        let meters = self.meters.get_or_insert_with(|| limits.meters(user.app(), user.user())).clone();
        match limits.take(&meters, &rates) {
            Verdict::Taken => self.on_counted(send, None, now),
            Verdict::Limited(limited) => self.on_counted(send, Some(limited), now),
            Verdict::Ask => {
                let send = Box::new(send);
                let asking = async move {
                    let limited = limits.ask(&meters, &rates).await.err();
                    Unblocked::Counted { send, limited }
                };
                self.blocked = Some(asking.boxed());
                Ok(())
            }
        }
    }

    fn on_counted(&mut self, send: Send, limited: Option<Limited>, now: Instant) -> Result<(), Close> {
        match limited {
            Some(Limited { of: LimitOf::User, wait }) => {
                return self.refuse_for(wait, send.seq, "more messages than the user may send");
            }
            Some(Limited { of: LimitOf::App, wait }) => {
                return self.refuse_for(wait, send.seq, "more messages than the app may send");
            }
            None => {}
        }
        match claims::claim(&self.core, self.session().token.user.app(), &send) {
            Some(claiming) => {
                let send = Box::new(send);
                self.blocked = Some(async move { Unblocked::Claimed { send, refused: claiming.await.err() } }.boxed());
                Ok(())
            }
            None => self.on_claimed(send, None, now),
        }
    }

    /// The files that it names are there and stay, or why not.
    fn on_claimed(&mut self, send: Send, refused: Option<NotClaimed>, now: Instant) -> Result<(), Close> {
        if let Some(NotClaimed { code, message, retries }) = refused {
            return self.refuse(send.seq, code, &message, retries.then_some(RETRY_AFTER_MS));
        }
        if !send.group.is_empty() {
            // Whether there is such a group, and who is a member, its home knows.
            return self.take_send(send, None, now);
        }
        let app = self.session().token.user.app();
        match self.core.directory.user_cached(&UserKey::text(app, &send.to)) {
            Some(found) => self.on_recipient(send, found, now),
            None => {
                // The order of sends is kept because nothing more is read until the answer is there.
                let (directory, app) = (self.core.directory.clone(), app.to_owned());
                let asking = async move {
                    let found = directory.user(&app, &send.to).await;
                    Unblocked::Recipient { send: Box::new(send), found }
                };
                self.blocked = Some(asking.boxed());
                Ok(())
            }
        }
    }

    pub(super) fn on_unblocked(&mut self, unblocked: Unblocked, now: Instant) -> Result<(), Close> {
        match unblocked {
            Unblocked::Counted { send, limited } => self.on_counted(*send, limited, now),
            Unblocked::Claimed { send, refused } => self.on_claimed(*send, refused, now),
            Unblocked::Recipient { send, found: Ok(found) } => self.on_recipient(*send, found, now),
            Unblocked::Recipient { send, found: Err(refusal) } => {
                self.refuse(send.seq, refusal.code, &refusal.message, Some(RETRY_AFTER_MS))
            }
            Unblocked::Queued { sent: true, .. } | Unblocked::Queued { seq: None, .. } => {
                self.tell_reads(now);
                Ok(())
            }
            Unblocked::Queued { sent: false, seq: Some(seq), link } => {
                // Unless the loss of the link was noticed before.
                if self.sends.get(seq).is_some_and(|pending| pending.link == link) {
                    self.sends.again(seq, true, now + backoff::spread(RETRY_SOON));
                }
                Ok(())
            }
        }
    }

    fn on_recipient(&mut self, send: Send, found: Found, now: Instant) -> Result<(), Close> {
        let Some(recipient) = found else {
            return self.refuse(send.seq, ErrorCode::RecipientUnknown, "there is no such user", None);
        };
        self.take_send(send, Some(&recipient.effective()), now)
    }

    /// Hands a send on. The recipient's policy (none: a group) says what receipts it gives, how much its mailbox holds,
    /// and how long it keeps things.
    fn take_send(&mut self, send: Send, recipient: Option<&EffectivePolicy>, now: Instant) -> Result<(), Close> {
        let is_group = !send.group.is_empty();
        let to = if is_group { send.group } else { send.to };
        let user = &self.session().token.user;
        // What is scheduled waits where its sender lives.
        let lives = if send.deliver_at_ms == 0 { &to } else { user.user() };
        let Some(shard) = self.core.router.shard(user.app(), lives) else {
            return self.refuse(send.seq, ErrorCode::Unavailable, "no shard map is known", Some(RETRY_AFTER_MS));
        };
        let own = self.session().policy().effective();
        let terms = permission::terms(&own, recipient, send.change.as_ref());
        let receipts = recipient.map_or(send.receipts, |recipient| recipient.receipts_of(send.receipts));
        let inbox_limit = recipient.map_or(0, |recipient| self.core.config.inbox_limit(recipient.inbox_entries));
        let pending = Pending {
            seq: send.seq,
            // What is scheduled is in no order before its time has come.
            after: if send.deliver_at_ms == 0 { send.after } else { 0 },
            shard,
            to: to.into_boxed_str(),
            is_group,
            content: send.content.unwrap_or_default().encode_to_vec().into(),
            change: send.change.map(Box::new),
            disappears: send.disappears,
            deliver_at_ms: send.deliver_at_ms,
            ttl_ms: send.ttl_ms,
            conflation_key: send.conflation_key.into_boxed_str(),
            receipts,
            inbox_limit,
            terms: self.core.config.capped(terms),
            taken: now,
            link: 0,
            may_be_accepted: false,
        };
        let seq = pending.seq;
        let behind_others = self.sends.is_waiting_for(shard);
        let link = if behind_others { None } else { self.route(&pending) };
        let submit = link.as_ref().map(|_| self.submit_frame(&pending));
        self.sends.insert(pending);
        match (link, submit) {
            (Some(link), Some(submit)) => self.queue(link, submit, Some(seq), now),
            _ => self.sends.again(seq, false, now + RETRY_SOON),
        }
        Ok(())
    }

    /// The link on which a send can go now: of groups, changes, and what disappears, is scheduled, or is stored nowhere
    /// and for a group, brokers of earlier releases know nothing; it waits until they were upgraded.
    pub(super) fn route(&self, pending: &Pending) -> Option<Arc<LinkHandle>> {
        let link = self.core.router.route(pending.shard)?;
        let is_new = pending.is_group || pending.change.is_some() || pending.disappears.is_some();
        let is_newest = pending.deliver_at_ms != 0
            || (pending.is_group && (pending.is_transient() || pending.disappears.is_some()));
        let needed = match (is_newest, is_new) {
            (true, _) => SCHEDULED_LEVEL,
            (false, true) => LEVEL,
            (false, false) => 0,
        };
        (link.level >= needed).then_some(link)
    }

    /// Puts a frame in a link's queue; where that is full, this connection reads no further until there is room.
    fn queue(&mut self, link: Arc<LinkHandle>, frame: gateway_frame::Frame, seq: Option<u64>, now: Instant) {
        if let Some(seq) = seq {
            self.sends.submitted(seq, link.id);
        }
        match (link.try_send(frame), seq) {
            (Ok(()), _) | (Err(NotQueued::Gone), None) => {}
            (Err(NotQueued::Gone), Some(seq)) => self.sends.again(seq, true, now + RETRY_SOON),
            (Err(NotQueued::Full(frame)), seq) => {
                let waiting = async move { Unblocked::Queued { sent: link.send(*frame).await, seq, link: link.id } };
                self.blocked = Some(waiting.boxed());
            }
        }
    }

    pub(super) fn submit_frame(&self, pending: &Pending) -> gateway_frame::Frame {
        let session = self.session();
        let (to, group) = match pending.is_group {
            true => (String::new(), pending.to.to_string()),
            false => (pending.to.to_string(), String::new()),
        };
        // As the app's policy says at this moment.
        let large_group_members = if pending.is_group { session.policy().of_app().large_group_members } else { 0 };
        gateway_frame::Frame::Submit(Submit {
            session: session.id,
            shard: pending.shard,
            app: session.token.user.app().to_owned(),
            from: session.token.user.user().to_owned(),
            from_slot: self.place.slot,
            stream: self.place.stream,
            seq: pending.seq,
            after: pending.after,
            to,
            group,
            content: pending.content.clone(),
            ttl_ms: pending.ttl_ms,
            conflation_key: pending.conflation_key.to_string(),
            receipts: pending.receipts,
            inbox_limit: pending.inbox_limit,
            retention_ms: pending.terms.retention_ms,
            sender_retention_ms: pending.terms.sender_retention_ms,
            change: pending.change.as_deref().cloned(),
            disappears: pending.disappears,
            deliver_at_ms: pending.deliver_at_ms,
            change_window_ms: pending.terms.change_window_ms,
            large_group_members,
            audience: pending.terms.audience.into(),
        })
    }

    /// Refuses a send that may be sent after a while.
    fn refuse_for(&mut self, wait: Duration, seq: u64, message: &str) -> Result<(), Close> {
        let retry_after_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).max(1);
        self.refuse(seq, ErrorCode::RateLimited, message, Some(retry_after_ms))
    }

    pub(super) fn refuse(
        &mut self,
        seq: u64,
        code: ErrorCode,
        message: &str,
        retry_after_ms: Option<u32>,
    ) -> Result<(), Close> {
        self.core.metrics.frames_out_refused.increment(1);
        let message = message.to_owned();
        self.tell(server_frame::Frame::Refused(Refused { seq, code: code as i32, message, retry_after_ms }))
    }

    fn on_ack(&mut self, ack: Ack) -> Result<(), Close> {
        if ack.cursor > self.place.delivered {
            return Err(Close::new(ErrorCode::FrameUnexpected, "an Ack beyond what was delivered"));
        }
        if ack.cursor <= self.place.acked {
            return Ok(());
        }
        self.place.acked = ack.cursor;
        // Without an attachment the next one says it.
        let (Some(link), Some(id)) = (self.attachment.link().cloned(), self.attachment.id()) else { return Ok(()) };
        self.place.ack_told = ack.cursor;
        let withholds_delivered = !self.session().policy().effective().delivered_receipts;
        let ack = BrokerAck { session: id, shard: self.attachment.shard(), cursor: ack.cursor, withholds_delivered };
        self.queue(link, gateway_frame::Frame::Ack(ack), None, Instant::now());
        Ok(())
    }

    fn on_read(&mut self, read: Read) -> Result<(), Close> {
        let Read { from, id } = read;
        let refusal = match (UserId::new(&from), id) {
            (Err(_), _) | (_, None) => Some(ErrorCode::InvalidArgument),
            _ if self.reads.len() >= MAX_UNANSWERED_READS => Some(ErrorCode::Overloaded),
            _ => None,
        };
        if let Some(code) = refusal {
            self.core.metrics.frames_out_other.increment(1);
            return self.tell(server_frame::Frame::ReadRecorded(ReadRecorded { from, id, code: code as i32 }));
        }
        self.reads.push(UnansweredRead { from, id: id.unwrap_or_default(), told: false });
        self.tell_reads(Instant::now());
        Ok(())
    }

    /// Hands unanswered reads that were not handed on under this attachment to the broker.
    pub(super) fn tell_reads(&mut self, now: Instant) {
        let (Some(link), Some(session)) = (self.attachment.link().cloned(), self.attachment.id()) else { return };
        let shard = self.attachment.shard();
        for at in 0..self.reads.len() {
            if self.reads[at].told || self.blocked.is_some() {
                continue;
            }
            self.reads[at].told = true;
            let (from, id) = (self.reads[at].from.clone(), Some(self.reads[at].id));
            let privately = !self.session().policy().effective().read_receipts;
            let read = tidings_proto::broker::v1::Read { session, shard, from, id, privately };
            self.queue(link.clone(), gateway_frame::Frame::Read(read), None, now);
        }
    }
}

/// A send goes to a user or to a group; what it says why it does not is for people.
fn valid_recipient(send: &Send) -> Result<(), String> {
    if send.group.is_empty() {
        return UserId::new(&send.to).map(drop).map_err(|error| error.to_string());
    }
    if !send.to.is_empty() {
        return Err("a send names a user or a group, not both".to_owned());
    }
    GroupId::new(&send.group).map(drop).map_err(|error| error.to_string())
}
