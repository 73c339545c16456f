//! `UpdateGroup`: what the registry says of a group takes its place in the group's order. The registry decides who is a
//! member; the home decides from which message on that holds, so that all members agree.

use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::{
    GroupChange, GroupMember, GroupMemberRecord, GroupRecord, GroupTarget, GroupTargetsRecord, UpdateGroup,
};
use tidings_proto::message::v1::group_event::Kind;
use tidings_proto::message::v1::{Envelope, GroupEvent, envelope};
use tidings_proto::shard::shard_of;

use super::fan_out::Publication;
use super::large::measure;
use super::{record_of, tallies};
use crate::core::entry::Entry;
use crate::core::keys::{self, GroupName};
use crate::core::limits::{GROUP_RECEIPT_MEMBERS, USERS_PER_UPDATE};
use crate::core::records::{self, CoreError};
use crate::core::{Applying, Effect, Reply, refused};

/// A group while it is being changed.
struct Changing {
    name: GroupName,
    record: GroupRecord,
    targets: GroupTargetsRecord,
}

impl Applying<'_> {
    pub(in crate::core) fn update_group(&mut self, update: UpdateGroup) -> Result<Reply, CoreError> {
        let users = |change: &GroupChange| change.put.len() + change.removed.len();
        let is_bounded = update.changes.iter().map(users).sum::<usize>() <= USERS_PER_UPDATE;
        let mut named = update.changes.iter().flat_map(|change| {
            change.put.iter().map(|member| member.user.as_str()).chain(change.removed.iter().map(String::as_str))
        });
        let is_forward = update.from_revision <= update.to_revision;
        let (Some(name), true) =
            (GroupName::new(&update.app, &update.group), is_bounded && is_forward && named.all(keys::is_id))
        else {
            return refused(ErrorCode::InvalidArgument);
        };
        if shard_of(&update.app, &update.group, self.core.shards) != self.core.shard {
            return refused(ErrorCode::InvalidArgument);
        }
        let mut record = self.group(&name)?.unwrap_or_default();
        if record.revision != update.from_revision {
            return Ok(Reply::GroupStands { revision: record.revision });
        }
        measure(&mut record, update.large_beyond);
        let targets = self.targets(&name)?;
        if record.members == 0 && self.level >= tallies::LEVEL {
            record.counts_receivers = true;
        }
        let was_one_by_one = record.members <= GROUP_RECEIPT_MEMBERS;
        let mut changing = Changing { name, record, targets };
        for change in update.changes {
            self.change_group(&mut changing, change)?;
        }
        if self.level >= tallies::LEVEL && was_one_by_one && changing.record.members > GROUP_RECEIPT_MEMBERS {
            self.take_receipts_along(&changing.name, &mut changing.record)?;
        }
        changing.record.revision = update.to_revision;
        self.save_group(&changing.name, &changing.record);
        self.save_targets(&changing.name, &changing.targets);
        Ok(Reply::GroupStands { revision: update.to_revision })
    }

    /// Takes a change in, as far as it is one: the same twice is told once.
    fn change_group(&mut self, changing: &mut Changing, change: GroupChange) -> Result<(), CoreError> {
        let kind = Kind::try_from(change.kind).unwrap_or(Kind::Unspecified);
        if let Some(settings) = change.settings
            && changing.record.settings != Some(settings)
        {
            let is_told = changing.record.settings.is_some() && !settings.deleted;
            changing.record.settings = Some(settings);
            if is_told {
                let publication = Publication::new(&changing.record);
                self.publish_event(changing, Kind::Settings, &change.by, Vec::new(), publication)?;
            }
        }
        self.put_members(changing, kind, &change.by, change.put)?;
        self.remove_members(changing, kind, &change.by, change.removed)
    }

    fn put_members(
        &mut self,
        changing: &mut Changing,
        kind: Kind,
        by: &str,
        members: Vec<GroupMember>,
    ) -> Result<(), CoreError> {
        let (mut joined, mut changed) = (Vec::new(), Vec::new());
        for member in members {
            let key = keys::group_member(&changing.name, &member.user);
            let known: Option<GroupMemberRecord> = self.load("group member", &key)?;
            let of_members = changing.record.settings.unwrap_or_default().member_permissions;
            let place = changing.record.last_seq + 1;
            let record = record_of(&member, known.clone(), of_members, (place, self.level));
            match known {
                Some(known) if known == record => continue,
                Some(known) => {
                    tallies::count_receiver(&mut changing.record, &known, false);
                    changed.push(member);
                }
                None => {
                    changing.record.members += 1;
                    let shard = shard_of(changing.name.app(), &member.user, self.core.shards);
                    target(&mut changing.targets, shard).members += 1;
                    joined.push(member);
                }
            }
            tallies::count_receiver(&mut changing.record, &record, true);
            self.store.put(key, records::seal(&record));
        }
        measure(&mut changing.record, 0);
        let kind = if kind == Kind::Created { kind } else { Kind::Joined };
        for (kind, put) in [(kind, joined), (Kind::MembersChanged, changed)] {
            if !put.is_empty() {
                let users = put.iter().map(|member| member.user.clone()).collect();
                let publication = Publication { put, ..Publication::new(&changing.record) };
                self.publish_event(changing, kind, by, users, publication)?;
            }
        }
        Ok(())
    }

    fn remove_members(
        &mut self,
        changing: &mut Changing,
        kind: Kind,
        by: &str,
        users: Vec<String>,
    ) -> Result<(), CoreError> {
        let mut removed = Vec::new();
        for user in users {
            let key = keys::group_member(&changing.name, &user);
            if let Some(known) = self.load::<GroupMemberRecord>("group member", &key)? {
                tallies::count_receiver(&mut changing.record, &known, false);
                self.store.delete(&key);
                removed.push(user);
            }
        }
        if removed.is_empty() {
            return Ok(());
        }
        self.effects.push(Effect::ReceiptsMoved { group: changing.name.clone() });
        let kind = if matches!(kind, Kind::Left | Kind::Deleted) { kind } else { Kind::Removed };
        // That the group is gone is told to each alone: the others hear the same in a moment.
        let some = (kind == Kind::Deleted).then(|| removed.clone());
        let publication = Publication { removed: removed.clone(), some, ..Publication::new(&changing.record) };
        self.publish_event(changing, kind, by, removed.clone(), publication)?;
        for user in removed {
            let left = changing.record.members.checked_sub(1);
            changing.record.members = left.ok_or(CoreError::Contradiction("a group counts too few members"))?;
            let shard = shard_of(changing.name.app(), &user, self.core.shards);
            let there = target(&mut changing.targets, shard);
            let left = there.members.checked_sub(1);
            there.members = left.ok_or(CoreError::Contradiction("a group counts too few members in a shard"))?;
        }
        measure(&mut changing.record, 0);
        changing.targets.targets.retain(|target| target.members > 0);
        Ok(())
    }

    fn publish_event(
        &mut self,
        changing: &mut Changing,
        kind: Kind,
        by: &str,
        users: Vec<String>,
        publication: Publication,
    ) -> Result<(), CoreError> {
        changing.record.last_seq += 1;
        let group_seq = changing.record.last_seq;
        let event = GroupEvent {
            group: changing.name.group().to_owned(),
            group_seq,
            kind: kind.into(),
            users,
            by: by.to_owned(),
            at_ms: self.context.now_ms,
        };
        let entry = Entry::whole(&Envelope { event: Some(envelope::Event::GroupEvent(event)) });
        let publication = Publication { is_event: true, ..publication };
        self.publish(&changing.name, group_seq, &entry, &changing.targets, &publication)
    }
}

/// The place of a shard among the targets, made where it is missing.
fn target(targets: &mut GroupTargetsRecord, shard: u32) -> &mut GroupTarget {
    let targets = &mut targets.targets;
    let place = match targets.binary_search_by_key(&shard, |target| target.shard) {
        Ok(place) => place,
        Err(place) => {
            targets.insert(place, GroupTarget { shard, members: 0 });
            place
        }
    };
    &mut targets[place]
}
