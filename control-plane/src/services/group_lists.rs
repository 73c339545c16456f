//! Lists of members and of groups, in pages, as both backends and nodes ask for them.

use tidings_proto::cluster::v1::GroupChanged;
use tidings_proto::group::v1::{Group, Member};
use tidings_proto::registry::v1::GroupPointer;

use super::page::{Page, PageRequest};
use crate::registry::groups::{self, group_of};
use crate::registry::keys;
use crate::registry::read::Read;
use crate::registry::refusal::Refusal;
use crate::registry::{apps, users};

/// The members of a group.
pub fn members(state: &impl Read, app: &str, group: &str, page: &PageRequest<'_>) -> Result<Page<Member>, Refusal> {
    let prefix = keys::texts(keys::MEMBER, &[app, group]);
    page.list(state, &prefix, &prefix, |_: &Member| true)
}

/// The groups that a user is in, and as what.
pub fn of_user(
    state: &impl Read,
    app: &str,
    user: &str,
    now_ms: i64,
    page: &PageRequest<'_>,
) -> Result<Page<(Group, Member)>, Refusal> {
    users::get(state, app, user)?;
    let prefix = keys::texts(keys::MEMBERSHIP, &[app, user]);
    let (pointers, next) = page.list(state, &prefix, &prefix, |_: &GroupPointer| true)?;
    let mut found = Vec::with_capacity(pointers.len());
    for GroupPointer { group, .. } in pointers {
        // One that is over is still being swept.
        let record = groups::stored(state, app, &group)?.filter(|record| groups::is_live(record, now_ms));
        let member = groups::member(state, app, &group, user)?;
        found.extend(record.map(|record| group_of(&record)).zip(member));
    }
    Ok((found, next))
}

/// The groups whose home a shard is, those that are over included until they are swept.
pub fn of_shard(state: &impl Read, shard: u32, page: &PageRequest<'_>) -> Result<Page<GroupChanged>, Refusal> {
    let prefix = keys::of_shard(keys::GROUP_BY_SHARD, shard, &[]);
    let (pointers, next) = page.list(state, &prefix, &prefix, |_: &GroupPointer| true)?;
    let mut found = Vec::with_capacity(pointers.len());
    for GroupPointer { app, group } in pointers {
        // Those of a deleted app are being swept.
        if apps::exists(state, &app)?
            && let Some(record) = groups::stored(state, &app, &group)?
        {
            found.push(GroupChanged { app, group, revision: group_of(&record).revision });
        }
    }
    Ok((found, next))
}
