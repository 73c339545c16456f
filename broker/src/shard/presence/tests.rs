use proptest::prelude::*;

use super::*;

const GRACE: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(60);
const LIMITS: PresenceLimits = PresenceLimits { grace: GRACE, interval: INTERVAL, watched: 4, last_seen: 8 };
const MANY: usize = 1000;

fn user(name: &str) -> MailboxId {
    MailboxId::new("app", name).unwrap()
}

fn watch(link: u64, name: &str, now: Instant) -> Watch {
    let (mailbox, until) = (user(name), now + LEASE);
    let (hides_from, among) = (Vec::new(), Audience::Unspecified);
    Watch {
        link,
        mailbox,
        is_online: false,
        last_seen_ms: 0,
        is_known: false,
        until,
        hides_from,
        among,
        knows_them: false,
    }
}

fn states(tellings: Vec<Telling>) -> Vec<(u64, UserState)> {
    tellings.into_iter().map(|telling| (telling.link, telling.state)).collect()
}

#[test]
fn about_whom_nobody_asked_nothing_is_told_and_when_they_left_is_known_afterwards() {
    let start = Instant::now();
    let mut presence = Presence::new(LIMITS, start);
    presence.came(&user("bob"), start);
    presence.left(&user("bob"), start, 1_000);
    assert_eq!((presence.next_due(), presence.watched()), (None, 0));
    let later = start + GRACE * 2;
    presence.watch(watch(1, "bob", later), later).unwrap();
    let offline = UserState::Offline { last_seen_ms: 1_000 };
    assert_eq!(states(presence.take_due(later, MANY)), [(1, offline)]);
    presence.watch(Watch { is_known: true, ..watch(1, "bob", later) }, later).unwrap();
    assert_eq!(states(presence.take_due(later + INTERVAL, MANY)), [], "asking on is no question");
    presence.watch(watch(1, "bob", later), later + INTERVAL).unwrap();
    assert_eq!(states(presence.take_due(later + INTERVAL, MANY)), [(1, offline)]);
}

#[test]
fn a_gateway_that_goes_by_contacts_is_told_of_them_and_when_they_change() {
    let start = Instant::now();
    let mut presence = Presence::new(LIMITS, start);
    let asked = |among, knows_them| {
        let known = Watch { is_online: true, is_known: true, ..watch(1, "bob", start) };
        Watch { among, knows_them, ..known }
    };
    let told = |presence: &mut Presence, now| -> Vec<Audience> {
        presence.take_due(now, MANY).into_iter().map(|telling| telling.among).collect()
    };
    presence.watch(asked(Audience::Contacts, false), start).unwrap();
    presence.watch(Watch { is_online: true, ..watch(2, "bob", start) }, start).unwrap();
    assert_eq!(told(&mut presence, start), [Audience::Contacts, Audience::Unspecified]);
    presence.watch(asked(Audience::Contacts, true), start).unwrap();
    assert_eq!(told(&mut presence, start + INTERVAL), [], "it knows them");
    presence.contacts_changed(&user("bob"), start + INTERVAL);
    assert_eq!(told(&mut presence, start + INTERVAL * 2), [Audience::Contacts], "and the other does not want to");
    presence.watch(asked(Audience::Paired, true), start + INTERVAL * 2).unwrap();
    assert_eq!(told(&mut presence, start + INTERVAL * 3), [Audience::Paired], "others than before");
    presence.watch(asked(Audience::Paired, false), start + INTERVAL * 3).unwrap();
    let lost = presence.take_due(start + INTERVAL * 4, MANY).remove(0);
    presence.not_told(&lost, start + INTERVAL * 4);
    assert_eq!(told(&mut presence, start + INTERVAL * 5), [Audience::Paired]);
    presence.left(&user("bob"), start + INTERVAL * 6, 1_000);
    assert_eq!(told(&mut presence, start + GRACE * 2), [Audience::Unspecified; 2], "not with each change");
}

#[test]
fn who_asks_once_is_told_what_watchers_are() {
    let start = Instant::now();
    let mut presence = Presence::new(LIMITS, start);
    let (later, second) = (start + GRACE * 2, Duration::from_secs(1));
    let of = |presence: &Presence, is_online, now| presence.of(&user("bob"), is_online, now);
    assert_eq!(of(&presence, false, start + second), None, "bob may come back to the new leader");
    assert_eq!(of(&presence, true, start + second), Some(UserState::Online));
    assert_eq!(of(&presence, false, later), Some(UserState::Offline { last_seen_ms: 0 }));
    for is_watched in [false, true] {
        if is_watched {
            presence.watch(Watch { is_online: true, ..watch(1, "bob", later) }, later).unwrap();
        }
        presence.left(&user("bob"), later, 1_000);
        assert_eq!(of(&presence, false, later + second), Some(UserState::Online), "within the time of grace");
        assert_eq!(of(&presence, false, later + GRACE), Some(UserState::Offline { last_seen_ms: 1_000 }));
    }
}

#[test]
fn whom_a_user_hides_from_is_told_with_the_state_and_at_once_when_it_changes() {
    let start = Instant::now();
    let mut presence = Presence::new(LIMITS, start);
    let hiding = |tellings: Vec<Telling>| -> Vec<(u64, Vec<String>)> {
        tellings.into_iter().map(|telling| (telling.link, telling.hides_from.to_vec())).collect()
    };
    let eve = vec!["eve".to_owned()];
    presence.hides(&user("bob"), eve.clone(), start);
    assert_eq!(presence.next_due(), None, "nobody watches");
    for link in [1, 2] {
        let watch = Watch { is_online: true, hides_from: eve.clone(), ..watch(link, "bob", start) };
        presence.watch(watch, start).unwrap();
    }
    assert_eq!(hiding(presence.take_due(start, MANY)), [(1, eve.clone()), (2, eve)]);
    presence.hides(&user("bob"), Vec::new(), start);
    assert_eq!(hiding(presence.take_due(start, MANY)), [(1, vec![]), (2, vec![])], "without a pause");
}

#[test]
fn a_new_leader_says_nothing_of_the_absent_before_they_could_come_back() {
    let start = Instant::now();
    let mut presence = Presence::new(LIMITS, start);
    for name in ["alice", "bob"] {
        presence.watch(Watch { last_seen_ms: 7, ..watch(1, name, start) }, start).unwrap();
    }
    assert_eq!(presence.take_due(start, MANY), []);
    presence.came(&user("alice"), start + Duration::from_secs(1));
    assert_eq!(states(presence.take_due(start + Duration::from_secs(2), MANY)), [(1, UserState::Online)]);
    assert_eq!(presence.next_due(), Some(start + GRACE));
    let offline = UserState::Offline { last_seen_ms: 7 };
    assert_eq!(states(presence.take_due(start + GRACE, MANY)), [(1, offline)], "as the gateway remembers");
}

#[test]
fn one_who_comes_back_within_the_grace_was_never_away() {
    let start = Instant::now();
    let mut presence = Presence::new(LIMITS, start);
    presence.watch(Watch { is_online: true, ..watch(1, "bob", start) }, start).unwrap();
    assert_eq!(states(presence.take_due(start, MANY)), [(1, UserState::Online)]);
    presence.left(&user("bob"), start, 1_000);
    assert_eq!(presence.take_due(start + GRACE / 2, MANY), []);
    presence.came(&user("bob"), start + GRACE / 2);
    assert_eq!(presence.take_due(start + GRACE * 2, MANY), []);
}

#[test]
fn at_the_limit_a_further_user_is_refused_and_a_known_one_is_not() {
    let start = Instant::now();
    let mut presence = Presence::new(LIMITS, start);
    for name in ["a", "b", "c", "d"] {
        presence.watch(watch(1, name, start), start).unwrap();
    }
    assert_eq!(presence.watch(watch(1, "e", start), start), Err(TooManyWatched));
    presence.watch(watch(2, "a", start), start).unwrap();
    presence.unlink(1, start);
    presence.take_due(start, MANY);
    assert_eq!(presence.watched(), 1, "what nobody watches is forgotten");
    presence.watch(watch(1, "e", start), start).unwrap();
    presence.take_due(start + LEASE, MANY);
    assert_eq!((presence.watched(), presence.next_due()), (0, None), "leases end by themselves");
}

#[test]
fn what_found_no_room_is_told_later() {
    let start = Instant::now();
    let mut presence = Presence::new(LIMITS, start);
    presence.watch(Watch { is_online: true, ..watch(1, "bob", start) }, start).unwrap();
    let told = presence.take_due(start, MANY);
    presence.not_told(&told[0], start);
    assert_eq!(presence.take_due(start, MANY), []);
    assert_eq!(presence.take_due(start + RETRY, MANY), told);
}

#[test]
fn when_the_longest_gone_left_is_forgotten_first() {
    let start = Instant::now();
    let mut presence = Presence::new(LIMITS, start);
    for number in 0..20 {
        presence.left(&user(&format!("user-{number}")), start, i64::from(number));
    }
    let known = (0..20).filter(|number| presence.left.get(&user(&format!("user-{number}"))).is_some()).count();
    assert!((4..=8).contains(&known), "{known} are remembered");
    assert!(presence.left.get(&user("user-19")).is_some());
}

#[derive(Debug, Clone)]
enum Step {
    Watch { link: u64, user: usize, is_known: bool },
    Come(usize),
    Leave(usize),
    Unlink(u64),
    Pass(u64),
    NoRoom,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..4u64, 0..3usize, any::<bool>()).prop_map(|(link, user, is_known)| Step::Watch { link, user, is_known }),
        4 => (0..3usize).prop_map(Step::Come),
        4 => (0..3usize).prop_map(Step::Leave),
        1 => (1..4u64).prop_map(Step::Unlink),
        6 => (1..4_000u64).prop_map(Step::Pass),
        1 => Just(Step::NoRoom),
    ]
}

const NAMES: [&str; 3] = ["alice", "bob", "carol"];

/// What a gateway believes, and when it was last told a change, or would have been had there been room.
#[derive(Default)]
struct Believed {
    state: Option<UserState>,
    changed_at: Option<Instant>,
    is_retried: bool,
}

struct Model {
    presence: Presence,
    start: Instant,
    now: Instant,
    /// Since when each user has been without a device.
    away_since: [Option<Instant>; 3],
    leases: HashMap<(u64, usize), Instant>,
    gateways: HashMap<(u64, usize), Believed>,
    room: bool,
}

impl Model {
    fn new() -> Self {
        let start = Instant::now();
        Self {
            presence: Presence::new(LIMITS, start),
            start,
            now: start,
            away_since: [Some(start); 3],
            leases: HashMap::new(),
            gateways: HashMap::new(),
            room: true,
        }
    }

    fn step(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Watch { link, user: number, is_known } => {
                let known = self.gateways.entry((link, number)).or_default();
                let is_known = is_known && known.state.is_some();
                if !is_known {
                    *known = Believed::default();
                }
                let is_online = self.away_since[number].is_none();
                self.leases.insert((link, number), now + LEASE);
                let asked = Watch { is_online, is_known, ..watch(link, NAMES[number], now) };
                self.presence.watch(asked, now).unwrap();
            }
            Step::Come(number) if self.away_since[number].is_some() => {
                self.away_since[number] = None;
                self.presence.came(&user(NAMES[number]), now);
            }
            Step::Leave(number) if self.away_since[number].is_none() => {
                self.away_since[number] = Some(now);
                let ms = 1 + i64::try_from((now - self.start).as_millis()).unwrap();
                self.presence.left(&user(NAMES[number]), now, ms);
            }
            Step::Come(_) | Step::Leave(_) => {}
            Step::Unlink(link) => {
                self.presence.unlink(link, now);
                self.leases.retain(|(other, _), _| *other != link);
                self.gateways.retain(|(other, _), _| *other != link);
            }
            Step::Pass(ms) => self.pass(Duration::from_millis(ms)),
            Step::NoRoom => self.room = false,
        }
    }

    /// Lets time pass, and the shell do its work at the times that the core asks for.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.presence.next_due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            for telling in self.presence.take_due(self.now, 2) {
                self.told(telling);
            }
            self.room = true;
        }
        self.now = end;
    }

    fn told(&mut self, telling: Telling) {
        let number = NAMES.iter().position(|name| user(name) == telling.mailbox).unwrap();
        let key = (telling.link, number);
        assert!(self.leases.get(&key).is_some_and(|until| *until > self.now), "told without a lease");
        match (telling.state, self.away_since[number]) {
            (UserState::Online, None) => {}
            (UserState::Offline { .. }, Some(since)) => assert!(self.now >= since + GRACE, "told too early"),
            (state, away) => panic!("{state:?}, but away since {away:?}"),
        }
        let believed = self.gateways.entry(key).or_default();
        let is_change = believed.state.is_some_and(|before| before != telling.state);
        if is_change && !believed.is_retried {
            assert!(believed.changed_at.is_none_or(|at| self.now >= at + INTERVAL), "changes too close together");
            believed.changed_at = Some(self.now);
        }
        believed.is_retried = !self.room;
        if self.room {
            believed.state = Some(telling.state);
        } else {
            self.presence.not_told(&telling, self.now);
        }
    }

    /// After a time without changes every gateway with a lease knows how it is.
    fn settle(&mut self) {
        self.pass(GRACE + INTERVAL + RETRY * 4);
        for ((link, number), until) in self.leases.clone() {
            if until <= self.now {
                continue;
            }
            let state = self.gateways[&(link, number)].state;
            match self.away_since[number] {
                None => assert_eq!(state, Some(UserState::Online)),
                Some(_) => assert!(matches!(state, Some(UserState::Offline { .. })), "{state:?}"),
            }
        }
        self.pass(LEASE);
        assert_eq!((self.presence.watched(), self.presence.next_due()), (0, None));
    }
}

proptest! {
    /// Nobody is called offline who is not, changes keep their distance, whoever watches learns the truth, and what
    /// nobody watches is forgotten.
    #[test]
    fn gateways_come_to_believe_what_is_true(steps in proptest::collection::vec(step(), 1..120)) {
        let mut model = Model::new();
        for step in steps {
            model.step(step);
        }
        model.settle();
    }
}
