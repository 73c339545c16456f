use tidings_proto::ErrorCode;
use tidings_proto::disappearance::MAX_AFTER_MS;
use tidings_proto::mailbox::v1::AppendMessage;

use super::super::history_tests::{accepted, kept};
use super::super::testing::Shard;
use super::super::{AttachedDevice, Reply, keys};
use super::*;
use tidings_consensus::StateStore as _;

const MINUTE_MS: u64 = 60_000;

fn disappearing(from: &AttachedDevice, seq: u64, start: Start, after_ms: u64) -> AppendMessage {
    let disappears = Some(Disappearance { after_ms, from: start.into() });
    AppendMessage { disappears, ..kept("bob", from, "alice", seq, "a secret") }
}

struct Story {
    shard: Shard,
    alice: AttachedDevice,
    bob: AttachedDevice,
}

/// Alice sends bob, who has a second device that stays away, a message that disappears after a minute.
fn story(start: Start) -> Story {
    let mut shard = Shard::alone();
    let alice = shard.attach("alice", "phone", None);
    let bob = shard.attach("bob", "phone", None);
    shard.attach("bob", "laptop", None);
    accepted(shard.append(disappearing(&alice, 1, start, MINUTE_MS)));
    Story { shard, alice, bob }
}

impl Story {
    fn wait(&mut self, ms: u64) {
        self.shard.now_ms += i64::try_from(ms).unwrap();
        self.shard.expire();
        self.shard.check(&["alice", "bob"]);
    }

    fn is_gone(&self) -> bool {
        let gone = !self.shard.holds("a secret");
        assert_eq!(
            gone,
            self.shard.history("bob", "alice").is_empty() && self.shard.history("alice", "bob").is_empty()
        );
        if gone {
            assert_eq!((self.shard.record("alice").history_bytes, self.shard.record("bob").history_bytes), (0, 0));
            let (from, to) =
                keys::unread_disappearing_up_to(&super::super::testing::mailbox_of("bob"), self.alice.stream, 99);
            assert!(self.shard.store.scan(&from, &to, 99).is_empty());
            assert_eq!(self.shard.replay().dump(), self.shard.store.dump());
        }
        gone
    }
}

#[test]
fn from_sending_on_whether_anybody_had_it_or_not() {
    for is_delivered in [true, false] {
        let mut story = story(Start::Sent);
        if is_delivered {
            story.shard.ack("bob", &story.bob, 1);
        }
        story.wait(MINUTE_MS);
        assert!(!story.is_gone(), "its last millisecond");
        story.wait(1);
        assert!(story.is_gone());
        let expired = usize::from(!is_delivered);
        assert_eq!(story.shard.failures("alice").len(), expired, "who sent it is told that nobody had it");
    }
}

#[test]
fn from_the_first_delivery_on_also_for_a_device_that_is_away() {
    let mut story = story(Start::Delivered);
    story.wait(10 * MINUTE_MS);
    assert!(!story.is_gone());
    story.shard.ack("bob", &story.bob, 1);
    let told =
        |shard: &Shard, user| shard.changes(user).iter().map(|change| change.disappears_at_ms).collect::<Vec<_>>();
    let at_ms = story.shard.now_ms + i64::try_from(MINUTE_MS).unwrap();
    assert_eq!((told(&story.shard, "alice"), told(&story.shard, "bob")), (vec![at_ms], vec![at_ms]));
    assert_eq!(story.shard.history("alice", "bob")[0].disappears_at_ms, at_ms);
    story.wait(MINUTE_MS + 1);
    assert!(story.is_gone());
}

#[test]
fn from_reading_on() {
    let mut story = story(Start::Read);
    accepted(story.shard.append(disappearing(&story.alice, 2, Start::Read, 2 * MINUTE_MS)));
    story.shard.ack("bob", &story.bob, 2);
    story.wait(10 * MINUTE_MS);
    assert_eq!(story.shard.history("bob", "alice").len(), 2);
    story.shard.read("bob", "alice", story.alice.stream, 1);
    story.wait(MINUTE_MS + 1);
    assert_eq!((story.shard.history("bob", "alice").len(), story.shard.history("alice", "bob").len()), (1, 1));
    story.shard.read("bob", "alice", story.alice.stream, 2);
    story.wait(2 * MINUTE_MS + 1);
    assert!(story.is_gone());
}

#[test]
fn a_recalled_one_disappears_too_and_the_server_alone_says_when() {
    let mut story = story(Start::Read);
    let of = Some(MessageId { stream: story.alice.stream, seq: 1 });
    let change = |kind: Kind, seq| AppendMessage {
        change: Some(Change { of, kind: kind.into(), disappears_at_ms: 1, ..Change::default() }),
        ..kept("bob", &story.alice, "alice", seq, "")
    };
    let (recall, forged) = (change(Kind::Recall, 2), change(Kind::Disappears, 3));
    accepted(story.shard.append(recall));
    assert_eq!(story.shard.append(forged), Reply::Refused(ErrorCode::InvalidArgument));
    story.shard.read("bob", "alice", story.alice.stream, 1);
    story.wait(MINUTE_MS + 1);
    assert!(story.is_gone());
}

#[test]
fn nonsense_is_refused_and_so_is_what_could_not_be_found_again() {
    let mut story = story(Start::Sent);
    let edge = |after_ms| disappearing(&story.alice, 2, Start::Read, after_ms);
    let nobody_keeps_it = AppendMessage { retention_ms: 0, ..edge(1) };
    let unknown = AppendMessage { disappears: Some(Disappearance { after_ms: 1, from: 9 }), ..edge(1) };
    for (append, code) in [
        (edge(0), ErrorCode::InvalidArgument),
        (edge(MAX_AFTER_MS + 1), ErrorCode::InvalidArgument),
        (unknown, ErrorCode::InvalidArgument),
        (nobody_keeps_it, ErrorCode::FailedPrecondition),
    ] {
        assert_eq!(story.shard.append(append), Reply::Refused(code));
    }
    let longest = edge(MAX_AFTER_MS);
    accepted(story.shard.append(longest));
}
