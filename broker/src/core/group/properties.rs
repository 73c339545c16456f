//! Random lives of a group over three shards against a model: one order for all, exactly once, from joining to leaving,
//! while it becomes a large one and a small one again.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prop::sample::Index;
use proptest::prelude::*;
use prost::Message as _;
use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::command::Command;
use tidings_proto::mailbox::v1::{
    AppendMessage, AttachDevice, ChannelDeliver, ChannelItem, ChannelTrim, ExpandGroups, GroupBodyRecord, GroupChange,
    GroupMember, GroupSettings, LocalGroupRecord, MoveCursor, UpdateGroup, channel_item,
};
use tidings_proto::message::v1::{Change, Content, Envelope, MessageId, change::Kind, envelope};
use tidings_proto::shard::shard_of;

use crate::core::entry::Stored;
use crate::core::testing::{APP, Shard, message};
use crate::core::{AttachedDevice, Bounds, Effect, GroupName, MailboxId, Reply, keys, records};
use tidings_consensus::StateStore as _;

const SHARDS: u32 = 3;
const USERS: usize = 8;
/// Users whose devices are there from the beginning.
const REGULARS: usize = 5;
const GROUP: &str = "team";
const RETENTION_MS: i64 = 1_000_000;
/// Bits of permissions.
const SEND: u32 = 1 << 1;
const RECEIVE: u32 = 1 << 2;

/// A member who may do this, in a group that lets plain members do nothing.
fn member(user: &str, allow: u32) -> GroupMember {
    GroupMember { user: user.to_owned(), allow, ..GroupMember::default() }
}

#[derive(Debug, Clone)]
enum Step {
    Put {
        users: Vec<Index>,
        permissions: u32,
    },
    Remove {
        users: Vec<Index>,
    },
    Pause,
    Send {
        user: usize,
        back: u64,
        keeps: bool,
    },
    /// Of one of the messages that were sent.
    Change {
        user: usize,
        of: Index,
        kind: Kind,
    },
    /// Retention ends.
    Forget,
    Page {
        source: u32,
        target: u32,
        size: usize,
    },
    Arrive {
        which: Index,
        trims: bool,
    },
    Expand {
        shard: usize,
    },
    Ack {
        user: usize,
    },
    /// A device comes, for the first time or again.
    Attach {
        user: usize,
    },
    /// Beyond so many members the group is a large one from now on.
    Beyond {
        members: u32,
    },
    Stale,
}

fn step() -> impl Strategy<Value = Step> {
    let users = || prop::collection::vec(any::<Index>(), 1..5);
    prop_oneof![
        3 => (users(), 0..4u32).prop_map(|(users, permissions)| Step::Put { users, permissions: permissions << 1 }),
        2 => users().prop_map(|users| Step::Remove { users }),
        1 => Just(Step::Pause),
        8 => (0..USERS, prop_oneof![3 => Just(0), 1 => 0..3u64], any::<bool>())
            .prop_map(|(user, back, keeps)| Step::Send { user, back, keeps }),
        6 => (0..USERS, any::<Index>(), prop::sample::select(vec![Kind::Edit, Kind::Recall, Kind::React]))
            .prop_map(|(user, of, kind)| Step::Change { user, of, kind }),
        1 => Just(Step::Forget),
        4 => (0..SHARDS, 0..SHARDS, 1..4usize)
            .prop_map(|(source, target, size)| Step::Page { source, target, size }),
        6 => (any::<Index>(), any::<bool>()).prop_map(|(which, trims)| Step::Arrive { which, trims }),
        4 => (0..SHARDS as usize).prop_map(|shard| Step::Expand { shard }),
        5 => (0..USERS).prop_map(|user| Step::Ack { user }),
        2 => (0..USERS).prop_map(|user| Step::Attach { user }),
        1 => (1..USERS as u32).prop_map(|members| Step::Beyond { members }),
        1 => Just(Step::Stale),
    ]
}

struct User {
    name: String,
    /// None until it comes: some users are away at first.
    device: Option<AttachedDevice>,
    sent: u64,
    accepted: BTreeSet<u64>,
    /// What the mailbox was given: places in the group's order.
    got: Vec<u64>,
    /// What it should be given.
    expected: Vec<u64>,
    permissions: Option<u32>,
    joined_at: u64,
}

/// A message that is kept.
struct Kept {
    id: MessageId,
    from: usize,
    place: u64,
    is_gone: bool,
}

struct World {
    shards: Vec<Shard>,
    users: Vec<User>,
    revision: u64,
    large_beyond: u32,
    /// Unset until the registry has told it.
    paused: Option<bool>,
    last_seq: u64,
    kept: Vec<Kept>,
    on_the_way: Vec<(u32, u32, ChannelDeliver)>,
    came: BTreeMap<(u32, u32), u64>,
}

impl World {
    fn new(places: usize, followed: u64, large_beyond: u32) -> Self {
        let mut shards: Vec<_> = (0..SHARDS).map(|shard| Shard::new(shard, SHARDS)).collect();
        let bounds = Bounds { places, followed, drawn: followed * 2, ..Bounds::default() };
        shards.iter_mut().for_each(|shard| shard.bounds = bounds);
        let users = (0..USERS).map(|number| {
            let name = format!("user-{number}");
            let device = (number < REGULARS).then(|| shards[home_of(&name)].attach(&name, "phone", None));
            User {
                name,
                device,
                sent: 0,
                accepted: BTreeSet::new(),
                got: vec![],
                expected: vec![],
                permissions: None,
                joined_at: 0,
            }
        });
        let users = users.collect();
        let (on_the_way, came) = (Vec::new(), BTreeMap::new());
        let kept = Vec::new();
        Self { shards, users, revision: 0, large_beyond, paused: None, last_seq: 0, kept, on_the_way, came }
    }

    fn apply(&mut self, shard: usize, command: Command) -> Reply {
        let reply = self.shards[shard].apply(command);
        for effect in &self.shards[shard].effects {
            let Effect::Appended { mailbox, envelope, .. } = effect else { continue };
            let group_seq = match Envelope::decode(envelope.clone()).unwrap().event {
                Some(envelope::Event::Message(message)) => message.group_seq,
                Some(envelope::Event::GroupEvent(event)) => event.group_seq,
                Some(envelope::Event::Change(change)) => {
                    // It had one when it was made; it has none when it was taken back since.
                    let content = change.content.as_ref().map(|content| content.text.as_str());
                    assert!(content.is_none() || content == Some("edited") && change.kind() == Kind::Edit);
                    change.group_seq
                }
                other => panic!("{other:?}"),
            };
            let user = self.users.iter_mut().find(|user| user.name == mailbox.user()).unwrap();
            user.got.push(group_seq);
        }
        reply
    }

    /// The next place in the group's order is for all members, or for those who receive.
    fn expect(&mut self, is_event: bool) {
        self.last_seq += 1;
        for user in &mut self.users {
            if user.permissions.is_some_and(|bits| is_event || bits & RECEIVE != 0) {
                user.expected.push(self.last_seq);
            }
        }
    }

    fn update(&mut self, change: GroupChange) {
        let update = UpdateGroup {
            app: APP.to_owned(),
            group: GROUP.to_owned(),
            from_revision: self.revision,
            to_revision: self.revision + 1,
            changes: vec![change],
            large_beyond: self.large_beyond,
        };
        self.revision += 1;
        let reply = self.apply(home_of(GROUP), Command::UpdateGroup(update.clone()));
        assert_eq!(reply, Reply::GroupStands { revision: self.revision });
        // Once more: the revision is another one now, and nothing happens.
        let before = self.shards[home_of(GROUP)].store.dump();
        assert_eq!(self.apply(home_of(GROUP), Command::UpdateGroup(update)), reply);
        assert_eq!(self.shards[home_of(GROUP)].store.dump(), before);
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Put { users, permissions } => self.put(&users, permissions),
            Step::Remove { users } => {
                let named = self.named(&users);
                let members: Vec<_> = named.iter().filter(|user| self.users[**user].permissions.is_some()).collect();
                if !members.is_empty() {
                    self.expect(true);
                }
                let removed = named.iter().map(|user| self.users[*user].name.clone()).collect();
                named.iter().for_each(|user| self.users[*user].permissions = None);
                self.update(GroupChange { removed, ..GroupChange::default() });
            }
            Step::Pause => {
                if self.paused.is_some() {
                    self.expect(true);
                }
                let paused = !self.paused.unwrap_or(true);
                self.paused = Some(paused);
                let settings = GroupSettings { paused, ..GroupSettings::default() };
                self.update(GroupChange { settings: Some(settings), ..GroupChange::default() });
            }
            Step::Send { user, back, keeps } => self.send(user, back, keeps),
            Step::Change { .. } if self.kept.is_empty() => {}
            Step::Change { user, of, kind } => self.change(user, of.index(self.kept.len()), kind),
            Step::Forget => {
                let home = &mut self.shards[home_of(GROUP)];
                home.now_ms += RETENTION_MS + 1;
                home.expire();
                self.kept.clear();
            }
            Step::Page { source, target, size } => {
                let after = self.came.get(&(source, target)).copied().unwrap_or(0);
                let page = self.shards[source as usize].page(target, after, size);
                self.on_the_way.extend(page.map(|page| (source, target, page)));
            }
            Step::Arrive { .. } if self.on_the_way.is_empty() => {}
            Step::Arrive { which, trims } => {
                // It stays on the way: what was lost is sent again, and comes twice.
                let (source, target, page) = self.on_the_way[which.index(self.on_the_way.len())].clone();
                self.arrive(source, target, page, trims);
            }
            Step::Expand { shard } => {
                self.apply(shard, Command::ExpandGroups(ExpandGroups {}));
            }
            Step::Ack { user } => {
                let User { name, device, .. } = &self.users[user];
                let (app, user) = (APP.to_owned(), name.clone());
                let Some(AttachedDevice { slot, stream, .. }) = *device else { return };
                let moved = MoveCursor { app, user, slot, stream, cursor: u64::MAX, ..MoveCursor::default() };
                self.apply(home_of(&moved.user), Command::MoveCursor(moved));
            }
            Step::Attach { user } => {
                self.attach(user);
            }
            Step::Beyond { members } => {
                self.large_beyond = members;
                self.update(GroupChange::default());
            }
            Step::Stale => self.on_the_way.clear(),
        }
    }

    /// A device comes, or comes again in its stream.
    fn attach(&mut self, user: usize) -> AttachedDevice {
        let User { name, device, .. } = &self.users[user];
        let (app, user_name, known) = (APP.to_owned(), name.clone(), device.as_ref());
        let attach = AttachDevice {
            app,
            user: user_name,
            device: "phone".to_owned(),
            stream: known.map_or(0, |known| known.stream),
            mailbox_epoch: known.map_or(0, |known| known.mailbox_epoch),
            ..AttachDevice::default()
        };
        let Reply::Attached(device) = self.apply(home_of(&attach.user), Command::AttachDevice(attach)) else {
            panic!("a device was refused");
        };
        assert_eq!(device.unknown, None);
        self.users[user].device = Some(device.clone());
        device
    }

    fn device(&mut self, user: usize) -> AttachedDevice {
        self.users[user].device.clone().unwrap_or_else(|| self.attach(user))
    }

    fn named(&self, users: &[Index]) -> BTreeSet<usize> {
        users.iter().map(|user| user.index(USERS)).collect()
    }

    fn put(&mut self, users: &[Index], permissions: u32) {
        let named = self.named(users);
        let (new, known): (Vec<_>, Vec<_>) =
            named.iter().copied().partition(|user| self.users[*user].permissions.is_none());
        let changed: Vec<_> =
            known.into_iter().filter(|user| self.users[*user].permissions != Some(permissions)).collect();
        for group in [new, changed] {
            for user in &group {
                let user = &mut self.users[*user];
                if user.permissions.replace(permissions).is_none() {
                    user.joined_at = self.last_seq + 1;
                }
            }
            if !group.is_empty() {
                self.expect(true);
            }
        }
        let put = named.iter().map(|user| member(&self.users[*user].name, permissions)).collect();
        self.update(GroupChange { put, ..GroupChange::default() });
    }

    fn send(&mut self, user: usize, back: u64, keeps: bool) {
        let device = self.device(user);
        let sender = &mut self.users[user];
        let seq = if back == 0 { sender.sent + 1 } else { sender.sent.saturating_sub(back - 1).max(1) };
        sender.sent = sender.sent.max(seq);
        let retention_ms = if keeps { RETENTION_MS.cast_unsigned() } else { 0 };
        let append = AppendMessage { retention_ms, ..message(GROUP, &device, &sender.name, seq) };
        let id = MessageId { stream: device.stream, seq };
        let expected = if sender.accepted.contains(&seq) {
            Ok(true)
        } else {
            match sender.permissions {
                None => Err(ErrorCode::NotAMember),
                Some(bits) if bits & SEND == 0 => Err(ErrorCode::PermissionDenied),
                Some(_) if self.paused == Some(true) => Err(ErrorCode::GroupPaused),
                Some(_) => Ok(false),
            }
        };
        if expected == Ok(false) {
            sender.accepted.insert(seq);
            self.expect(false);
            if keeps {
                self.kept.push(Kept { id, from: user, place: self.last_seq, is_gone: false });
            }
        }
        let answer = match self.apply(home_of(GROUP), Command::AppendToGroup(append)) {
            Reply::Appended { duplicate, .. } => Ok(duplicate),
            Reply::Refused(code) => Err(code),
            other => panic!("{other:?}"),
        };
        assert_eq!(answer, expected, "{seq} of {user}");
    }

    /// A change of a message by somebody, which the model judges too.
    fn change(&mut self, user: usize, of: usize, kind: Kind) {
        let device = self.device(user);
        let (sender, kept) = (&mut self.users[user], &mut self.kept[of]);
        sender.sent += 1;
        let content = (kind == Kind::Edit).then(|| Content { text: "edited".to_owned(), ..Content::default() });
        let change =
            Change { of: Some(kept.id), kind: kind.into(), content, emoji: "+".to_owned(), ..Change::default() };
        let append = AppendMessage {
            content: Bytes::new(),
            change: Some(change),
            change_window_ms: u64::MAX,
            ..message(GROUP, &device, &sender.name, sender.sent)
        };
        let expected = match sender.permissions {
            None => Err(ErrorCode::NotAMember),
            Some(bits) if bits & SEND == 0 => Err(ErrorCode::PermissionDenied),
            Some(_) if self.paused == Some(true) => Err(ErrorCode::GroupPaused),
            Some(_) if sender.joined_at > kept.place => Err(ErrorCode::NotFound),
            Some(_) if kind != Kind::React && kept.from != user => Err(ErrorCode::PermissionDenied),
            Some(_) if kind != Kind::Recall && kept.is_gone => Err(ErrorCode::NotFound),
            Some(_) => Ok(false),
        };
        if expected.is_ok() {
            sender.accepted.insert(sender.sent);
            kept.is_gone |= kind == Kind::Recall;
            let place = kept.place;
            self.last_seq += 1;
            for user in &mut self.users {
                if user.permissions.is_some_and(|bits| bits & RECEIVE != 0) && user.joined_at <= place {
                    user.expected.push(self.last_seq);
                }
            }
        }
        let answer = match self.apply(home_of(GROUP), Command::AppendToGroup(append)) {
            Reply::Appended { duplicate, .. } => Ok(duplicate),
            Reply::Refused(code) => Err(code),
            other => panic!("{other:?}"),
        };
        assert_eq!(answer, expected, "{kind:?} of {user}");
    }

    fn arrive(&mut self, source: u32, target: u32, page: ChannelDeliver, trims: bool) {
        let Reply::ChannelDelivered { up_to } = self.apply(target as usize, Command::ChannelDeliver(page)) else {
            panic!("a page was refused");
        };
        let came = self.came.entry((source, target)).or_default();
        assert!(up_to >= *came);
        *came = up_to;
        if trims {
            let trim = ChannelTrim { target_shard: target, up_to };
            self.apply(source as usize, Command::ChannelTrim(trim));
        }
    }

    /// Everything reaches its members.
    fn settle(&mut self) {
        for (source, target) in (0..SHARDS).flat_map(|source| (0..SHARDS).map(move |target| (source, target))) {
            loop {
                let after = self.came.get(&(source, target)).copied().unwrap_or(0);
                let Some(page) = self.shards[source as usize].page(target, after, 2) else { break };
                self.arrive(source, target, page, true);
            }
            let up_to = self.came.get(&(source, target)).copied().unwrap_or(0);
            self.apply(source as usize, Command::ChannelTrim(ChannelTrim { target_shard: target, up_to }));
        }
        self.expand_all();
        (0..USERS).for_each(|user| drop(self.attach(user)));
        self.expand_all();
        // Whoever rests is given the rest of it as it acknowledges.
        let mut before = usize::MAX;
        while before != self.given() {
            before = self.given();
            (0..USERS).for_each(|user| self.run(Step::Ack { user }));
            self.expand_all();
        }
    }

    fn given(&self) -> usize {
        self.users.iter().map(|user| user.got.len()).sum()
    }

    fn expand_all(&mut self) {
        for shard in 0..SHARDS as usize {
            while self.apply(shard, Command::ExpandGroups(ExpandGroups {})) == (Reply::GroupsExpanded { more: true }) {}
        }
    }

    /// Counts are what is stored, and every member of a large group follows or rests.
    fn check_resting(&self) {
        let group = GroupName::new(APP, GROUP).unwrap();
        for (place, shard) in self.shards.iter().enumerate() {
            let count = |kind: u8| shard.store.dump().iter().filter(|(key, _)| key[0] == kind).count() as u64;
            let stored = shard.store.get(&keys::local_group(&group));
            let local: LocalGroupRecord =
                stored.map(|stored| records::open("local group", stored).unwrap()).unwrap_or_default();
            assert_eq!((local.resting, local.kept_places), (count(0x31), count(0x32)));
            assert_eq!(count(0x32), count(0x33));
            for user in self.users.iter().filter(|user| home_of(&user.name) == place) {
                let mailbox = MailboxId::new(APP, &user.name).unwrap();
                let has = |key: Vec<u8>| shard.store.get(&key).is_some();
                let rests = has(keys::resting(&mailbox, &group));
                assert_eq!(shard.record(&user.name).resting, u32::from(rests), "{}", user.name);
                let (is_member, follows) =
                    (has(keys::local_member(&group, &user.name)), has(keys::follower(&group, &user.name)));
                let between = !local.expanding_after.is_empty();
                assert!(between || follows == (local.is_large && is_member && !rests), "{}: {local:?}", user.name);
            }
        }
    }

    /// Each body is counted for as often as something refers to it, and is gone otherwise.
    fn check_bodies(&self) {
        let group = GroupName::new(APP, GROUP).unwrap();
        for shard in &self.shards {
            let mut uses = BTreeMap::<Vec<u8>, u64>::new();
            let mut counted = BTreeMap::new();
            for (key, stored) in shard.store.dump() {
                let seq = match key[0] {
                    0x05 => match Stored::open(stored.clone()).unwrap().0 {
                        Stored::Group(pointer) => Some(pointer.group_seq),
                        _ => None,
                    },
                    0x0a => match records::open::<ChannelItem>("item", stored.clone()).unwrap().item {
                        Some(channel_item::Item::Group(item)) => Some(item.group_seq),
                        _ => None,
                    },
                    0x26 => {
                        let local: LocalGroupRecord = records::open("local group", stored.clone()).unwrap();
                        local.has_last.then_some(local.last_place)
                    }
                    0x28 | 0x2a | 0x32 => Some(u64::from_be_bytes(*key.last_chunk().unwrap())),
                    0x25 => {
                        let record: GroupBodyRecord = records::open("body", stored.clone()).unwrap();
                        counted.insert(key.to_vec(), record.uses);
                        Some(record.of).filter(|of| *of != 0)
                    }
                    _ => None,
                };
                if let Some(seq) = seq {
                    *uses.entry(keys::group_body_uses(&group, seq)).or_default() += 1;
                    assert!(shard.store.get(&keys::group_body(&group, seq)).is_some());
                }
            }
            assert_eq!(counted, uses);
        }
    }
}

fn home_of(name: &str) -> usize {
    shard_of(APP, name, SHARDS) as usize
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn one_order_exactly_once_for_those_who_were_members(
        steps in prop::collection::vec(step(), 1..120), places in 1..8usize, followed in 1..4u64,
        large_beyond in 0..USERS as u32,
    ) {
        let mut world = World::new(places, followed, large_beyond);
        for step in steps {
            world.run(step);
            for user in &world.users {
                prop_assert!(user.expected.starts_with(&user.got), "{}: {:?} of {:?}", user.name, user.got, user.expected);
            }
            world.check_bodies();
            world.check_resting();
        }
        world.settle();
        for user in &world.users {
            prop_assert_eq!(&user.got, &user.expected, "{}", user.name);
        }
        world.check_bodies();
        let names: Vec<_> = world.users.iter().map(|user| (home_of(&user.name), user.name.as_str())).collect();
        for (shard, state) in world.shards.iter().enumerate() {
            let here: Vec<_> = names.iter().filter(|(home, _)| *home == shard).map(|(_, name)| *name).collect();
            state.check(&here);
            prop_assert_eq!(state.replay().dump(), state.store.dump(), "the same log makes the same state");
        }
        // Once all have acknowledged, and nothing is kept any more, nothing of any body is left.
        for user in 0..USERS {
            world.run(Step::Ack { user });
        }
        world.run(Step::Forget);
        // Where members live, the newest message is kept for their lists until then.
        let end_ms = world.shards[home_of(GROUP)].now_ms;
        for shard in &mut world.shards {
            shard.now_ms = end_ms;
            shard.expire();
        }
        let bodies = world.shards.iter().flat_map(|shard| shard.store.dump()).filter(|(key, _)| key[0] == 0x24);
        prop_assert_eq!(bodies.count(), 0);
    }
}
