//! Random lives of a client: lost, late, reordered and doubled answers, broken connections, restarts from the store.
//! Promises 2 (once), 3 (in order) and 4 (every message ends; gaps are told).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tidings_proto::client::v1::client_frame;
use tidings_proto::frame::decode_client;
use tidings_proto::message::v1::envelope;

use super::super::*;
use super::model::{SEND_WINDOW, Service, text_content};
use crate::store::{Identity, StoredSend};

struct World {
    rng: SmallRng,
    now: Duration,
    service: Service,
    client: Connection<String>,
    /// The client's disk.
    disk: State,
    opening: bool,
    connected: bool,
    to_service: VecDeque<client_frame::Frame>,
    sent: Vec<(String, String)>,
    outcomes: BTreeMap<String, Vec<Result<Sent, SendError>>>,
    /// What the application was shown and has not acknowledged.
    open: VecDeque<(u32, u64)>,
    shown: Vec<String>,
    unknown: Vec<(u64, u64)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            rng: SmallRng::seed_from_u64(seed),
            now: Duration::from_secs(1),
            service: Service::new(),
            client: Connection::new(config(), State::default()),
            disk: State::default(),
            opening: false,
            connected: false,
            to_service: VecDeque::new(),
            sent: Vec::new(),
            outcomes: BTreeMap::new(),
            open: VecDeque::new(),
            shown: Vec::new(),
            unknown: Vec::new(),
        };
        world.input(Input::Start);
        world
    }

    fn input(&mut self, input: Input<String>) {
        let mut effects = Vec::new();
        self.client.handle(self.now, input, &mut effects);
        self.client.flush(self.now, &mut effects);
        for effect in &effects {
            if let Effect::Persist(change) = effect {
                persist(&mut self.disk, change.clone());
            }
        }
        assert_eq!(self.disk.outbox, self.client.state().outbox, "the disk lags behind");
        for effect in effects {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect<String>) {
        match effect {
            Effect::Connect => self.opening = true,
            Effect::Transmit(bytes) => {
                assert!(self.connected, "written to no connection");
                self.to_service.push_back(decode_client(bytes).unwrap());
            }
            Effect::Disconnect => self.disconnect(),
            Effect::Settled(settled) => {
                let text = settled.tag.unwrap_or_else(|| format!("restored {}", settled.id));
                self.outcomes.entry(text).or_default().push(settled.result);
            }
            Effect::Emit(Emit::Delivery { generation, seq, envelope }) => {
                let Some(envelope::Event::Message(message)) = envelope.event else { panic!("no message") };
                self.shown.push(message.content.unwrap().text);
                self.open.push_back((generation, seq));
            }
            Effect::Emit(Emit::UnknownRange(from, to)) => self.unknown.push((from, to)),
            Effect::Stopped(reason) => panic!("stopped: {reason}"),
            Effect::Answered { .. } => panic!("nothing was asked"),
            Effect::Persist(_) | Effect::Numbered { .. } | Effect::Emit(_) => {}
        }
    }

    fn disconnect(&mut self) {
        (self.connected, self.opening) = (false, false);
        // What was on the way arrives in part.
        let arrives = self.rng.random_range(0..=self.to_service.len());
        for frame in self.to_service.drain(..arrives).collect::<Vec<_>>() {
            self.service.frame(frame, &mut self.rng);
        }
        self.to_service.clear();
        self.service.to_client.clear();
    }

    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..25 => {
                let to = ["bob", "carol", "dave"][self.rng.random_range(0..3)];
                self.send(to);
            }
            25..45 => self.frame_to_service(),
            45..65 => self.frame_to_client(),
            65..72 => self.service.mailbox.push(format!("entry {}", self.service.mailbox.len() + 1)),
            72..82 => self.service.deliver_next_if(self.connected && self.to_service.is_empty()),
            82..90 => self.acknowledge(),
            90..94 => self.connect(),
            94..97 => self.pass_time(),
            97..99 => self.break_connection(),
            _ => self.restart(),
        }
    }

    fn send(&mut self, to: &str) {
        let text = format!("{to} {}", self.sent.len());
        self.sent.push((to.to_owned(), text.clone()));
        let entry = Entry::new(UserId::new(to).unwrap().into(), text_content(&text), None, 0, text);
        self.input(Input::Send(entry));
    }

    fn frame_to_service(&mut self) {
        if let Some(frame) = self.to_service.pop_front() {
            self.service.frame(frame, &mut self.rng);
        }
    }

    fn frame_to_client(&mut self) {
        if let Some(frame) = self.service.to_client.pop_front() {
            self.input(Input::Frame(frame));
        }
    }

    fn acknowledge(&mut self) {
        if let Some((generation, seq)) = self.open.pop_front() {
            self.input(Input::Acknowledge { generation, seq });
        }
    }

    fn connect(&mut self) {
        if self.opening {
            (self.opening, self.connected) = (false, true);
            self.input(Input::Opened { token: "token".into() });
        }
    }

    fn pass_time(&mut self) {
        if let Some(at) = self.client.wake_at() {
            self.now = self.now.max(at);
            self.input(Input::Tick);
        }
    }

    fn break_connection(&mut self) {
        self.disconnect();
        self.input(Input::Closed { code: None, reason: "broken".into() });
    }

    /// The process is killed and starts again from its disk; what it had shown and not acknowledged is shown again.
    fn restart(&mut self) {
        self.disconnect();
        self.shown.truncate(self.disk.cursor as usize);
        self.open.clear();
        self.client = Connection::new(config(), self.disk.clone());
        self.input(Input::Start);
    }

    fn quiesce(&mut self) {
        self.service.faults = false;
        for _ in 0..100_000 {
            let settled = self.client.is_settled() && self.open.is_empty();
            if settled && self.shown.len() == self.service.mailbox.len() && self.to_service.is_empty() {
                return;
            }
            self.connect();
            self.frame_to_service();
            self.service.deliver_next_if(self.connected && self.to_service.is_empty());
            self.frame_to_client();
            self.acknowledge();
            if self.to_service.is_empty() && self.service.to_client.is_empty() && self.open.is_empty() {
                self.pass_time();
            }
        }
        panic!("does not come to rest: {:?}", self.client);
    }
}

impl Service {
    fn deliver_next_if(&mut self, attached: bool) {
        let greeted =
            !self.to_client.iter().any(|f| matches!(f, tidings_proto::client::v1::server_frame::Frame::Welcome(_)));
        if attached && greeted && self.streams > 0 {
            self.deliver_next();
        }
    }
}

fn config() -> Config {
    Config { device: "phone".into(), ..Config::default() }
}

fn persist(disk: &mut State, change: Change) {
    match change {
        Change::Reset(state) => *disk = state,
        Change::Enqueued(send) => {
            disk.next_seq = disk.next_seq.max(send.seq + 1);
            disk.outbox.push(send);
        }
        Change::Answered(answered) => disk.outbox.retain(|StoredSend { seq, .. }| *seq != answered),
        Change::Cursor(cursor) => disk.cursor = cursor,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_is_lost_doubled_or_out_of_order(seed: u64, steps in 50..1500usize) {
        let mut world = World::new(seed);
        for _ in 0..steps {
            world.step();
        }
        world.quiesce();

        for (to, accepted) in &world.service.accepted {
            let sent = world.sent.iter().filter(|(recipient, _)| recipient == to).map(|(_, text)| text);
            let mut sent = sent.peekable();
            for text in accepted {
                // A subsequence: in the order of sending, each at most once.
                prop_assert!(sent.any(|candidate| candidate == text), "{} is doubled or out of order", text);
            }
        }
        let mut ends = 0;
        for (text, results) in &world.outcomes {
            prop_assert_eq!(results.len(), 1, "{} ended {:?}", text, results);
            ends += 1;
            let known_accepted = world.service.accepted.values().flatten().any(|accepted| accepted == text);
            match &results[0] {
                Ok(_) if text.starts_with("restored") => {}
                Ok(_) => prop_assert!(known_accepted, "{} was reported as sent", text),
                Err(SendError::Refused { code, .. }) => prop_assert_eq!(*code, ErrorCode::InboxFull),
                Err(other) => prop_assert!(false, "{} ended with {}", text, other),
            }
        }
        prop_assert_eq!(ends, world.sent.len(), "every message ends");
        prop_assert_eq!(&world.shown, &world.service.mailbox, "each entry is shown once, in order");
        prop_assert!(world.unknown.is_empty());
        prop_assert!(SEND_WINDOW > 0 && world.disk.identity.is_some());
    }

    #[test]
    fn a_lost_stream_doubles_nothing_and_lost_entries_are_told(seed: u64, steps in 50..1000usize) {
        let mut world = World::new(seed);
        for step in 0..steps {
            world.step();
            if step % 100 == 99 {
                world.break_connection();
                let World { service, rng, .. } = &mut world;
                service.forget_stream();
                service.trim(rng);
            }
        }
        world.service.faults = false;
        for _ in 0..20_000 {
            if world.client.is_settled() { break; }
            world.connect();
            world.frame_to_service();
            world.frame_to_client();
            world.acknowledge();
            if world.to_service.is_empty() && world.service.to_client.is_empty() { world.pass_time(); }
        }
        prop_assert!(world.client.is_settled());
        for (to, accepted) in &world.service.accepted {
            let mut sent = world.sent.iter().filter(|(recipient, _)| recipient == to).map(|(_, text)| text);
            for text in accepted {
                prop_assert!(sent.any(|candidate| candidate == text), "{} is doubled or out of order", text);
            }
        }
        let ends: usize = world.outcomes.values().map(Vec::len).sum();
        prop_assert_eq!(ends, world.sent.len(), "every message ends");
    }

    #[test]
    fn arbitrary_frames_never_panic(seed: u64, frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..50)) {
        let mut world = World::new(seed);
        world.send("bob");
        world.connect();
        for bytes in frames {
            if let Ok(frame) = tidings_proto::frame::decode_server(bytes.into()) {
                let mut effects = Vec::new();
                world.client.handle(world.now, Input::Frame(frame), &mut effects);
                world.client.flush(world.now, &mut effects);
            }
        }
    }
}

#[test]
fn the_disk_belongs_to_one_identity() {
    let identity = Some(Identity { app: "app".into(), user: "bob".into(), device: "phone".into() });
    let mut client: Connection<String> = Connection::new(config(), State { identity, stream: 3, ..State::default() });
    let mut effects = Vec::new();
    client.handle(Duration::ZERO, Input::Start, &mut effects);
    client.handle(Duration::ZERO, Input::Opened { token: String::new() }, &mut effects);
    let welcome = Welcome { app: "app".into(), user: "alice".into(), ..Welcome::default() };
    client.handle(Duration::ZERO, Input::Frame(server_frame::Frame::Welcome(welcome)), &mut effects);
    assert!(matches!(effects.last(), Some(Effect::Stopped(StopReason::StateOfAnother { .. }))), "{effects:?}");
}
