//! Messages of groups that disappear: for all members at once, and without leaving anything that they said.

use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::command::Command;
use tidings_proto::mailbox::v1::{
    AppendMessage, ChannelTrim, GroupChange, GroupSettings, MarkGroupRead, TellGroupReceipts,
};
use tidings_proto::message::v1::{Change, Disappearance, change::Kind, disappearance::Start, envelope};

use super::testing::{bring, is_accepted, kept, two_shards};
use crate::core::testing::{APP, Shard};
use crate::core::{AttachedDevice, Reply};

const MINUTE_MS: u64 = 60_000;

/// A group at home in the first of two shards, with a member in each, and what came of it.
struct Story {
    shards: [Shard; 2],
    name: String,
    users: [String; 2],
    devices: [AttachedDevice; 2],
    brought: u64,
    told: u64,
}

impl Story {
    fn new() -> Self {
        let (mut shards, name, users) = two_shards();
        let devices = [shards[0].attach(&users[0], "phone", None), shards[1].attach(&users[1], "phone", None)];
        shards[1].attach(&users[1], "laptop", None);
        Self { shards, name, users, devices, brought: 0, told: 0 }
    }

    fn say(&mut self, seq: u64, start: Start) -> Reply {
        let disappears = Some(Disappearance { after_ms: MINUTE_MS, from: start.into() });
        let append =
            AppendMessage { disappears, ..kept(&self.name, &self.devices[0], &self.users[0], seq, "a secret") };
        let reply = self.shards[0].say_in(append);
        self.carry();
        reply
    }

    /// Everything that is on its way arrives, in both directions.
    fn carry(&mut self) {
        for shard in &mut self.shards {
            shard.apply(Command::TellGroupReceipts(TellGroupReceipts {}));
        }
        while let Some(page) = self.shards[1].page(0, self.told, 1) {
            self.told = self.shards[0].deliver(page);
            self.shards[1].apply(Command::ChannelTrim(ChannelTrim { target_shard: 0, up_to: self.told }));
        }
        bring(&mut self.shards, &mut self.brought);
    }

    fn wait(&mut self, ms: u64) {
        for shard in &mut self.shards {
            shard.now_ms += i64::try_from(ms).unwrap();
            shard.expire();
        }
        self.carry();
    }

    /// A user has everything, and says so.
    fn ack(&mut self, user: usize) {
        self.shards[user].ack(&self.users[user], &self.devices[user], u64::MAX);
        self.carry();
    }

    fn read(&mut self, user: usize, group_seq: u64) {
        let (app, user_name, group) = (APP.to_owned(), self.users[user].clone(), self.name.clone());
        let mark = MarkGroupRead { app, user: user_name, group, group_seq, privately: true };
        assert_eq!(self.shards[user].apply(Command::MarkGroupRead(mark)), Reply::ReadRecorded);
        self.carry();
    }

    fn is_anywhere(&self) -> bool {
        let holds = |shard: &Shard| {
            shard.store.dump().iter().any(|(_, value)| value.windows(8).any(|window| window == b"a secret"))
        };
        self.shards.iter().any(holds)
    }

    /// What a user was told of when messages go.
    fn told(&self, user: usize) -> Vec<Change> {
        let change = |event| match event {
            Some(envelope::Event::Change(change)) if change.kind() == Kind::Disappears => Some(change),
            _ => None,
        };
        let entries = self.shards[user].entries(&self.users[user], 0).into_iter();
        entries.filter_map(|(_, envelope)| change(envelope.event)).collect()
    }

    fn assert_replays(&self) {
        for shard in &self.shards {
            assert_eq!(shard.replay().dump(), shard.store.dump());
        }
    }
}

#[test]
fn from_sending_on_it_goes_everywhere_whether_anybody_had_it_or_not() {
    let mut story = Story::new();
    assert!(is_accepted(&story.say(1, Start::Sent)));
    story.ack(1);
    story.wait(MINUTE_MS);
    assert!(story.is_anywhere(), "its last millisecond");
    story.wait(1);
    assert!(!story.is_anywhere());
    assert!(story.told(1).is_empty(), "it was known from the beginning");
    story.assert_replays();
}

#[test]
fn from_the_first_member_s_delivery_or_reading_on_it_goes_for_all() {
    for start in [Start::Delivered, Start::Read] {
        let mut story = Story::new();
        assert!(is_accepted(&story.say(1, start)));
        let place = story.shards[0].messages(&story.users[0])[0].group_seq;
        // The sender begins nothing.
        story.ack(0);
        story.read(0, place);
        story.wait(2 * MINUTE_MS);
        assert!(story.is_anywhere() && story.told(1).is_empty());
        // The phone has it; the laptop stays away.
        story.ack(1);
        if start == Start::Read {
            assert!(story.told(1).is_empty());
            story.read(1, place);
        }
        let told = story.told(1);
        assert_eq!(told.len(), 1, "{start:?}");
        let at_ms = story.shards[0].now_ms + i64::try_from(MINUTE_MS).unwrap();
        assert_eq!((told[0].disappears_at_ms, told[0].of_group_seq, told[0].from.as_str()), (at_ms, place, ""));
        // Told once, whoever has and reads it then.
        story.read(1, place + 1);
        story.ack(1);
        assert_eq!(story.told(1).len(), 1);
        story.wait(MINUTE_MS);
        assert!(story.is_anywhere());
        story.wait(1);
        assert!(!story.is_anywhere(), "also for the laptop, which was not given it");
        let left = story.shards[1].messages(&story.users[1]);
        assert!(left.iter().all(|message| message.content.is_none()), "{left:?}");
        story.assert_replays();
    }
}

#[test]
fn it_goes_also_while_it_is_on_its_way() {
    let mut story = Story::new();
    let disappears = Some(Disappearance { after_ms: MINUTE_MS, from: Start::Sent.into() });
    let append = AppendMessage { disappears, ..kept(&story.name, &story.devices[0], &story.users[0], 1, "a secret") };
    assert!(is_accepted(&story.shards[0].say_in(append)));
    for shard in &mut story.shards {
        shard.now_ms += i64::try_from(MINUTE_MS).unwrap() + 1;
        shard.expire();
    }
    assert!(!story.is_anywhere(), "not at home either, where the channel refers to it");
    story.carry();
    story.wait(1);
    assert!(!story.is_anywhere());
    story.assert_replays();
}

#[test]
fn what_is_not_kept_cannot_begin_later_and_nonsense_is_refused() {
    let mut story = Story::new();
    let refused = Reply::Refused;
    let unkept = |story: &Story, start: Start| AppendMessage {
        retention_ms: 0,
        disappears: Some(Disappearance { after_ms: 1, from: start.into() }),
        ..kept(&story.name, &story.devices[0], &story.users[0], 1, "a secret")
    };
    let later = unkept(&story, Start::Read);
    assert_eq!(story.shards[0].say_in(later), refused(ErrorCode::FailedPrecondition));
    let never = AppendMessage { disappears: Some(Disappearance::default()), ..unkept(&story, Start::Sent) };
    assert_eq!(story.shards[0].say_in(never), refused(ErrorCode::InvalidArgument));
    let at_once = unkept(&story, Start::Sent);
    assert!(is_accepted(&story.shards[0].say_in(at_once)));
    let settings = GroupSettings { hunt: true, ..GroupSettings::default() };
    let hunt = GroupChange { settings: Some(settings), ..GroupChange::default() };
    let name = story.name.clone();
    story.shards[0].update_group(&name, 2, vec![hunt]);
    assert_eq!(story.say(2, Start::Delivered), refused(ErrorCode::FailedPrecondition));
    assert!(is_accepted(&story.say(2, Start::Sent)));
    story.wait(MINUTE_MS + 1);
    assert!(!story.is_anywhere());
}
