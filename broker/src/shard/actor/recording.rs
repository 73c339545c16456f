//! What sessions tell of: what their devices have, and what their users read.

use std::sync::Arc;

use tidings_consensus::ProposeError;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{ReadRecorded, broker_frame};
use tidings_proto::mailbox::v1::{MarkRead, MoveCursor, command::Command};
use tidings_proto::message::v1::MessageId;
use tokio::time::Instant;

use super::{BETWEEN_CURSORS, Done, GATHER_CURSORS, ShardActor};
use crate::core::{MailboxId, Reply};
use crate::error::code_of;
use crate::link::outbox::Outbox;
use crate::shard::session::{Session, SessionKey};

impl ShardActor {
    pub(super) fn acknowledge(&mut self, key: SessionKey, cursor: u64, withholds: bool) {
        let Some(session) = self.session(key) else { return };
        session.withholds = withholds;
        session.acknowledge(cursor);
        if session.lags() {
            self.read_page(key);
        }
        self.record_cursor(key);
    }

    /// One cursor of a session at a time is on its way; the newest waits. What sessions acknowledge within a moment
    /// goes together in one entry of the log: nobody waits for it.
    pub(super) fn record_cursor(&mut self, key: SessionKey) {
        if !self.session(key).is_some_and(Session::wants_recording) {
            return;
        }
        if self.gathered.is_empty() {
            self.gather_until = Instant::now() + GATHER_CURSORS;
        }
        self.gathered.push(key);
    }

    pub(super) fn record_gathered(&mut self) {
        for key in std::mem::take(&mut self.gathered) {
            let Some(mailbox) = self.sessions.get(&key).cloned() else { continue };
            let Some(session) = self.session(key) else { continue };
            let Some(cursor) = session.unrecorded() else { continue };
            let moved = move_cursor(&mailbox, session, cursor);
            let Some(command) = self.level.encode(moved) else { continue };
            let group = self.group.clone();
            self.running.push(Box::pin(async move {
                let answer = group.propose_when_ready(command).await;
                Done::CursorMoved { key, to: cursor, answer }
            }));
        }
    }

    /// A session goes: what it acknowledged last is recorded without it.
    pub(super) fn record_last(&mut self, mailbox: &MailboxId, session: &Session) {
        let Some(cursor) = session.unrecorded().filter(|_| self.reign.is_some()) else { return };
        let Some(command) = self.level.encode(move_cursor(mailbox, session, cursor)) else { return };
        let outcome = self.group.propose(command);
        self.running.push(Box::pin(async move {
            // When it is lost, the device brings its cursor along, or is delivered to once more.
            drop(outcome.await);
            Done::LastCursorMoved
        }));
    }

    pub(super) fn cursor_moved(&mut self, key: SessionKey, to: u64, answer: Result<Reply, ProposeError>) {
        match answer {
            Ok(Reply::CursorMoved { cursor }) => {
                self.metrics.cursor_moves.increment(1);
                let Some(session) = self.session(key) else { return };
                session.recorded(cursor);
                if cursor < to {
                    // One command did not go so far.
                    session.may_record_again();
                    self.record_cursor(key);
                } else {
                    self.pausing.push_back((Instant::now() + BETWEEN_CURSORS, key));
                }
            }
            Ok(Reply::Refused(ErrorCode::StreamSuperseded)) => {
                self.end_session(key, ErrorCode::SessionSuperseded, 0);
            }
            Ok(_) => self.end_session(key, ErrorCode::Internal, 0),
            Err(error) => {
                // The client keeps its cursor and brings it along when it attaches again.
                let (code, leader) = code_of(&error);
                let code = if code == ErrorCode::OutcomeUnknown { ErrorCode::NotLeader } else { code };
                self.end_session(key, code, leader);
            }
        }
    }

    /// Cursors that were acknowledged meanwhile are recorded.
    pub(super) fn end_pauses(&mut self) {
        let now = Instant::now();
        while let Some((_, key)) = self.pausing.pop_front_if(|(until, _)| *until <= now) {
            if let Some(session) = self.session(key) {
                session.may_record_again();
            }
            self.record_cursor(key);
        }
    }

    pub(super) fn mark_read(
        &mut self,
        key: SessionKey,
        outbox: Arc<Outbox>,
        (from, id): (String, MessageId),
        privately: bool,
    ) {
        let Some(mailbox) = self.sessions.get(&key) else {
            let code = if self.reign.is_some() { ErrorCode::InvalidArgument } else { ErrorCode::NotLeader };
            return outbox.push(read_recorded(key, from, id, code.into()));
        };
        let mark = MarkRead {
            app: mailbox.app().to_owned(),
            user: mailbox.user().to_owned(),
            from: from.clone(),
            stream: id.stream,
            up_to_seq: id.seq,
            privately,
        };
        let Some(command) = self.level.encode(Command::MarkRead(mark)) else {
            return outbox.push(read_recorded(key, from, id, ErrorCode::Unavailable.into()));
        };
        let outcome = self.group.propose(command);
        self.running.push(Box::pin(async move {
            let code = match outcome.await {
                Ok(Reply::ReadRecorded) => 0,
                Ok(Reply::Refused(code)) => code.into(),
                Ok(_) => ErrorCode::Internal.into(),
                Err(error) => code_of(&error).0.into(),
            };
            outbox.push(read_recorded(key, from, id, code));
            Done::ReadMarked
        }));
    }
}

fn read_recorded(key: SessionKey, from: String, id: MessageId, code: i32) -> broker_frame::Frame {
    broker_frame::Frame::ReadRecorded(ReadRecorded { session: key.session, from, id: Some(id), code })
}

/// The command that records a session's cursor in the mailbox.
fn move_cursor(mailbox: &MailboxId, session: &Session, cursor: u64) -> Command {
    Command::MoveCursor(MoveCursor {
        app: mailbox.app().to_owned(),
        user: mailbox.user().to_owned(),
        slot: session.slot,
        cursor,
        stream: session.stream,
        withholds_delivered: session.withholds,
    })
}
