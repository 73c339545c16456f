//! A session's place under its shard's leader: asked for, lost, asked for again, for as long as the client is
//! connected.

use std::sync::Arc;
use std::time::Duration;

use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{Attach, Attached, Detach, gateway_frame};
use tidings_proto::client::v1::Resume;
use tidings_proto::error::Next;
use tokio::time::Instant;

use crate::backoff;
use crate::core::Core;
use crate::link::{LinkHandle, NotQueued};
use crate::registry::SessionGuard;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_millis(40);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// After a broken link its sessions come back within this time, not all at once.
const SPREAD: Duration = Duration::from_millis(100);

enum State {
    Waiting { due: Instant },
    Asked { id: u64, link: Arc<LinkHandle>, deadline: Instant },
    Attached { id: u64, link: Arc<LinkHandle> },
}

/// Where a session stands with its broker. Dropping it detaches.
pub(crate) struct Attachment {
    shard: u32,
    state: State,
    attempts: u32,
}

/// What an answer of the broker came to.
pub(crate) enum Progress {
    /// Attached now.
    Attached(Box<Attached>),
    /// It will be asked again; or the answer was to an earlier question.
    Waiting,
    /// It makes no sense to ask again.
    Refused(ErrorCode),
}

impl Attachment {
    /// To be asked for at once.
    pub fn new(shard: u32, now: Instant) -> Self {
        Self { shard, state: State::Waiting { due: now }, attempts: 0 }
    }

    pub fn shard(&self) -> u32 {
        self.shard
    }

    /// The link, while attached.
    pub fn link(&self) -> Option<&Arc<LinkHandle>> {
        match &self.state {
            State::Attached { link, .. } => Some(link),
            _ => None,
        }
    }

    /// The id under which the session is attached.
    pub fn id(&self) -> Option<u64> {
        match &self.state {
            State::Attached { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// When [`Attachment::drive`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { due } => Some(*due),
            State::Asked { deadline, .. } => Some(*deadline),
            State::Attached { .. } => None,
        }
    }

    /// Asks when it is time, and gives up an answer that does not come.
    /// `came_from` answers where the device stands, and which attachment the session had before (0: none).
    pub fn drive(
        &mut self,
        now: Instant,
        core: &Core,
        guard: &SessionGuard,
        came_from: impl FnOnce() -> (Option<Resume>, u64),
    ) {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        if let State::Asked { id, link, .. } = &self.state {
            tracing::debug!(shard = self.shard, node = link.node, "no answer to an attach");
            self.detach(*id, link);
            core.router.not_leader(self.shard, link.node, 0);
            return self.retry(now);
        }
        let Some(link) = core.router.route(self.shard) else { return self.retry(now) };
        let id = guard.fresh_attachment();
        let (session, config) = (guard.session(), &core.config);
        let (resume, attached) = came_from();
        let attach = Attach {
            session: id,
            shard: self.shard,
            app: session.token.user.app().to_owned(),
            user: session.token.user.user().to_owned(),
            device: session.device.to_string(),
            resume,
            window_entries: config.delivery_window,
            window_bytes: config.delivery_window_bytes,
            attached,
            nonce: session.nonce,
            max_devices: session.policy().effective().max_devices,
            withholds_delivered: !session.policy().effective().delivered_receipts,
        };
        match link.try_send(gateway_frame::Frame::Attach(attach)) {
            Ok(()) => self.state = State::Asked { id, link, deadline: now + ANSWER_TIMEOUT },
            Err(_) => self.retry(now),
        }
    }

    /// Takes the answer.
    pub fn answered(&mut self, attached: Box<Attached>, now: Instant, core: &Core) -> Progress {
        let State::Asked { id, link, .. } = &self.state else { return Progress::Waiting };
        if *id != attached.session {
            return Progress::Waiting;
        }
        if attached.code == 0 {
            self.state = State::Attached { id: *id, link: link.clone() };
            self.attempts = 0;
            return Progress::Attached(attached);
        }
        let code = ErrorCode::try_from(attached.code).unwrap_or(ErrorCode::Unavailable);
        if code.next() == Next::Stop {
            return Progress::Refused(code);
        }
        let node = link.node;
        self.moved(code, node, attached.leader_node, now, core);
        Progress::Waiting
    }

    /// The broker ended an attachment. Answers the code when the session has to end with it.
    pub fn detached(&mut self, id: u64, code: ErrorCode, leader: u64, now: Instant, core: &Core) -> Option<ErrorCode> {
        let node = match &self.state {
            State::Attached { id: current, link } | State::Asked { id: current, link, .. } if *current == id => {
                link.node
            }
            _ => return None,
        };
        if code.next() == Next::Stop {
            return Some(code);
        }
        self.moved(code, node, leader, now, core);
        None
    }

    fn moved(&mut self, code: ErrorCode, node: u64, leader: u64, now: Instant, core: &Core) {
        if code == ErrorCode::NotLeader {
            core.router.not_leader(self.shard, node, leader);
        }
        self.retry(now);
    }

    /// A link is lost. Answers whether it was this session's.
    pub fn link_lost(&mut self, lost: u64, now: Instant) -> bool {
        match &self.state {
            State::Attached { link, .. } | State::Asked { link, .. } if link.id == lost => {
                self.state = State::Waiting { due: now + backoff::spread(SPREAD) };
                true
            }
            _ => false,
        }
    }

    /// The shard is led by the node at the end of this link from now on: what was attached or asked for elsewhere comes
    /// there.
    pub fn moved_to(&mut self, link: u64, now: Instant) {
        match &self.state {
            State::Attached { link: old, .. } | State::Asked { link: old, .. } if old.id == link => {}
            _ => self.state = State::Waiting { due: now + backoff::spread(SPREAD) },
        }
    }

    /// Gives the attachment up and asks for another: something between was missed.
    pub fn renew(&mut self, now: Instant) {
        if let State::Attached { id, link } = &self.state {
            self.detach(*id, link);
        }
        self.retry(now);
    }

    fn retry(&mut self, now: Instant) {
        self.state = State::Waiting { due: now + backoff::jittered(FIRST_RETRY, LAST_RETRY, self.attempts) };
        self.attempts = self.attempts.saturating_add(1);
    }

    fn detach(&self, session: u64, link: &Arc<LinkHandle>) {
        let detach = gateway_frame::Frame::Detach(Detach { session, shard: self.shard });
        // A link that is gone has detached all of its sessions.
        if let Err(NotQueued::Full(detach)) = link.try_send(detach) {
            let link = link.clone();
            tokio::spawn(async move { link.send(*detach).await });
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if let State::Attached { id, link } | State::Asked { id, link, .. } = &self.state {
            self.detach(*id, link);
        }
    }
}
