//! What the client says.

use std::sync::Arc;

use futures_util::FutureExt as _;
use prost::Message as _;
use tidings_proto::broker::v1::{Ack as BrokerAck, Submit, gateway_frame};
use tidings_proto::client::v1::{Ack, Pong, Read, ReadRecorded, Refused, Send, client_frame, server_frame};
use tidings_proto::{ErrorCode, UserId};
use tokio::time::Instant;

use super::outbound::UnansweredRead;
use super::requests::LEVEL;
use super::{Connection, Unblocked};
use crate::backoff;
use crate::directory::UserKey;
use crate::link::{LinkHandle, NotQueued};
use crate::sends::{Admission, Pending};
use crate::session::Close;
use crate::socket::Transport;

/// Read watermarks that may be unanswered.
const MAX_UNANSWERED_READS: usize = 64;
/// What a client is told to wait where the gateway knows no better.
pub(super) const RETRY_AFTER_MS: u32 = 250;
/// After a refusal that another node may lift.
pub(super) const RETRY_SOON: std::time::Duration = std::time::Duration::from_millis(30);

impl<S: Transport> Connection<S> {
    pub(super) fn on_frame(&mut self, frame: client_frame::Frame, now: Instant) -> Result<(), Close> {
        match frame {
            client_frame::Frame::Send(send) => self.on_send(send, now),
            client_frame::Frame::Ack(ack) => self.on_ack(ack),
            client_frame::Frame::Read(read) => self.on_read(read),
            client_frame::Frame::Request(request) => self.on_request(request, now),
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
            let retry_after = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).max(1);
            return self.refuse(send.seq, ErrorCode::RateLimited, "too many messages per second", Some(retry_after));
        }
        if let Err(error) = UserId::new(&send.to) {
            return self.refuse(send.seq, ErrorCode::InvalidArgument, &error.to_string(), None);
        }
        let bytes = match (&send.content, &send.change) {
            (Some(content), None) => content.encoded_len(),
            (None, Some(change)) if send.ttl_ms.is_none() => change.encoded_len(),
            _ => {
                let message = "a Send has content, or a change and no ttl_ms";
                return self.refuse(send.seq, ErrorCode::InvalidArgument, message, None);
            }
        };
        let limit = self.core.config.max_content_bytes;
        if bytes > limit as usize {
            let message = format!("the content has {bytes} bytes, at most {limit} are taken");
            return self.refuse(send.seq, ErrorCode::TooLarge, &message, None);
        }
        let app = self.session().token.user.app();
        match self.core.directory.user_cached(&UserKey::text(app, &send.to)) {
            Some(exists) => self.on_recipient(send, exists, now),
            None => {
                // The order of sends is kept because nothing more is read until the answer is there.
                let (directory, app) = (self.core.directory.clone(), app.to_owned());
                let asking = async move {
                    let exists = directory.user(&app, &send.to).await;
                    Unblocked::Recipient { send: Box::new(send), exists }
                };
                self.blocked = Some(asking.boxed());
                Ok(())
            }
        }
    }

    pub(super) fn on_unblocked(&mut self, unblocked: Unblocked, now: Instant) -> Result<(), Close> {
        match unblocked {
            Unblocked::Recipient { send, exists: Ok(exists) } => self.on_recipient(*send, exists, now),
            Unblocked::Recipient { send, exists: Err(refusal) } => {
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

    fn on_recipient(&mut self, send: Send, exists: bool, now: Instant) -> Result<(), Close> {
        if !exists {
            return self.refuse(send.seq, ErrorCode::RecipientUnknown, "there is no such user", None);
        }
        let Some(shard) = self.core.router.shard(self.session().token.user.app(), &send.to) else {
            return self.refuse(send.seq, ErrorCode::Unavailable, "no shard map is known", Some(RETRY_AFTER_MS));
        };
        let pending = Pending {
            seq: send.seq,
            after: send.after,
            shard,
            to: send.to.into_boxed_str(),
            content: send.content.unwrap_or_default().encode_to_vec().into(),
            change: send.change.map(Box::new),
            ttl_ms: send.ttl_ms,
            receipts: send.receipts,
            taken: now,
            link: 0,
            may_be_accepted: false,
        };
        let seq = pending.seq;
        let behind_others = self.sends.is_waiting_for(shard);
        let link = if behind_others { None } else { self.route_of(&pending) };
        let submit = link.as_ref().map(|_| self.submit_frame(&pending));
        self.sends.insert(pending);
        match (link, submit) {
            (Some(link), Some(submit)) => self.queue(link, submit, Some(seq), now),
            _ => self.sends.again(seq, false, now + RETRY_SOON),
        }
        Ok(())
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

    /// The way to a send's shard, unless the broker there would misunderstand it.
    pub(super) fn route_of(&self, pending: &Pending) -> Option<Arc<LinkHandle>> {
        let needed = if pending.change.is_some() { LEVEL } else { 0 };
        self.core.router.route(pending.shard).filter(|link| link.level >= needed)
    }

    pub(super) fn submit_frame(&self, pending: &Pending) -> gateway_frame::Frame {
        let session = self.session();
        gateway_frame::Frame::Submit(Submit {
            session: session.id,
            shard: pending.shard,
            app: session.token.user.app().to_owned(),
            from: session.token.user.user().to_owned(),
            from_slot: self.place.slot,
            stream: self.place.stream,
            seq: pending.seq,
            after: pending.after,
            to: pending.to.to_string(),
            content: pending.content.clone(),
            ttl_ms: pending.ttl_ms,
            receipts: pending.receipts,
            inbox_limit: self.core.config.inbox_limit,
            retention_ms: self.core.config.history_ms(),
            sender_retention_ms: self.core.config.history_ms(),
            change: pending.change.as_deref().cloned(),
            change_window_ms: self.core.config.change_window_ms(),
        })
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
        let ack = BrokerAck { session: id, shard: self.attachment.shard(), cursor: ack.cursor };
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
            let read = tidings_proto::broker::v1::Read { session, shard, from, id };
            self.queue(link.clone(), gateway_frame::Frame::Read(read), None, now);
        }
    }
}
