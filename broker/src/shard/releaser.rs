//! Lets scheduled messages go when their time has come, where this replica leads: asks what the policies of sender and
//! recipient say then, and puts the release into the log. A message that is released twice goes once: the log decides.

use std::collections::HashMap;
use std::time::Duration;

use tidings_consensus::Group;
use tidings_node::{Clock, Shutdown};
use tidings_proto::mailbox::v1::{ReleaseScheduled, ReleaseTerms, ScheduleRelease, ScheduledRecord, command::Command};
use tidings_proto::message::v1::MessageId;
use tidings_proto::{EffectivePolicy, ErrorCode};
use tonic::Status;

use crate::core::limits::RELEASED_PER_COMMAND;
use crate::core::{Core, CoreError, Scheduler, keys, records};
use crate::error::Error;
use crate::group_feed::registry::GroupRegistry;
use crate::level::ClusterLevel;
use crate::machine::ShardMachine;
use crate::reign::while_leading;
use crate::release_terms::terms;

/// How often it is looked for what was scheduled meanwhile.
const LOOK: Duration = Duration::from_secs(1);
/// How long a message waits for a control plane that does not answer, before it goes by what was known when it was
/// scheduled.
const REGISTRY_AWAY_MS: i64 = 10_000;

/// The releaser of one shard.
pub struct Releaser {
    pub core: Core,
    pub group: Group<ShardMachine>,
    pub level: ClusterLevel,
    /// Unset: there are no policies.
    pub registry: Option<GroupRegistry>,
    pub clock: Clock,
}

/// A message whose time has come.
struct Due {
    of: Scheduler,
    id: MessageId,
    waits: ScheduledRecord,
}

/// What is due, and when the next one is, if that is soon.
#[derive(Default)]
struct Found {
    due: Vec<Due>,
    next_at_ms: Option<i64>,
}

impl Releaser {
    /// Runs until the shard closes.
    pub async fn run(self, shutdown: Shutdown) {
        while_leading(&self.group, &shutdown, || self.release()).await;
    }

    async fn release(&self) {
        loop {
            let pause = self.look().await;
            tokio::time::sleep(pause).await;
        }
    }

    /// Releases what is due; answers how long there is nothing to do.
    async fn look(&self) -> Duration {
        let found = match self.find().await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(shard = self.core.shard, %error, "what was scheduled could not be read");
                return LOOK;
            }
        };
        if found.due.is_empty() {
            let now_ms = self.clock.now_ms();
            let until = |at_ms: i64| Duration::from_millis(u64::try_from(at_ms - now_ms).unwrap_or(0));
            return found.next_at_ms.map_or(LOOK, |at_ms| until(at_ms).min(LOOK));
        }
        let is_full = found.due.len() == RELEASED_PER_COMMAND;
        let releases = self.judge(found.due).await;
        if releases.is_empty() {
            return LOOK;
        }
        let release = Command::ReleaseScheduled(ReleaseScheduled { releases });
        let Some(command) = self.level.encode(release) else { return LOOK };
        match self.group.propose_when_ready(command).await {
            Ok(_) if is_full => Duration::ZERO,
            Ok(_) => Duration::from_millis(1),
            // The next leader does it, or this one again.
            Err(_) => LOOK,
        }
    }

    async fn find(&self) -> Result<Found, Error> {
        let (view, now_ms) = (self.group.view(), self.clock.now_ms());
        let finding = tokio::task::spawn_blocking(move || {
            let soon_ms = now_ms.saturating_add(i64::try_from(LOOK.as_millis()).unwrap_or(i64::MAX));
            let (from, to) = keys::schedule_due_before(soon_ms);
            let mut found = Found::default();
            for (key, _) in view.scan(&from, &to, RELEASED_PER_COMMAND)? {
                let (of, id) = keys::due_scheduled(&key)
                    .ok_or(CoreError::Contradiction("the key of a scheduled message cannot be read"))?;
                let waits = records::load::<ScheduledRecord>(&view, "scheduled message", &keys::scheduled(&of, id))?;
                let Some(waits) = waits else { continue };
                if waits.due_at_ms > now_ms {
                    found.next_at_ms = Some(waits.due_at_ms);
                    break;
                }
                found.due.push(Due { of, id, waits });
            }
            Ok(found)
        });
        finding.await.unwrap_or(Err(Error::Interrupted))
    }

    /// What is released now, and how.
    async fn judge(&self, due: Vec<Due>) -> Vec<ScheduleRelease> {
        let mut known = Known::default();
        let mut is_away = false;
        let mut releases = Vec::with_capacity(due.len());
        for Due { of, id, waits } in due {
            let judged = match &self.registry {
                Some(registry) if !is_away => known.judge(registry, &of, &waits).await.map(|judged| judged.map(Some)),
                Some(_) => Err(Status::unavailable("the control plane did not answer")),
                None => Ok(Ok(None)),
            };
            let judged = match judged {
                Ok(judged) => judged,
                Err(status) => {
                    if !is_away {
                        tracing::warn!(shard = self.core.shard, %status, "policies for scheduled messages are not known");
                    }
                    is_away = true;
                    if self.clock.now_ms().saturating_sub(waits.due_at_ms) < REGISTRY_AWAY_MS {
                        continue;
                    }
                    Ok(None)
                }
            };
            let (terms, refusal) = match judged {
                Ok(terms) => (terms, ErrorCode::Unspecified),
                Err(code) => (None, code),
            };
            releases.push(ScheduleRelease {
                app: of.mailbox.app().to_owned(),
                user: of.mailbox.user().to_owned(),
                by_system: of.is_system,
                id: Some(id),
                terms,
                refusal: refusal.into(),
            });
        }
        releases
    }
}

/// Users as the registry knows them: their policies, when they are there.
#[derive(Default)]
struct Known {
    users: HashMap<(String, String), Option<User>>,
    policies: HashMap<(String, String), EffectivePolicy>,
}

#[derive(Clone)]
struct User {
    is_active: bool,
    policy: EffectivePolicy,
}

impl Known {
    async fn judge(
        &mut self,
        registry: &GroupRegistry,
        of: &Scheduler,
        waits: &ScheduledRecord,
    ) -> Result<Result<ReleaseTerms, ErrorCode>, Status> {
        let (app, to) = (of.mailbox.app(), waits.message.as_ref().map_or("", |message| &message.to));
        let sender = if of.is_system {
            self.policy(registry, app, "").await?
        } else {
            match self.user(registry, app, of.mailbox.user()).await? {
                Some(user) if user.is_active => user.policy,
                Some(_) | None => return Ok(Err(ErrorCode::UserInactive)),
            }
        };
        let recipient = if waits.to_group {
            None
        } else {
            match self.user(registry, app, to).await? {
                Some(user) => Some(user.policy),
                None => return Ok(Err(ErrorCode::RecipientUnknown)),
            }
        };
        Ok(terms(waits, of.is_system, &sender, recipient.as_ref()))
    }

    async fn user(&mut self, registry: &GroupRegistry, app: &str, user: &str) -> Result<Option<User>, Status> {
        let key = (app.to_owned(), user.to_owned());
        if let Some(known) = self.users.get(&key) {
            return Ok(known.clone());
        }
        let found = registry.user(app, user).await?;
        let user = if found.exists {
            let policy = self.policy(registry, app, &found.policy).await?;
            Some(User { is_active: found.active, policy })
        } else {
            None
        };
        self.users.insert(key, user.clone());
        Ok(user)
    }

    async fn policy(&mut self, registry: &GroupRegistry, app: &str, id: &str) -> Result<EffectivePolicy, Status> {
        let key = (app.to_owned(), id.to_owned());
        if let Some(known) = self.policies.get(&key) {
            return Ok(known.clone());
        }
        let policy = EffectivePolicy::from(&registry.policy(app, id).await?);
        self.policies.insert(key, policy.clone());
        Ok(policy)
    }
}
