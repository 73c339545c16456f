//! Random commands against a model: what is accepted, in what order it stands, and that nothing else changes it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tidings_proto::ErrorCode;
use tidings_proto::message::v1::receipt::Kind;

use super::scenarios::users_of_two_shards;
use super::testing::{Shard, message};
use super::window::WINDOW;
use super::{AttachedDevice, Effect, Reply};

const USERS: [&str; 3] = ["alice", "bob", "carol"];
const INBOX_LIMIT: u32 = 30;

#[derive(Debug, Clone)]
enum Step {
    Attach { user: usize, device: usize, keeps_state: bool },
    Append { from: usize, to: usize, ahead: u64, back: u64, after: u64, ttl: Option<u64>, receipts: i32 },
    Ack { device: usize, by: u64 },
    Read { user: usize, device: usize, up_to: u64 },
    Wait { ms: i64 },
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..3usize, 0..11usize, any::<bool>())
            .prop_map(|(user, device, keeps_state)| Step::Attach { user, device, keeps_state }),
        10 => (0..6usize, 0..3usize, prop_oneof![5 => 0..3u64, 1 => 0..300u64], prop_oneof![4 => Just(0), 1 => 0..300u64],
            prop_oneof![2 => Just(0u64), 1 => 1..4u64], prop::option::weighted(0.3, 1..500u64), 0..4i32)
            .prop_map(|(from, to, ahead, back, after, ttl, receipts)| {
                Step::Append { from, to, ahead, back, after, ttl, receipts }
            }),
        6 => (0..6usize, 0..8u64).prop_map(|(device, by)| Step::Ack { device, by }),
        2 => (0..3usize, 0..6usize, 1..20u64).prop_map(|(user, device, up_to)| Step::Read { user, device, up_to }),
        2 => (0..300i64).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Expire),
    ]
}

/// What one sender device sent to one user.
#[derive(Default)]
struct Sent {
    stream: u64,
    accepted: BTreeSet<u64>,
}

struct Device {
    user: usize,
    name: usize,
    attached: AttachedDevice,
    /// The highest number that it sent.
    sent: u64,
    cursor: u64,
}

#[derive(Default)]
struct Model {
    devices: Vec<Device>,
    sent: BTreeMap<(usize, usize, u32), Sent>,
    /// Accepted messages of each user, in order: stream and number.
    accepted: [Vec<(u64, u64)>; 3],
    seen_by_effects: [Vec<u64>; 3],
}

impl Model {
    fn run(&mut self, shard: &mut Shard, step: Step) {
        shard.effects.clear();
        match step {
            Step::Wait { ms } => shard.now_ms += ms,
            Step::Expire => {
                shard.expire();
            }
            Step::Attach { user, device, keeps_state } => self.attach(shard, user, device, keeps_state),
            Step::Append { from, to, ahead, back, after, ttl, receipts } => {
                let Some(device) = pick(&mut self.devices, from) else { return };
                device.sent += ahead;
                let seq = device.sent.saturating_sub(back);
                let mut sent = message(USERS[to], &device.attached, USERS[device.user], seq);
                sent.after = if after == 0 { 0 } else { seq.saturating_sub(after) };
                (sent.ttl_ms, sent.receipts, sent.inbox_limit) = (ttl, receipts, INBOX_LIMIT);
                let key = (to, device.user, device.attached.slot);
                self.append(shard, to, key, sent);
            }
            Step::Ack { device, by } => {
                let Some(device) = pick(&mut self.devices, device) else { return };
                let asked = device.cursor + by;
                match shard.ack(USERS[device.user], &device.attached, asked) {
                    Reply::CursorMoved { cursor } => {
                        assert!(cursor >= device.cursor, "a cursor went back");
                        assert!(cursor <= shard.record(USERS[device.user]).last_seq);
                        device.cursor = cursor;
                    }
                    other => assert_eq!(other, Reply::Refused(ErrorCode::StreamSuperseded)),
                }
            }
            Step::Read { user, device, up_to } => {
                let Some(device) = pick(&mut self.devices, device) else { return };
                shard.read(USERS[user], USERS[device.user], device.attached.stream, up_to);
            }
        }
        for effect in &shard.effects {
            let Effect::Appended { mailbox, seq, .. } = effect else { continue };
            let user = USERS.iter().position(|user| *user == mailbox.user()).unwrap();
            let seen = &mut self.seen_by_effects[user];
            assert_eq!(*seq, seen.last().copied().unwrap_or(0) + 1, "effects are in order, without gaps");
            seen.push(*seq);
        }
    }

    fn attach(&mut self, shard: &mut Shard, user: usize, name: usize, keeps_state: bool) {
        let known = self.devices.iter().position(|device| device.user == user && device.name == name);
        let resume = known.filter(|_| keeps_state).map(|known| {
            let device = &self.devices[known];
            (device.attached.mailbox_epoch, device.attached.stream, device.cursor)
        });
        let attached = shard.attach(USERS[user], &format!("device-{name}"), resume);
        let newest = self.devices.iter().map(|device| device.attached.stream).max().unwrap_or(0);
        let Some(known) = known else {
            assert!(attached.stream > newest);
            self.devices.push(Device { user, name, cursor: attached.cursor, attached, sent: 1 });
            return;
        };
        let device = &mut self.devices[known];
        if attached.stream != device.attached.stream {
            assert!(attached.stream > newest, "a new stream is the highest");
            device.sent = 1;
        }
        if resume.is_some() && attached.unknown.is_none() {
            assert_eq!(attached.cursor, device.cursor, "a resumed device goes on where it stood");
        }
        device.cursor = attached.cursor;
        device.attached = attached;
    }

    fn append(
        &mut self,
        shard: &mut Shard,
        to: usize,
        key: (usize, usize, u32),
        sent: tidings_proto::mailbox::v1::AppendMessage,
    ) {
        let known = self.sent.entry(key).or_default();
        let same_stream = known.stream == sent.stream;
        let accepted = if same_stream { known.accepted.clone() } else { BTreeSet::new() };
        let highest = accepted.last().copied().unwrap_or(0);
        let seen = |seq: u64| accepted.contains(&seq) || seq + WINDOW <= highest;
        let expected = if sent.seq == 0 || sent.after >= sent.seq {
            Err(ErrorCode::InvalidArgument)
        } else if sent.stream < known.stream {
            Err(ErrorCode::StreamSuperseded)
        } else if sent.seq + WINDOW <= highest {
            Err(ErrorCode::SendWindowExceeded)
        } else if seen(sent.seq) {
            Ok(true)
        } else if sent.after != 0 && !seen(sent.after) {
            Err(ErrorCode::OutOfOrder)
        } else if shard.record(USERS[to]).pending_entries >= u64::from(INBOX_LIMIT) {
            Err(ErrorCode::InboxFull)
        } else {
            Ok(false)
        };
        let (stream, seq) = (sent.stream, sent.seq);
        let answer = match shard.append(sent) {
            Reply::Appended { duplicate, .. } => Ok(duplicate),
            Reply::Refused(code) => Err(code),
            other => panic!("{other:?}"),
        };
        assert_eq!(answer, expected);
        if answer == Ok(false) {
            if !same_stream {
                *known = Sent { stream, accepted: BTreeSet::new() };
            }
            known.accepted.insert(seq);
            self.accepted[to].push((stream, seq));
        }
    }

    /// What is stored is a part of what was accepted, in its order, once.
    fn check(&self, shard: &Shard) {
        shard.check(&USERS);
        for (user, accepted) in self.accepted.iter().enumerate() {
            let mut rest = accepted.iter();
            for message in shard.messages(USERS[user]) {
                let id = message.id.unwrap();
                assert!(rest.any(|one| *one == (id.stream, id.seq)), "stored twice, or out of order: {id:?}");
            }
        }
        assert_eq!(shard.replay().dump(), shard.store.dump(), "the same log makes the same state");
    }
}

fn pick(devices: &mut [Device], number: usize) -> Option<&mut Device> {
    let count = devices.len();
    if count == 0 { None } else { devices.get_mut(number % count) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn order_no_duplicate_no_cursor_back_and_replay_equals_state(steps in prop::collection::vec(step(), 1..150)) {
        let mut shard = Shard::alone();
        let mut model = Model::default();
        for step in steps {
            model.run(&mut shard, step);
            shard.check(&USERS);
        }
        model.check(&shard);
    }

    /// Pages of the channel arrive late, again, and out of order; the leader trims what was answered (promise 2).
    #[test]
    fn a_channel_delivers_exactly_once(
        steps in prop::collection::vec((0..6u8, 0..8usize, 1..6usize), 1..120),
    ) {
        let [alice_name, bob_name] = users_of_two_shards();
        let (mut home, mut away) = (Shard::new(0, 2), Shard::new(1, 2));
        let alice = home.attach(&alice_name, "phone", None);
        let bob = away.attach(&bob_name, "phone", None);
        let (mut sent, mut expiring) = (0, BTreeSet::new());
        let mut on_the_way = Vec::new();
        let mut came = 0;
        for (kind, which, size) in steps {
            match kind {
                0 | 1 => {
                    sent += 1;
                    let mut message = message(&bob_name, &alice, &alice_name, sent);
                    if kind == 1 {
                        message.ttl_ms = Some(1);
                        expiring.insert(sent);
                    }
                    away.append(message);
                }
                2 => {
                    away.ack(&bob_name, &bob, which as u64 * size as u64);
                }
                3 => {
                    away.now_ms += 5;
                    away.expire();
                }
                4 => on_the_way.extend(away.page(0, came, size)),
                _ if on_the_way.is_empty() => {}
                _ => {
                    let page: tidings_proto::mailbox::v1::ChannelDeliver = on_the_way[which % on_the_way.len()].clone();
                    let up_to = home.deliver(page);
                    prop_assert!(up_to >= came);
                    came = up_to;
                    if size % 2 == 0 {
                        let trim = tidings_proto::mailbox::v1::ChannelTrim { target_shard: 0, up_to };
                        away.apply(tidings_proto::mailbox::v1::command::Command::ChannelTrim(trim));
                    }
                }
            }
        }
        away.now_ms += 5;
        away.expire();
        while let Some(page) = away.page(0, came, 3) {
            came = home.deliver(page);
        }
        let failed: Vec<u64> = home.failures(&alice_name).iter().map(|failure| failure.id.unwrap().seq).collect();
        let once: BTreeSet<u64> = failed.iter().copied().collect();
        prop_assert_eq!(failed.len(), once.len(), "told twice that it failed");
        prop_assert!(once.is_subset(&expiring));
        let watermarks: Vec<u64> = home.receipts(&alice_name).iter().filter(|one| one.kind() == Kind::Delivered)
            .map(|one| one.up_to_seq).collect();
        prop_assert!(watermarks.is_sorted_by(|one, next| one < next), "a watermark went back or came twice");
        let waiting: BTreeSet<u64> = away.messages(&bob_name).iter().map(|message| message.id.unwrap().seq).collect();
        for seq in 1..=sent {
            let delivered = watermarks.last().is_some_and(|up_to| seq <= *up_to) && !once.contains(&seq);
            let fates = [delivered, once.contains(&seq), waiting.contains(&seq)];
            prop_assert_eq!(fates.iter().filter(|fate| **fate).count(), 1, "{} has {:?}", seq, fates);
        }
        home.check(&[&alice_name]);
        away.check(&[&bob_name]);
        prop_assert_eq!(home.replay().dump(), home.store.dump());
        prop_assert_eq!(away.replay().dump(), away.store.dump());
    }
}
