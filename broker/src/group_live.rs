//! Messages to groups that are stored nowhere (ttl 0): from the group's home, which knows who may send, to the leaders
//! of the shards in which members live, and there to the members who are online. In the order in which the home took
//! them, and at most once: what is too much, or finds no way, is dropped and counted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidings_consensus::{NodeId, StateView};
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{GroupTransient, RelayRequest, RelayResponse};
use tidings_proto::group::v1::Permission;
use tidings_proto::mailbox::v1::{GroupMemberRecord, GroupRecord, GroupTargetsRecord};
use tidings_proto::message::v1::Block;
use tokio::sync::mpsc;

use crate::core::group::append::may_send;
use crate::core::group::permissions;
use crate::core::limits::GROUP_ACTIVITY_MEMBERS;
use crate::core::records::{self, load};
use crate::core::{GroupName, MailboxId, keys};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::query::has_blocked;
use crate::relay::Relay;
use crate::shard::{Request, ShardHandle};
use crate::shards::Shards;

/// Messages to groups that wait in this node for one shard; further ones are dropped.
const WAITING: usize = 1024;
/// How many go in one call, and about how many bytes of them.
const TOGETHER: usize = 256;
const BYTES_TOGETHER: usize = 256 * 1024;
/// While a shard has more to do than it can, what waits for it is tried again after this.
const BUSY: Duration = Duration::from_millis(5);

/// The ways from the homes in this node to all shards. Cheap to clone.
#[derive(Clone)]
pub struct Live {
    relay: Relay,
    metrics: Metrics,
    /// As many as there are shards at most.
    lanes: Arc<Mutex<HashMap<u32, mpsc::Sender<GroupTransient>>>>,
}

/// To whom a member may send.
#[derive(Debug, PartialEq, Eq)]
pub struct Reach {
    /// In which members live.
    pub shards: Vec<u32>,
    pub member_permissions: u32,
}

impl Live {
    /// Goes by `relay`.
    pub fn new(relay: Relay, metrics: Metrics) -> Self {
        Self { relay, metrics, lanes: Arc::default() }
    }

    /// Puts a message on its way to these shards.
    pub fn tell(&self, shards: &[u32], message: &GroupTransient) {
        for shard in shards {
            let lane = self.lanes.lock().entry(*shard).or_insert_with(|| self.open(*shard)).clone();
            if lane.try_send(message.clone()).is_err() {
                self.metrics.group_transients_dropped.increment(1);
            }
        }
    }

    /// A way to a shard, which ends with the last clone of this.
    fn open(&self, shard: u32) -> mpsc::Sender<GroupTransient> {
        let (lane, waiting) = mpsc::channel(WAITING);
        tokio::spawn(carry(self.relay.clone(), self.metrics.clone(), shard, waiting));
        lane
    }
}

async fn carry(relay: Relay, metrics: Metrics, shard: u32, mut waiting: mpsc::Receiver<GroupTransient>) {
    while let Some(first) = waiting.recv().await {
        let mut bytes = first.envelope.len();
        let mut transients = vec![first];
        while transients.len() < TOGETHER
            && bytes < BYTES_TOGETHER
            && let Ok(next) = waiting.try_recv()
        {
            bytes += next.envelope.len();
            transients.push(next);
        }
        let dropped = transients.len() as u64;
        let request = RelayRequest { shard, transients, ..RelayRequest::default() };
        if let Err(error) = relay.tell(request).await {
            tracing::debug!(%error, shard, dropped, "members in a shard were not given what is stored nowhere");
            metrics.group_transients_dropped.increment(dropped);
            tokio::time::sleep(BUSY).await;
        }
    }
}

/// At home: to whom this user may send, or (none) the system, which always may; the code when to nobody.
pub fn reach(view: &StateView, group: &GroupName, from: Option<&str>) -> Result<Result<Reach, ErrorCode>, Error> {
    let record: GroupRecord = load(view, "group", &keys::group(group))?.unwrap_or_default();
    let settings = record.settings.unwrap_or_default();
    match from {
        Some(from) => {
            let member: Option<GroupMemberRecord> = load(view, "group member", &keys::group_member(group, from))?;
            if let Err(code) = may_send(&settings, member) {
                return Ok(Err(code));
            }
        }
        None if record.settings.is_none() || settings.deleted => return Ok(Err(ErrorCode::NotAMember)),
        None => {}
    }
    if record.members > GROUP_ACTIVITY_MEMBERS {
        return Ok(Err(ErrorCode::FailedPrecondition));
    }
    let targets: GroupTargetsRecord = load(view, "group targets", &keys::group_targets(group))?.unwrap_or_default();
    let shards = targets.targets.into_iter().map(|target| target.shard).collect();
    Ok(Ok(Reach { shards, member_permissions: settings.member_permissions }))
}

/// Where members live: hands messages to those who are online.
pub async fn hand_out(shards: &Shards, node: NodeId, shard: u32, told: Vec<GroupTransient>) -> RelayResponse {
    let refused = |code: ErrorCode, leader_node| RelayResponse { code: code.into(), leader_node, up_to: 0 };
    let handle = match shards.led(shard, node) {
        Ok(handle) => handle,
        Err(leader_node) => return refused(ErrorCode::NotLeader, leader_node),
    };
    let view = handle.group.view();
    let found = tokio::task::spawn_blocking(move || {
        // Mostly several are of one sender.
        let runs = told.chunk_by(is_for_the_same).take(TOGETHER);
        runs.filter_map(|run| Some((receivers(&view, run.first()?).ok()?, run.to_vec()))).collect::<Vec<_>>()
    });
    let Ok(found) = found.await else { return refused(ErrorCode::Internal, 0) };
    for (members, told) in
        found.into_iter().flat_map(|(members, run)| run.into_iter().map(move |told| (members.clone(), told)))
    {
        if !hand_to(&handle, members, told).await {
            return refused(ErrorCode::Overloaded, 0);
        }
    }
    RelayResponse::default()
}

/// Whether two messages are for the same members.
fn is_for_the_same(one: &GroupTransient, other: &GroupTransient) -> bool {
    let GroupTransient { app, group, from, member_permissions, .. } = one;
    (app, group, from, member_permissions) == (&other.app, &other.group, &other.from, &other.member_permissions)
}

async fn hand_to(handle: &ShardHandle, members: Vec<MailboxId>, told: GroupTransient) -> bool {
    let GroupTransient { envelope, conflates, .. } = told;
    members.is_empty() || handle.requests.send(Request::GroupTransient { members, envelope, conflates }).await.is_ok()
}

/// The members here who receive, but for the sender and those who have blocked what the sender says in groups.
fn receivers(view: &StateView, told: &GroupTransient) -> Result<Vec<MailboxId>, Error> {
    let Some(group) = GroupName::new(&told.app, &told.group) else { return Ok(Vec::new()) };
    let (from, to) = keys::local_members(&group, "");
    let limit = usize::try_from(GROUP_ACTIVITY_MEMBERS).unwrap_or(usize::MAX);
    let mut members = Vec::new();
    for (key, stored) in view.scan(&from, &to, limit)? {
        let member: GroupMemberRecord = records::open("group member", stored)?;
        let user = keys::member_user(&key).filter(|user| *user != told.from);
        let receives = permissions(&member, told.member_permissions).has(Permission::Receive);
        let mailbox = user.filter(|_| receives).and_then(|user| MailboxId::new(&told.app, user));
        let Some(mailbox) = mailbox else { continue };
        if !has_blocked(view, &mailbox, &told.from, Block::GroupMessages)? {
            members.push(mailbox);
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::group::testing::{ALL, RECEIVE, SEND, group, member};
    use crate::core::testing::Shard;
    use tidings_proto::client::v1::{Blocks, UpdateConversation as Update};
    use tidings_proto::mailbox::v1::GroupChange;

    #[test]
    fn who_may_send_reaches_those_who_receive_in_groups_up_to_a_size() {
        let mut shard = Shard::alone();
        shard.form("team", &[member("alice", ALL), member("mute", RECEIVE), member("deaf", SEND)]);
        let view = shard.store.view();
        let heard = |view: &StateView, user| reach(view, &group("team"), Some(user)).unwrap().map(|found| found.shards);
        assert_eq!(heard(&view, "alice"), Ok(vec![0]));
        assert_eq!(heard(&view, "mute"), Err(ErrorCode::PermissionDenied));
        assert_eq!(heard(&view, "eve"), Err(ErrorCode::NotAMember));
        let told = GroupTransient {
            app: group("team").app().to_owned(),
            group: "team".to_owned(),
            from: "alice".to_owned(),
            ..GroupTransient::default()
        };
        let names =
            |told| receivers(&view, told).unwrap().into_iter().map(|it| it.user().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&told), ["mute"]);
        assert_eq!(names(&GroupTransient { from: "mute".to_owned(), ..told.clone() }), ["alice"]);
        let blocks = Some(Blocks { blocks: vec![Block::GroupMessages.into()] });
        shard.update("mute", "alice", Update { blocks, ..Update::default() });
        let view = shard.store.view();
        assert!(receivers(&view, &told).unwrap().is_empty(), "mute has blocked alice");

        let others: Vec<_> = (3..GROUP_ACTIVITY_MEMBERS).map(|number| member(&number.to_string(), ALL)).collect();
        shard.update_group("team", 2, vec![GroupChange { put: others, ..GroupChange::default() }]);
        assert_eq!(heard(&shard.store.view(), "alice"), Ok(vec![0]), "at the limit");
        let one_more = vec![member("one more", ALL)];
        shard.update_group("team", 3, vec![GroupChange { put: one_more, ..GroupChange::default() }]);
        assert_eq!(heard(&shard.store.view(), "alice"), Err(ErrorCode::FailedPrecondition), "one above it");
    }
}
