//! Brings the groups of a shard to where the registry has them. It runs with the shard's leader: looks at all of them
//! when it begins, and then at those that have changed. What fails is tried again; what was proposed twice changes
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tidings_consensus::Group;
use tidings_node::Shutdown;
use tidings_proto::cluster::v1::{GetGroupChangesRequest, GetGroupChangesResponse, ListGroupsOfShardRequest};
use tidings_proto::mailbox::v1::command::Command;
use tidings_proto::mailbox::v1::{
    GroupChange, GroupMember, GroupMemberRecord, GroupRecord, GroupSettings, UpdateGroup,
};
use tidings_proto::message::v1::group_event::Kind;

use super::news::GroupNews;
use super::registry::GroupRegistry;
use super::translation::{Step, difference, member_of, settings_of, steps};
use crate::core::limits::USERS_PER_UPDATE;
use crate::core::{Core, CoreError, GroupName, Reply, keys, records};
use crate::error::Error;
use crate::level::ClusterLevel;
use crate::machine::ShardMachine;
use crate::metrics::Metrics;
use crate::reign::while_leading;

/// Before what failed is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// Groups that are brought up to date at the same time.
const AT_ONCE: usize = 16;
/// Groups and members read at once.
const PAGE: usize = 1000;
/// Answers of the registry for one group, before others get their turn.
const ROUNDS: usize = 256;

/// The registrar of one shard.
pub struct Registrar {
    pub core: Core,
    pub group: Group<ShardMachine>,
    pub level: ClusterLevel,
    pub news: Arc<GroupNews>,
    pub registry: GroupRegistry,
    pub metrics: Metrics,
}

impl Registrar {
    /// Runs until the shard closes.
    pub async fn run(self, shutdown: Shutdown) {
        while_leading(&self.group, &shutdown, || self.follow()).await;
    }

    async fn follow(&self) {
        let mut waiting = BTreeMap::new();
        let mut looks_at_all = true;
        loop {
            if looks_at_all {
                match self.outdated().await {
                    Ok(outdated) => {
                        waiting.extend(outdated);
                        looks_at_all = false;
                    }
                    Err(error) => self.failed(&error),
                }
            }
            let tried = stream::iter(std::mem::take(&mut waiting)).map(|(group, revision)| async move {
                match self.catch_up(&group, revision).await {
                    Ok(()) => None,
                    Err(error) => {
                        self.failed(&error);
                        Some((group, revision))
                    }
                }
            });
            waiting.extend(tried.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect::<Vec<_>>().await);
            tokio::select! {
                news = self.news.take() => {
                    looks_at_all |= news.all;
                    waiting.extend(news.groups);
                }
                () = tokio::time::sleep(RETRY), if looks_at_all || !waiting.is_empty() => {}
            }
        }
    }

    fn failed(&self, error: &Error) {
        tracing::warn!(shard = self.core.shard, %error, "groups could not be brought up to date; trying again");
        self.metrics.group_update_failures.increment(1);
    }

    /// Groups whose revision here is another one than in the registry, or that it does not have.
    async fn outdated(&self) -> Result<BTreeMap<GroupName, u64>, Error> {
        let mut outdated = BTreeMap::new();
        let mut listed = BTreeSet::new();
        let page_size = u32::try_from(PAGE).unwrap_or(u32::MAX);
        let mut request = ListGroupsOfShardRequest { shard: self.core.shard, page_size, ..Default::default() };
        loop {
            let page = self.registry.groups_of(request.clone()).await.map_err(refused)?;
            for known in page.groups {
                let Some(name) = GroupName::new(&known.app, &known.group) else { continue };
                if self.record(&name).await?.revision != known.revision {
                    outdated.insert(name.clone(), known.revision);
                }
                listed.insert(name);
            }
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        for (name, record) in self.groups_here().await? {
            if !listed.contains(&name) && (record.members > 0 || !record.settings.unwrap_or_default().deleted) {
                outdated.insert(name, 0);
            }
        }
        Ok(outdated)
    }

    /// Brings one group to where the registry has it, at `at_least` or later.
    async fn catch_up(&self, name: &GroupName, at_least: u64) -> Result<(), Error> {
        let mut revision = self.record(name).await?.revision;
        for _ in 0..ROUNDS {
            let request = GetGroupChangesRequest {
                app: name.app().to_owned(),
                group: name.group().to_owned(),
                after_revision: revision,
                at_least,
                ..GetGroupChangesRequest::default()
            };
            let answer = self.registry.changes(request.clone()).await.map_err(refused)?;
            if answer.gone {
                self.end(name, revision, revision).await?;
                return Ok(());
            }
            let newest = answer.group.as_ref().map_or(answer.revision, |group| group.revision);
            revision = if answer.reset {
                self.replace(name, revision, request, answer).await?
            } else {
                self.take_events(name, revision, answer).await?
            };
            if revision >= newest {
                return Ok(());
            }
        }
        Err(Error::GroupFeed("a group changes faster than it can be followed".to_owned()))
    }

    async fn take_events(
        &self,
        name: &GroupName,
        mut revision: u64,
        answer: GetGroupChangesResponse,
    ) -> Result<u64, Error> {
        let large_beyond = answer.large_group_members;
        for step in steps(answer.events) {
            let (to, stands) = match step {
                Step::Changes(changes, to) => {
                    let begins_anew = changes.iter().any(|change| change.kind == Kind::Created as i32);
                    if begins_anew && self.record(name).await?.members > 0 {
                        self.end(name, revision, revision).await?;
                    }
                    (to, self.propose(name, (revision, to), changes, large_beyond).await?)
                }
                Step::Deleted(to) => (to, self.end(name, revision, to).await?),
            };
            revision = stands;
            if stands != to {
                // Another leader was before this one: what is left is asked for again.
                return Ok(revision);
            }
        }
        if answer.revision > revision {
            revision = self.propose(name, (revision, answer.revision), Vec::new(), large_beyond).await?;
        }
        Ok(revision)
    }

    /// The events are not all there any more: makes the members into those that the registry has.
    async fn replace(
        &self,
        name: &GroupName,
        revision: u64,
        mut request: GetGroupChangesRequest,
        first: GetGroupChangesResponse,
    ) -> Result<u64, Error> {
        let (to, large_beyond) = (first.revision, first.large_group_members);
        let settings = first.group.as_ref().map(|group| settings_of(group, group.revision));
        let mut now: BTreeMap<String, GroupMember> = BTreeMap::new();
        let mut page = first;
        loop {
            now.extend(page.members.iter().map(|member| (member.user.clone(), member_of(member))));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
            page = self.registry.changes(request.clone()).await.map_err(refused)?;
        }
        let changes = difference(&self.members(name, usize::MAX).await?, &now);
        let settings = vec![GroupChange { settings, ..GroupChange::default() }];
        self.propose(name, (revision, revision), settings, large_beyond).await?;
        for change in changes {
            self.propose(name, (revision, revision), vec![change], large_beyond).await?;
        }
        self.propose(name, (revision, to), Vec::new(), large_beyond).await
    }

    /// The group is over: nobody may send, and its members are told, some at a time.
    async fn end(&self, name: &GroupName, from: u64, to: u64) -> Result<u64, Error> {
        let settings = Some(GroupSettings { deleted: true, ..GroupSettings::default() });
        self.propose(name, (from, from), vec![GroupChange { settings, ..GroupChange::default() }], 0).await?;
        loop {
            let removed: Vec<_> = self.members(name, USERS_PER_UPDATE).await?.into_keys().collect();
            if removed.is_empty() {
                return self.propose(name, (from, to), Vec::new(), 0).await;
            }
            let change = GroupChange { kind: Kind::Deleted.into(), removed, ..GroupChange::default() };
            if self.propose(name, (from, from), vec![change], 0).await? != from {
                return Err(Error::GroupFeed("a group was changed while it was taken apart".to_owned()));
            }
        }
    }

    /// Answers the revision at which the group stands then. Beyond so many members it is a large one; 0: as it is
    /// known.
    async fn propose(
        &self,
        name: &GroupName,
        revisions: (u64, u64),
        changes: Vec<GroupChange>,
        large_beyond: u32,
    ) -> Result<u64, Error> {
        let command = self.level.encode(Command::UpdateGroup(UpdateGroup {
            app: name.app().to_owned(),
            group: name.group().to_owned(),
            from_revision: revisions.0,
            to_revision: revisions.1,
            changes,
            large_beyond,
        }));
        let command = command.ok_or_else(|| Error::GroupFeed("a broker is of a release without groups".to_owned()))?;
        match self.group.propose_when_ready(command).await {
            Ok(Reply::GroupStands { revision }) => {
                self.metrics.group_updates.increment(1);
                Ok(revision)
            }
            Ok(other) => Err(Error::GroupFeed(format!("an update was answered with {other:?}"))),
            Err(error) => Err(Error::GroupFeed(error.to_string())),
        }
    }

    async fn record(&self, name: &GroupName) -> Result<GroupRecord, Error> {
        let (view, key) = (self.group.view(), keys::group(name));
        read(move || {
            let stored = view.get(&key)?;
            Ok(stored.map(|stored| records::open("group", stored)).transpose()?.unwrap_or_default())
        })
        .await
    }

    /// At most so many members.
    async fn members(&self, name: &GroupName, limit: usize) -> Result<BTreeMap<String, GroupMemberRecord>, Error> {
        let (view, (mut from, to)) = (self.group.view(), keys::group_members(name, ""));
        let name = name.clone();
        read(move || {
            let mut members = BTreeMap::new();
            loop {
                let page = view.scan(&from, &to, PAGE.min(limit - members.len()))?;
                let Some((last, _)) = page.last() else { return Ok(members) };
                from = keys::group_members(&name, user_in(last)?).0;
                for (key, stored) in &page {
                    members.insert(user_in(key)?.to_owned(), records::open("group member", stored.clone())?);
                }
                if members.len() >= limit {
                    return Ok(members);
                }
            }
        })
        .await
    }

    async fn groups_here(&self) -> Result<Vec<(GroupName, GroupRecord)>, Error> {
        let view = self.group.view();
        read(move || {
            let (mut from, to) = keys::all_groups();
            let mut groups = Vec::new();
            loop {
                let page = view.scan(&from, &to, PAGE)?;
                let Some((last, _)) = page.last() else { return Ok(groups) };
                from = [&last[..], &[0]].concat();
                for (key, stored) in page {
                    let name = keys::group_in(&key).ok_or(CoreError::Contradiction("a group has no name"))?;
                    groups.push((name, records::open("group", stored)?));
                }
            }
        })
        .await
    }
}

fn user_in(key: &[u8]) -> Result<&str, CoreError> {
    keys::member_user(key).ok_or(CoreError::Contradiction("a member has no name"))
}

async fn read<T: Send + 'static>(read: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(read).await.unwrap_or(Err(Error::Interrupted))
}

fn refused(status: tonic::Status) -> Error {
    Error::GroupFeed(status.message().to_owned())
}
