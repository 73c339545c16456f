//! What a member of a group is doing just now, told to the members who are online: from the group's home, which knows
//! who may say so, to the leaders of the shards in which members live. At most once, and stored nowhere: what is too
//! much, or finds no way, is dropped.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use prost::Message as _;
use tidings_consensus::{NodeId, StateView};
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{GroupActivity, RelayRequest, RelayResponse};
use tidings_proto::mailbox::v1::{GroupMemberRecord, GroupRecord, GroupTargetsRecord};
use tidings_proto::message::v1::{Activity, Block, Envelope, envelope};
use tokio::time::Instant;

use crate::core::group::append::may_send;
use crate::core::limits::GROUP_ACTIVITY_MEMBERS;
use crate::core::records::load;
use crate::core::{GroupName, MailboxId, keys};
use crate::error::Error;
use crate::query::has_blocked;
use crate::relay::Relay;
use crate::shard::{Request, ShardHandle};
use crate::shards::Shards;

/// Activities of one group in a second; more are dropped.
const PER_SECOND: u32 = 20;
/// Groups of a shard that are counted at a time; those of more are dropped until the second is over.
const COUNTED: usize = 4096;

/// How much was told in the groups of one home within this second.
#[derive(Default)]
pub struct GroupTalk(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    since: Option<Instant>,
    by_group: HashMap<GroupName, u32>,
}

impl GroupTalk {
    /// Whether one more may be told.
    pub fn admits(&self, group: &GroupName, now: Instant) -> bool {
        let mut counts = self.0.lock();
        if counts.since.is_none_or(|since| now - since >= Duration::from_secs(1)) {
            *counts = Counts { since: Some(now), by_group: HashMap::new() };
        }
        if counts.by_group.len() >= COUNTED && !counts.by_group.contains_key(group) {
            return false;
        }
        let told = counts.by_group.entry(group.clone()).or_default();
        *told += 1;
        *told <= PER_SECOND
    }
}

/// At home: tells the shards in which members live.
pub async fn tell(relay: Relay, home: ShardHandle, group: GroupName, activity: Activity) {
    if home.group.leads_now().is_none() || !home.talk.admits(&group, Instant::now()) {
        return;
    }
    let (view, name, from) = (home.group.view(), group.clone(), activity.from.clone());
    let looked = tokio::task::spawn_blocking(move || listeners(&view, &name, &from)).await;
    let Ok(Ok(shards)) = looked.inspect_err(|error| tracing::debug!(%error, "nobody was told")) else { return };
    let told = GroupActivity { app: group.app().to_owned(), activity: Some(activity) };
    let request = |shard| RelayRequest { shard, activity: Some(told.clone()), ..RelayRequest::default() };
    let tellings = shards.into_iter().map(|shard| relay.tell(request(shard)));
    for outcome in futures_util::future::join_all(tellings).await {
        if let Err(error) = outcome {
            tracing::debug!(%error, "members in a shard were not told what another does");
        }
    }
}

/// The shards in which members live whom this user may tell something.
fn listeners(view: &StateView, group: &GroupName, from: &str) -> Result<Vec<u32>, Error> {
    let record: GroupRecord = load(view, "group", &keys::group(group))?.unwrap_or_default();
    let settings = record.settings.unwrap_or_default();
    let member: Option<GroupMemberRecord> = load(view, "group member", &keys::group_member(group, from))?;
    if may_send(&settings, member).is_err() || record.members > GROUP_ACTIVITY_MEMBERS {
        return Ok(Vec::new());
    }
    let targets: GroupTargetsRecord = load(view, "group targets", &keys::group_targets(group))?.unwrap_or_default();
    Ok(targets.targets.into_iter().map(|target| target.shard).collect())
}

/// Where members live: hands it to those who are online.
pub async fn hand_out(shards: &Shards, node: NodeId, shard: u32, told: GroupActivity) -> RelayResponse {
    let refused = |code: ErrorCode, leader_node| RelayResponse { code: code.into(), leader_node, up_to: 0 };
    let handle = match shards.led(shard, node) {
        Ok(handle) => handle,
        Err(leader_node) => return refused(ErrorCode::NotLeader, leader_node),
    };
    let activity = told.activity.unwrap_or_default();
    let Some(group) = GroupName::new(&told.app, &activity.group) else { return refused(ErrorCode::InvalidArgument, 0) };
    let (view, from) = (handle.group.view(), activity.from.clone());
    let looked = tokio::task::spawn_blocking(move || members_here(&view, &group, &from)).await;
    let Ok(Ok(members)) = looked else { return refused(ErrorCode::Internal, 0) };
    let envelope = Envelope { event: Some(envelope::Event::Activity(activity)) }.encode_to_vec().into();
    match handle.requests.try_send(Request::GroupTransient { members, envelope, conflates: 0 }) {
        Ok(()) => RelayResponse::default(),
        Err(_) => refused(ErrorCode::Overloaded, 0),
    }
}

/// The members who live here, but for this one and those who have blocked what this one says in groups.
fn members_here(view: &StateView, group: &GroupName, speaker: &str) -> Result<Vec<MailboxId>, Error> {
    let (from, to) = keys::local_members(group, "");
    let limit = usize::try_from(GROUP_ACTIVITY_MEMBERS).unwrap_or(usize::MAX);
    let mut members = Vec::new();
    for (key, _) in view.scan(&from, &to, limit)? {
        let user = keys::member_user(&key).filter(|user| *user != speaker);
        let Some(mailbox) = user.and_then(|user| MailboxId::new(group.app(), user)) else { continue };
        if !has_blocked(view, &mailbox, speaker, Block::GroupMessages)? {
            members.push(mailbox);
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::group::testing::{ALL, RECEIVE, group, member};
    use crate::core::limits::USERS_PER_UPDATE;
    use crate::core::testing::Shard;
    use tidings_proto::client::v1::{Blocks, UpdateConversation as Update};
    use tidings_proto::mailbox::v1::{GroupChange, GroupSettings};

    #[test]
    fn so_many_in_a_second_and_no_more() {
        let talk = GroupTalk::default();
        let now = Instant::now();
        let told = |group: &GroupName, now| (0..PER_SECOND + 5).filter(|_| talk.admits(group, now)).count();
        assert_eq!(told(&group("team"), now), PER_SECOND as usize);
        assert_eq!(told(&group("other"), now), PER_SECOND as usize);
        assert_eq!(told(&group("team"), now + Duration::from_secs(1)), PER_SECOND as usize);
        for number in 0..COUNTED {
            talk.admits(&group(&number.to_string()), now + Duration::from_secs(1));
        }
        assert!(!talk.admits(&group("one more"), now + Duration::from_secs(1)));
    }

    #[test]
    fn who_may_send_is_heard_in_groups_up_to_a_size() {
        let mut shard = Shard::alone();
        shard.form("team", &[member("alice", ALL), member("mute", RECEIVE)]);
        let heard = |shard: &Shard, user| listeners(&shard.store.view(), &group("team"), user).unwrap();
        assert_eq!(heard(&shard, "alice"), [0]);
        assert!(heard(&shard, "mute").is_empty() && heard(&shard, "eve").is_empty());
        assert_eq!(members_here(&shard.store.view(), &group("team"), "alice").unwrap().len(), 1);
        let blocks = Some(Blocks { blocks: vec![Block::GroupMessages.into()] });
        shard.update("mute", "alice", Update { blocks, ..Update::default() });
        assert!(
            members_here(&shard.store.view(), &group("team"), "alice").unwrap().is_empty(),
            "mute has blocked alice"
        );
        let settings = |paused| GroupChange {
            settings: Some(GroupSettings { paused, ..GroupSettings::default() }),
            ..GroupChange::default()
        };
        shard.update_group("team", 2, vec![settings(true)]);
        assert!(heard(&shard, "alice").is_empty());
        shard.update_group("team", 3, vec![settings(false)]);

        let others: Vec<_> = (2..GROUP_ACTIVITY_MEMBERS).map(|number| member(&number.to_string(), ALL)).collect();
        assert!(others.len() < USERS_PER_UPDATE);
        shard.update_group("team", 4, vec![GroupChange { put: others, ..GroupChange::default() }]);
        assert_eq!(heard(&shard, "alice"), [0], "at the limit");
        let one_more = vec![member("one more", ALL)];
        shard.update_group("team", 5, vec![GroupChange { put: one_more, ..GroupChange::default() }]);
        assert!(heard(&shard, "alice").is_empty(), "one above it");
    }
}
