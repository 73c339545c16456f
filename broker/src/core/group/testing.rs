//! Groups in memory for the tests of what their homes keep.

use bytes::Bytes;
use prost::Message as _;
use tidings_proto::mailbox::v1::command::Command;
use tidings_proto::mailbox::v1::{
    AppendMessage, ChannelDeliver, ChannelItem, ChannelTrim, GroupChange, GroupMember, GroupReceipt, GroupReceipts,
    GroupSettings, UpdateGroup, channel_item,
};
use tidings_proto::message::v1::{Change, Content, MessageId, change::Kind};
use tidings_proto::shard::shard_of;

use crate::core::testing::{APP, Shard, message};
use crate::core::{AttachedDevice, GroupName, Reply};

pub const SEND: u32 = 1 << 1;
pub const RECEIVE: u32 = 1 << 2;
pub const MANAGE: u32 = 1 << 6;
pub const ALL: u32 = SEND | RECEIVE;
pub const DAY_MS: u64 = 24 * 3600 * 1000;
pub const WINDOW_MS: u64 = 3600 * 1000;

pub fn member(user: &str, allow: u32) -> GroupMember {
    GroupMember { user: user.to_owned(), allow, ..GroupMember::default() }
}

pub fn group(name: &str) -> GroupName {
    GroupName::new(APP, name).unwrap()
}

pub fn kept(group: &str, from: &AttachedDevice, user: &str, seq: u64, text: &str) -> AppendMessage {
    let content = Content { text: text.to_owned(), ..Content::default() }.encode_to_vec().into();
    AppendMessage { retention_ms: DAY_MS, change_window_ms: WINDOW_MS, content, ..message(group, from, user, seq) }
}

/// A change of a message; an edit says "edited".
pub fn change(group: &str, from: &AttachedDevice, user: &str, seq: u64, of: MessageId, kind: Kind) -> AppendMessage {
    let content = (kind == Kind::Edit).then(|| Content { text: "edited".to_owned(), ..Content::default() });
    let change = Change { of: Some(of), kind: kind.into(), content, emoji: "+".to_owned(), ..Change::default() };
    AppendMessage { content: Bytes::new(), change: Some(change), ..kept(group, from, user, seq, "") }
}

impl Shard {
    pub fn update_group(&mut self, name: &str, revision: u64, changes: Vec<GroupChange>) {
        let (app, group) = (APP.to_owned(), name.to_owned());
        let (from_revision, to_revision) = (revision - 1, revision);
        let update = UpdateGroup { app, group, from_revision, to_revision, changes, ..UpdateGroup::default() };
        assert_eq!(self.apply(Command::UpdateGroup(update)), Reply::GroupStands { revision });
    }

    pub fn form(&mut self, name: &str, members: &[GroupMember]) {
        let settings = GroupChange { settings: Some(GroupSettings::default()), ..GroupChange::default() };
        self.update_group(name, 1, vec![settings, GroupChange { put: members.to_vec(), ..GroupChange::default() }]);
    }

    /// What members have and read, as it comes from another shard.
    pub fn take_receipts(&mut self, name: &str, receipts: Vec<GroupReceipt>) {
        self.bring_home(channel_item::Item::GroupReceipts(GroupReceipts { group: name.to_owned(), receipts }));
    }

    /// What another shard tells the home of a group.
    pub fn bring_home(&mut self, item: channel_item::Item) {
        self.receipt_items += 1;
        let seq = self.receipt_items;
        let item = ChannelItem { app: APP.to_owned(), item: Some(item), seq, ..ChannelItem::default() };
        self.deliver(ChannelDeliver {
            source_shard: self.core.shard,
            first_seq: seq,
            items: vec![item],
            last_seq: seq,
        });
    }

    pub fn say_in(&mut self, append: AppendMessage) -> Reply {
        self.apply(Command::AppendToGroup(append))
    }
}

pub fn is_accepted(reply: &Reply) -> bool {
    matches!(reply, Reply::Appended { duplicate: false, .. })
}

/// A group at home in the first of two shards, and a member in each.
pub fn two_shards() -> ([Shard; 2], String, [String; 2]) {
    let in_shard = |prefix: &str, shard| {
        (0..).map(|n| format!("{prefix}-{n}")).find(|name| shard_of(APP, name, 2) == shard).unwrap()
    };
    let users = [in_shard("user", 0), in_shard("user", 1)];
    let mut shards = [Shard::new(0, 2), Shard::new(1, 2)];
    let name = in_shard("group", 0);
    shards[0].form(&name, &[member(&users[0], ALL), member(&users[1], ALL)]);
    (shards, name, users)
}

/// Brings what the home owes to the other shard, and has it forgotten at home.
pub fn bring(shards: &mut [Shard; 2], after: &mut u64) {
    while let Some(page) = shards[0].page(1, *after, 1) {
        *after = shards[1].deliver(page);
        shards[0].apply(Command::ChannelTrim(ChannelTrim { target_shard: 1, up_to: *after }));
    }
}
