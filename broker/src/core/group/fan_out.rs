//! From a group's home to the shards in which it has members: an item for each, and the body once.

use bytes::Bytes;
use prost::Message as _;
use tidings_proto::mailbox::v1::{
    ChannelDeliver, ChannelItem, GroupItem, GroupMember, GroupRecord, GroupTargetsRecord, channel_item,
};
use tidings_proto::shard::shard_of;

use super::bodies::Body;
use super::tallies;
use crate::core::Applying;
use crate::core::entry::Entry;
use crate::core::keys::{self, GroupName};
use crate::core::limits::GROUP_RECEIPT_MEMBERS;
use crate::core::records::{self, CoreError};

/// What goes with an entry of a group's order.
#[derive(Debug, Default)]
pub(super) struct Publication {
    /// Members as they are from this place on.
    pub put: Vec<GroupMember>,
    /// Members who get this as the last one.
    pub removed: Vec<String>,
    /// Only for these; `None`: for every member.
    pub some: Option<Vec<String>>,
    pub is_event: bool,
    /// As in the group's settings.
    pub member_permissions: u32,
    pub change: ChangeOf,
    pub wants_receipts: bool,
    /// Of so many members.
    pub is_tallied: bool,
    /// Of a message that is kept here; 0: it is not.
    pub kept_until_ms: i64,
    /// From here on.
    pub is_large: bool,
}

/// The message that an entry of a group's order changes.
#[derive(Debug, Default)]
pub(super) struct ChangeOf {
    /// Its place; 0: none.
    pub place: u64,
    pub is_edit: bool,
    /// Of an edit: the message as it is stored now.
    pub body: Bytes,
}

impl Publication {
    /// For every member.
    pub(super) fn new(group: &GroupRecord) -> Self {
        let member_permissions = group.settings.unwrap_or_default().member_permissions;
        let is_tallied = group.members > GROUP_RECEIPT_MEMBERS;
        Self { member_permissions, is_large: group.is_large, is_tallied, ..Self::default() }
    }
}

/// Puts the bodies into a page of a channel, and cuts it behind the item that fills so many bytes. `read` answers a
/// body as it is stored; one that is gone went with its item, which the target has: the page is read again.
pub fn fill_bodies<E>(
    page: &mut ChannelDeliver,
    limit_bytes: usize,
    mut read: impl FnMut(&GroupName, u64) -> Result<Option<Bytes>, E>,
) -> Result<(), E>
where
    E: From<CoreError>,
{
    let mut bytes = 0;
    for place in 0..page.items.len() {
        let ChannelItem { app, item, seq, .. } = &mut page.items[place];
        let Some(channel_item::Item::Group(item)) = item else { continue };
        let name = GroupName::new(app, &item.group).ok_or(CoreError::Contradiction("an item is of no group"))?;
        let body = read(&name, item.group_seq)?;
        item.body = body.ok_or(CoreError::Contradiction("the body of an item is gone"))?;
        if item.is_edit {
            let body = read(&name, item.changes)?;
            item.changed_body = body.ok_or(CoreError::Contradiction("the body of an edited message is gone"))?;
        }
        bytes += item.encoded_len();
        if bytes >= limit_bytes {
            page.last_seq = *seq;
            page.items.truncate(place + 1);
            return Ok(());
        }
    }
    Ok(())
}

impl Applying<'_> {
    /// Owes an entry to every shard in which the group has members; those who live here get it at once, as far as one
    /// command goes.
    pub(super) fn publish(
        &mut self,
        group: &GroupName,
        seq: u64,
        entry: &Entry,
        targets: &GroupTargetsRecord,
        publication: &Publication,
    ) -> Result<(), CoreError> {
        let mut remote = 0;
        let mut local = None;
        for target in targets.targets.iter().map(|target| target.shard) {
            let item = self.item_for(target, group, seq, publication);
            if item.for_some && item.some.is_empty() {
                continue;
            }
            if target == self.core.shard {
                local = Some(item);
                continue;
            }
            let item = channel_item::Item::Group(item);
            self.push_item(
                target,
                &ChannelItem { app: group.app().to_owned(), item: Some(item), ..ChannelItem::default() },
            )?;
            remote += 1;
        }
        let (body, changed_body) = (entry.stored.clone(), publication.change.body.clone());
        let of = if publication.change.is_edit { publication.change.place } else { 0 };
        self.use_body(group, seq, &Body { stored: body.clone(), of, of_stored: changed_body.clone() }, remote)?;
        match local {
            Some(item) => self.take_group_item(group, GroupItem { body, changed_body, ..item }),
            None => Ok(()),
        }
    }

    fn item_for(&self, target: u32, group: &GroupName, seq: u64, publication: &Publication) -> GroupItem {
        let lives_there = |user: &str| shard_of(group.app(), user, self.core.shards) == target;
        let of_target = |users: &[String]| users.iter().filter(|user| lives_there(user)).cloned().collect();
        GroupItem {
            group: group.group().to_owned(),
            group_seq: seq,
            put: publication.put.iter().filter(|member| lives_there(&member.user)).cloned().collect(),
            removed: of_target(&publication.removed),
            for_some: publication.some.is_some(),
            some: publication.some.as_deref().map(of_target).unwrap_or_default(),
            is_event: publication.is_event,
            member_permissions: publication.member_permissions,
            changes: publication.change.place,
            is_edit: publication.change.is_edit,
            // Brokers of before are told of few members alone.
            wants_receipts: publication.wants_receipts && (self.level >= tallies::LEVEL || !publication.is_tallied),
            is_tallied: publication.is_tallied && self.level >= tallies::LEVEL,
            kept_until_ms: publication.kept_until_ms,
            level: self.level,
            is_large: publication.is_large,
            ..GroupItem::default()
        }
    }

    pub(super) fn targets(&self, group: &GroupName) -> Result<GroupTargetsRecord, CoreError> {
        Ok(self.load("group targets", &keys::group_targets(group))?.unwrap_or_default())
    }

    pub(super) fn save_targets(&mut self, group: &GroupName, targets: &GroupTargetsRecord) {
        self.store.put(keys::group_targets(group), records::seal(targets));
    }
}
