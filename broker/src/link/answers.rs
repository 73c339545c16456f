//! What becomes of a gateway's submissions to one shard. They are proposed in the order in which they came and answered
//! in that order, by one task per link and shard and not one per message.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use tidings_consensus::ProposeError;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{GroupTransient, Submitted, broker_frame};
use tidings_proto::client::v1::Durability;
use tokio::sync::{Semaphore, mpsc};

use super::activities::Told;
use super::outbox::Outbox;
use crate::core::{GroupName, Reply};
use crate::error::code_of;
use crate::group_feed::registry::GroupRegistry;
use crate::group_live::{self, Live, Reach};
use crate::metrics::Metrics;
use crate::shard::ShardHandle;

/// Answers put together before they are queued, at most.
const BATCH: usize = 256;

/// Questions to the registry, of one link about one shard, that may be unanswered.
pub const QUESTIONS: usize = 64;

/// A reply that is awaited.
pub type Outcome = Pin<Box<dyn Future<Output = Result<Reply, ProposeError>> + Send>>;

/// A submission in its place.
pub enum Pending {
    Append {
        session: u64,
        seq: u64,
        outcome: Outcome,
    },
    AppendToGroup {
        session: u64,
        seq: u64,
        group: GroupName,
        from: String,
        outcome: Outcome,
    },
    /// Waits for what was submitted before it, and goes to the sessions that are online then.
    Transient {
        transient: Transient,
        told: Told,
    },
    GroupTransient {
        transient: Transient,
        group: GroupName,
        from: String,
        envelope: Bytes,
        conflates: u64,
    },
}

/// A message that is stored nowhere: as it is answered.
pub struct Transient {
    pub session: u64,
    pub seq: u64,
    pub sent_at_ms: i64,
}

/// The task that answers.
pub struct Answers {
    pub shard: ShardHandle,
    pub outbox: Arc<Outbox>,
    pub retry_after_ms: u32,
    pub groups: Option<GroupRegistry>,
    pub live: Live,
    /// How many more questions to the registry may be unanswered.
    pub questions: Arc<Semaphore>,
    pub metrics: Metrics,
}

impl Answers {
    /// Runs until the link drops its end, and everything was answered or the link is gone.
    pub async fn run(self, mut pending: mpsc::Receiver<Pending>) {
        let mut taken = Vec::with_capacity(BATCH);
        let mut answers = Vec::with_capacity(BATCH);
        while pending.recv_many(&mut taken, BATCH).await > 0 {
            for one in taken.drain(..) {
                match one {
                    Pending::Append { session, seq, outcome } => {
                        let outcome = self.wait(outcome, &mut answers).await;
                        answers.push(broker_frame::Frame::Submitted(self.submitted(session, seq, outcome)));
                    }
                    Pending::AppendToGroup { session, seq, group, from, outcome } => {
                        let outcome = self.wait(outcome, &mut answers).await;
                        let is_no_member = matches!(outcome, Ok(Reply::Refused(ErrorCode::NotAMember)));
                        if !is_no_member || !self.asks_the_registry(session, seq, group, from) {
                            answers.push(broker_frame::Frame::Submitted(self.submitted(session, seq, outcome)));
                        }
                    }
                    Pending::Transient { transient, told } => {
                        self.outbox.push_all(answers.drain(..));
                        let answer = self.transient(told, transient).await;
                        answers.push(broker_frame::Frame::Submitted(answer));
                    }
                    Pending::GroupTransient { transient, group, from, envelope, conflates } => {
                        self.outbox.push_all(answers.drain(..));
                        let (session, seq) = (transient.session, transient.seq);
                        let answer = self.group_transient(transient, &group, &from, envelope, conflates).await;
                        let is_no_member = answer.code() == ErrorCode::NotAMember;
                        if !is_no_member || !self.asks_the_registry(session, seq, group, from) {
                            answers.push(broker_frame::Frame::Submitted(answer));
                        }
                    }
                }
            }
            self.outbox.push_all(answers.drain(..));
        }
    }

    /// The outcome; what was answered so far does not wait for it.
    async fn wait(&self, mut outcome: Outcome, answers: &mut Vec<broker_frame::Frame>) -> Result<Reply, ProposeError> {
        if let Some(ready) = (&mut outcome).now_or_never() {
            return ready;
        }
        if !answers.is_empty() {
            self.outbox.push_all(answers.drain(..));
        }
        outcome.await
    }

    fn submitted(&self, session: u64, seq: u64, outcome: Result<Reply, ProposeError>) -> Submitted {
        match outcome {
            Ok(Reply::Appended { sent_at_ms, duplicate }) => {
                if duplicate { &self.metrics.duplicates } else { &self.metrics.appended }.increment(1);
                let durability = self.durability().into();
                Submitted { session, seq, sent_at_ms, durability, ..Submitted::default() }
            }
            Ok(Reply::Refused(code)) => self.refused(session, seq, code, 0),
            Ok(_) => self.refused(session, seq, ErrorCode::Internal, 0),
            Err(error) => {
                let (code, leader_node) = code_of(&error);
                self.refused(session, seq, code, leader_node)
            }
        }
    }

    /// Somebody who is no member here may have joined a moment ago. Beside the other answers; `false` where so many are
    /// being asked for that the home's word has to do.
    fn asks_the_registry(&self, session: u64, seq: u64, group: GroupName, user: String) -> bool {
        let (Some(registry), Ok(place)) = (self.groups.clone(), self.questions.clone().try_acquire_owned()) else {
            return false;
        };
        let (shard, outbox, metrics) = (self.shard.clone(), self.outbox.clone(), self.metrics.clone());
        tokio::spawn(async move {
            let code = registry.code_for_stranger(&shard.news, group, user).await;
            metrics.refused(code);
            outbox.push(broker_frame::Frame::Submitted(refusal(session, seq, code, 0, 0)));
            drop(place);
        });
        true
    }

    fn refused(&self, session: u64, seq: u64, code: ErrorCode, leader_node: u64) -> Submitted {
        self.metrics.refused(code);
        refusal(session, seq, code, leader_node, self.retry_after_ms)
    }

    fn durability(&self) -> Durability {
        if self.shard.has_one_voter() { Durability::Fsync } else { Durability::QuorumFsync }
    }

    /// Handed to the sessions that are attached, stored nowhere; accepted also when there are none.
    async fn transient(&self, told: Told, Transient { session, seq, sent_at_ms }: Transient) -> Submitted {
        if self.shard.group.leads_now().is_none() {
            return self.refused(session, seq, ErrorCode::NotLeader, self.shard.leadership().leader.unwrap_or(0));
        }
        match told.hand_out(&self.shard).await {
            Ok(()) => handed_on(session, seq, sent_at_ms),
            Err(code) => self.refused(session, seq, code, 0),
        }
    }

    /// On its way to the members who are online.
    async fn group_transient(
        &self,
        Transient { session, seq, sent_at_ms }: Transient,
        group: &GroupName,
        from: &str,
        envelope: Bytes,
        conflates: u64,
    ) -> Submitted {
        if self.shard.group.leads_now().is_none() {
            return self.refused(session, seq, ErrorCode::NotLeader, self.shard.leadership().leader.unwrap_or(0));
        }
        let (view, name, user) = (self.shard.group.view(), group.clone(), from.to_owned());
        let looked = tokio::task::spawn_blocking(move || group_live::reach(&view, &name, Some(&user))).await;
        let Reach { shards, member_permissions } = match looked {
            Ok(Ok(Ok(reach))) => reach,
            Ok(Ok(Err(code))) => return self.refused(session, seq, code, 0),
            Ok(Err(_)) | Err(_) => return self.refused(session, seq, ErrorCode::Internal, 0),
        };
        let (app, group, from) = (group.app().to_owned(), group.group().to_owned(), from.to_owned());
        let message = GroupTransient { app, group, from, envelope, conflates, member_permissions };
        self.live.tell(&shards, &message);
        handed_on(session, seq, sent_at_ms)
    }
}

fn handed_on(session: u64, seq: u64, sent_at_ms: i64) -> Submitted {
    let durability = Durability::Transient.into();
    Submitted { session, seq, sent_at_ms, durability, ..Submitted::default() }
}

/// A submission that was not accepted.
pub fn refusal(session: u64, seq: u64, code: ErrorCode, leader_node: u64, retry_after_ms: u32) -> Submitted {
    let retry_after_ms = if code == ErrorCode::Overloaded { retry_after_ms } else { 0 };
    Submitted { session, seq, code: code.into(), leader_node, retry_after_ms, ..Submitted::default() }
}
