//! What brokers say, and what follows from it for the client.

use tidings_proto::ErrorCode;
use tidings_proto::PROTOCOL_VERSION;
use tidings_proto::broker::v1::{self as broker, gateway_frame};
use tidings_proto::client::v1::{Accepted, ReadRecorded, Welcome, server_frame};
use tidings_proto::message::v1::MessageId;
use tokio::time::Instant;

use super::Connection;
use super::inbound::{RETRY_AFTER_MS, RETRY_SOON};
use super::place::{Delivery, Place};
use crate::attachment::Progress;
use crate::backoff;
use crate::codec::Encoding;
use crate::link::NotQueued;
use crate::session::{Close, Event};
use crate::socket::Transport;

/// A read watermark that the broker has not answered.
pub(super) struct UnansweredRead {
    pub from: String,
    pub id: MessageId,
    /// Handed on under the present attachment.
    pub told: bool,
}

/// What a shard means that does not take a message, or a change of one.
fn for_people(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Blocked => "the recipient has blocked this user",
        ErrorCode::RefusedByPolicy => "the policy does not let this user write to the recipient",
        ErrorCode::InboxFull => "the recipient's mailbox holds as much as it may",
        ErrorCode::NotAMember => "this user is no member of the group",
        ErrorCode::PermissionDenied => "this user may not do that in this conversation",
        ErrorCode::GroupPaused => "the group is paused",
        ErrorCode::TooLate => "it is too late to change the message",
        ErrorCode::NotFound => "there is no such message",
        ErrorCode::ScheduleFull => "as many messages wait for their time as may",
        ErrorCode::FailedPrecondition => "as things stand this cannot be done",
        ErrorCode::Overloaded => "the recipient's shard has too much to do",
        ErrorCode::StorageFailed => "the recipient's shard cannot store anything now",
        _ => "",
    }
}

impl<S: Transport> Connection<S> {
    pub(super) fn on_event(&mut self, event: Event, now: Instant) -> Result<(), Close> {
        match event {
            Event::Deliver { attachment, seq, after, envelope } if self.attachment.id() == Some(attachment) => {
                self.on_deliver(seq, after, &envelope, now)
            }
            Event::Transient { attachment, envelope, .. } if self.attachment.id() == Some(attachment) => {
                self.core.metrics.frames_out_transient.increment(1);
                self.encoding.encode_transient(&envelope, self.socket.out())
            }
            // Of an attachment that is over.
            Event::Deliver { .. } | Event::Transient { .. } => Ok(()),
            Event::Presence(users) => self.on_presence(&users),
            Event::Submitted { node, answer } => self.on_submitted(node, *answer, now),
            Event::Response { node, answer } => self.on_response(node, *answer),
            Event::ReadRecorded(recorded) => self.on_read_recorded(*recorded),
            Event::Attached(attached) => match self.attachment.answered(attached, now, &self.core) {
                Progress::Attached(attached) => self.on_attached(*attached, now),
                Progress::Waiting => Ok(()),
                Progress::Refused(code) => Err(Close::new(code, "the shard does not take this session")),
            },
            Event::Detached { attachment, code, leader_node } => {
                let ended = self.attachment.detached(attachment, code, leader_node, now, &self.core);
                ended.map_or(Ok(()), |code| Err(Close::new(code, "the shard ended this session")))
            }
            Event::LinkLost { link } => self.on_link_lost(link, now),
            Event::Moved { shards, link } => self.on_moved(&shards, link, now),
        }
    }

    fn on_deliver(&mut self, seq: u64, after: u64, envelope: &[u8], now: Instant) -> Result<(), Close> {
        match self.place.deliver(seq, after) {
            Delivery::New { after } => {
                self.core.metrics.frames_out_deliver.increment(1);
                self.encoding.encode_deliver(seq, after, envelope, self.socket.out())
            }
            Delivery::Known => Ok(()),
            Delivery::Gap => {
                tracing::warn!(user = ?self.session().token.user, seq, after, delivered = self.place.delivered, "an entry is missing; attaching again");
                self.attachment.renew(now);
                Ok(())
            }
        }
    }

    fn on_submitted(&mut self, node: u64, answer: broker::Submitted, now: Instant) -> Result<(), Close> {
        let Some(pending) = self.sends.get(answer.seq) else { return Ok(()) };
        let (shard, after, transient) = (pending.shard, pending.after, pending.is_transient());
        // A copy of what the recipient sent may still be on its way to the recipient's own mailbox.
        let copy_may_come = pending.change.is_some() && now < pending.taken + self.core.patience.not_accepted / 2;
        if answer.code == 0 {
            if let Some(pending) = self.sends.answered(answer.seq) {
                self.core.metrics.send_seconds.record(now.duration_since(pending.taken));
            }
            self.core.metrics.frames_out_accepted.increment(1);
            let (seq, sent_at_ms, durability) = (answer.seq, answer.sent_at_ms, answer.durability);
            return self.tell(server_frame::Frame::Accepted(Accepted { seq, sent_at_ms, durability }));
        }
        let code = ErrorCode::try_from(answer.code).unwrap_or(ErrorCode::Internal);
        let again_at = match code {
            ErrorCode::NotLeader => {
                self.core.router.not_leader(shard, node, answer.leader_node);
                let pause = if answer.leader_node == 0 { RETRY_SOON } else { RETRY_SOON / 10 };
                Some(now + backoff::spread(pause))
            }
            ErrorCode::Unavailable => Some(now + RETRY_SOON + backoff::spread(RETRY_SOON)),
            ErrorCode::OutcomeUnknown if !transient => Some(now + RETRY_SOON + backoff::spread(RETRY_SOON)),
            ErrorCode::NotFound if copy_may_come => Some(now + RETRY_SOON),
            // Its predecessor is still being tried here, and goes first.
            ErrorCode::OutOfOrder if self.sends.get(after).is_some() => Some(now + RETRY_SOON),
            _ => None,
        };
        if let Some(at) = again_at {
            self.sends.again(answer.seq, code == ErrorCode::OutcomeUnknown, at);
            return Ok(());
        }
        self.sends.answered(answer.seq);
        let retries = code.next() == tidings_proto::error::Next::Retry && !transient;
        let retry_after = match answer.retry_after_ms {
            0 => retries.then_some(RETRY_AFTER_MS),
            given => Some(given),
        };
        self.refuse(answer.seq, code, for_people(code), retry_after)
    }

    fn on_read_recorded(&mut self, recorded: broker::ReadRecorded) -> Result<(), Close> {
        let answers = |read: &UnansweredRead| read.from == recorded.from && Some(read.id) == recorded.id;
        let Some(at) = self.reads.iter().position(answers) else { return Ok(()) };
        self.reads.remove(at);
        self.core.metrics.frames_out_read_recorded.increment(1);
        let broker::ReadRecorded { from, id, code, .. } = recorded;
        self.tell(server_frame::Frame::ReadRecorded(ReadRecorded { from, id, code }))
    }

    fn on_attached(&mut self, attached: broker::Attached, now: Instant) -> Result<(), Close> {
        if self.greeting.take().is_some() {
            return self.welcome(attached);
        }
        self.core.metrics.reattached.increment(1);
        if !self.place.reattached(&attached) {
            // Only a new Welcome can tell the client what changed (promise 4).
            return Err(Close::new(
                ErrorCode::Unavailable,
                "the mailbox cannot be resumed where it was; connect again",
            ));
        }
        self.reads.iter_mut().for_each(|read| read.told = false);
        self.tell_ack();
        self.tell_reads(now);
        Ok(())
    }

    /// Tells the broker what was acknowledged while there was no attachment.
    fn tell_ack(&mut self) {
        let (Some(link), Some(session)) = (self.attachment.link(), self.attachment.id()) else { return };
        if self.place.acked <= self.place.ack_told {
            return;
        }
        let withholds_delivered = !self.session().policy().effective().delivered_receipts;
        let (shard, cursor) = (self.attachment.shard(), self.place.acked);
        let ack = broker::Ack { session, shard, cursor, withholds_delivered };
        self.place.ack_told = self.place.acked;
        if let Err(NotQueued::Full(ack)) = link.try_send(gateway_frame::Frame::Ack(ack)) {
            let link = link.clone();
            tokio::spawn(async move { link.send(*ack).await });
        }
    }

    fn welcome(&mut self, attached: broker::Attached) -> Result<(), Close> {
        self.place = Place {
            mailbox_epoch: attached.mailbox_epoch,
            stream: attached.stream,
            slot: attached.slot,
            attached: attached.attached,
            delivered: attached.cursor,
            reached: attached.cursor,
            acked: attached.cursor,
            ack_told: attached.cursor,
        };
        self.end_older_sessions();
        let config = &self.core.config;
        let max_frame_bytes = match self.encoding {
            Encoding::Protobuf => config.max_frame_bytes(),
            Encoding::Json => config.max_json_frame_bytes(),
        };
        self.socket.set_max_message_bytes(max_frame_bytes);
        self.core.metrics.frames_out_other.increment(1);
        let user = &self.session().token.user;
        let welcome = Welcome {
            version: PROTOCOL_VERSION,
            app: user.app().to_owned(),
            user: user.user().to_owned(),
            mailbox_epoch: attached.mailbox_epoch,
            stream: attached.stream,
            cursor: attached.cursor,
            tail: attached.tail,
            unknown: attached.unknown,
            send_window: config.send_window,
            max_frame_bytes,
            heartbeat_ms: config.heartbeat_ms,
            server_time_ms: self.core.clock.now_ms(),
        };
        self.tell(server_frame::Frame::Welcome(welcome))
    }

    /// The broker tells the older session of a device that it is superseded, unless the link breaks just then: it must
    /// not attach again and push this one out (promise 5).
    fn end_older_sessions(&self) {
        let session = self.session();
        if session.device.is_empty() {
            return;
        }
        let sessions = self.core.registry.of_user(&session.token.user);
        let older = sessions.iter().filter(|other| other.device == session.device && other.id < session.id);
        older.for_each(|older| {
            older.close(Close::new(ErrorCode::SessionSuperseded, "the device connected again"));
        });
    }

    fn on_link_lost(&mut self, link: u64, now: Instant) -> Result<(), Close> {
        self.attachment.link_lost(link, now);
        for gone in self.sends.link_lost(link, now + backoff::spread(RETRY_SOON)) {
            self.refuse(gone.seq, gone.code, "the link to the shard broke; a transient is not repeated", None)?;
        }
        let lost = self.requests.lost(|asked| asked.link == link);
        self.tell_unanswered(lost)
    }

    fn on_moved(&mut self, shards: &[u32], link: u64, now: Instant) -> Result<(), Close> {
        if shards.contains(&self.attachment.shard()) {
            self.attachment.moved_to(link, now);
        }
        for gone in self.sends.moved(shards, link, now + backoff::spread(RETRY_SOON / 10)) {
            self.refuse(gone.seq, gone.code, "the shard has another leader; a transient is not repeated", None)?;
        }
        let lost = self.requests.lost(|asked| shards.contains(&asked.shard) && asked.link != link);
        self.tell_unanswered(lost)
    }

    /// Gives up what was tried for long enough, and submits what is to be submitted again, in order.
    pub(super) fn submit_due(&mut self, now: Instant) -> Result<(), Close> {
        if self.sends.deadline(self.core.patience).is_none_or(|deadline| deadline > now) {
            return Ok(());
        }
        for gone in self.sends.give_up(now, self.core.patience) {
            let message = "the recipient's shard did not accept it in time";
            self.refuse(gone.seq, gone.code, message, Some(RETRY_AFTER_MS))?;
        }
        let mut stuck = Vec::new();
        for pending in self.sends.due(now) {
            if stuck.contains(&pending.shard) {
                continue;
            }
            let submit = self.route(&pending).map(|link| (self.submit_frame(&pending), link));
            match submit.map(|(frame, link)| (link.try_send(frame), link.id)) {
                Some((Ok(()), link)) => {
                    self.core.metrics.resubmitted.increment(1);
                    self.sends.submitted(pending.seq, link);
                }
                // What follows to the same shard waits with it.
                _ => {
                    stuck.push(pending.shard);
                    self.sends.retry_by(now + RETRY_SOON + backoff::spread(RETRY_SOON));
                }
            }
        }
        Ok(())
    }
}
