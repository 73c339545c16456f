use proptest::prelude::*;

use super::*;

const INTERVAL: Duration = Duration::from_millis(500);
const LEASE: Duration = Duration::from_secs(120);
const MINUTE_MS: i64 = 60_000;

fn limits(users: usize) -> WatchLimits {
    WatchLimits { users, interval: INTERVAL, lease: LEASE }
}

const SEEN_BY_ALL: View = View { audience: Audience::All, round_ms: MINUTE_MS };
const HIDDEN: View = View { audience: Audience::Nobody, round_ms: MINUTE_MS };

/// Does what is due, with every policy looked up at once.
fn due(watches: &mut Watches, now: Instant) -> Work {
    let work = watches.due(now, |_| true);
    work.look_up.iter().for_each(|target| watches.viewed(target, SEEN_BY_ALL, now));
    work
}

fn target(number: u32) -> Target {
    Target { shard: number % 2, user: UserKey::new("app", &format!("user-{number}")) }
}

fn targets(numbers: impl IntoIterator<Item = u32>) -> HashSet<Target> {
    numbers.into_iter().map(target).collect()
}

fn asked(work: &Work) -> Vec<(u32, usize)> {
    work.asks.iter().map(|(shard, users)| (*shard, users.len())).collect()
}

/// What is told, as session, user and whether online.
fn told(work: &Work) -> Vec<(u64, String, bool)> {
    let one =
        |session: u64, user: &UserPresence| (session, user.user.clone(), user.state() == user_presence::State::Online);
    work.tells.iter().flat_map(|(session, users)| users.iter().map(move |user| one(*session, user))).collect()
}

#[test]
fn however_many_watch_a_user_the_shard_is_asked_once_and_each_is_told_once() {
    let (mut watches, now) = (Watches::new(limits(10)), Instant::now());
    for session in 1..=100 {
        watches.watch(session, "me", targets([0]), now).unwrap();
    }
    let work = due(&mut watches, now);
    assert_eq!((asked(&work), told(&work)), (vec![(0, 1)], vec![]));
    for _ in 0..3 {
        watches.changed(&target(0), UserState::Online, now);
    }
    let work = due(&mut watches, now + GATHER);
    assert_eq!(work.tells.len(), 100);
    assert!(due(&mut watches, now + INTERVAL).tells.is_empty());
    // Another one learns what is known, without a question.
    watches.watch(101, "me", targets([0]), now).unwrap();
    let work = due(&mut watches, now + GATHER);
    assert_eq!((asked(&work), told(&work)), (vec![], vec![(101, "user-0".to_owned(), true)]));
}

#[test]
fn a_storm_costs_a_client_one_frame_in_an_interval() {
    let (mut watches, start) = (Watches::new(limits(200)), Instant::now());
    watches.watch(1, "me", targets(0..200), start).unwrap();
    due(&mut watches, start);
    let (mut frames, mut now) = (0, start);
    while now < start + INTERVAL * 10 {
        for number in 0..200 {
            let state = if frames % 2 == 0 { UserState::Online } else { UserState::Offline { last_seen_ms: 0 } };
            watches.changed(&target(number), state, now);
        }
        frames += due(&mut watches, now).tells.len();
        now += Duration::from_millis(10);
    }
    assert_eq!(frames, 10);
}

#[test]
fn the_time_of_leaving_is_rounded_down_and_not_invented() {
    let (mut watches, now) = (Watches::new(limits(10)), Instant::now());
    watches.watch(1, "me", targets([0, 2]), now).unwrap();
    due(&mut watches, now);
    watches.changed(&target(0), UserState::Offline { last_seen_ms: 3 * MINUTE_MS - 1 }, now);
    watches.changed(&target(2), UserState::Offline { last_seen_ms: 0 }, now);
    let work = due(&mut watches, now + GATHER);
    let times: Vec<_> = work.tells[0].1.iter().map(|user| user.last_seen_ms).collect();
    assert_eq!(times, [2 * MINUTE_MS, 0]);
}

#[test]
fn at_the_limit_a_watch_with_a_further_user_is_refused_as_a_whole() {
    let (mut watches, now) = (Watches::new(limits(3)), Instant::now());
    watches.watch(1, "me", targets([0, 1]), now).unwrap();
    watches.watch(2, "me", targets([0, 2]), now).unwrap();
    assert_eq!(watches.watch(3, "me", targets([0, 3]), now), Err(TooManyWatched));
    assert_eq!(watches.len(), (3, 2));
    due(&mut watches, now);
    watches.changed(&target(0), UserState::Online, now);
    assert_eq!(told(&due(&mut watches, now + GATHER)).len(), 2);
}

#[test]
fn users_whom_nobody_watches_any_more_are_not_asked_for_again() {
    let (mut watches, now) = (Watches::new(limits(10)), Instant::now());
    watches.watch(1, "me", targets([0, 2]), now).unwrap();
    watches.watch(2, "me", targets([4]), now).unwrap();
    assert_eq!(asked(&due(&mut watches, now)), [(0, 3)]);
    watches.watch(1, "me", targets([2]), now).unwrap();
    let work = watches.due(now + RENEWAL, |session| session != 2);
    assert_eq!(work.asks[0].1.iter().map(|asked| asked.user.user()).collect::<Vec<_>>(), ["user-2"]);
    let work = due(&mut watches, now + LEASE);
    assert_eq!((asked(&work), watches.len()), (vec![], (0, 0)), "the client did not prolong it");
    assert_eq!(watches.next_due(), None);
}

#[test]
fn another_leader_is_asked_for_all_and_what_is_known_already_is_not_told_again() {
    let (mut watches, now) = (Watches::new(limits(10)), Instant::now());
    watches.watch(1, "me", targets([0, 2, 3]), now).unwrap();
    due(&mut watches, now);
    watches.changed(&target(0), UserState::Online, now);
    due(&mut watches, now + GATHER);
    watches.ask_again(0, now + INTERVAL);
    assert!(due(&mut watches, now + GATHER).asks.is_empty());
    let work = due(&mut watches, now + INTERVAL);
    assert_eq!(asked(&work), [(0, 2)]);
    let known: Vec<_> = work.asks[0].1.iter().filter_map(|asked| asked.known).collect();
    assert_eq!(known, [UserState::Online]);
    watches.changed(&target(0), UserState::Online, now + INTERVAL);
    assert!(due(&mut watches, now + INTERVAL * 2).tells.is_empty());
}

#[test]
fn of_a_user_who_hides_one_word_is_told_however_they_come_and_go() {
    let (mut watches, now) = (Watches::new(limits(10)), Instant::now());
    watches.watch(1, "me", targets([0]), now).unwrap();
    let work = watches.due(now, |_| true);
    assert_eq!((work.look_up.len(), work.asks.len()), (1, 1));
    watches.changed(&target(0), UserState::Online, now);
    assert!(watches.due(now + GATHER, |_| true).tells.is_empty(), "the policy is not known yet");
    watches.viewed(&target(0), HIDDEN, now + GATHER);
    let work = watches.due(now + GATHER * 2, |_| true);
    assert_eq!(work.tells[0].1[0].state(), user_presence::State::Unknown);
    watches.changed(&target(0), UserState::Offline { last_seen_ms: 1 }, now + INTERVAL);
    assert!(watches.due(now + INTERVAL * 2, |_| true).tells.is_empty());
    watches.watch(2, "me", targets([0]), now + INTERVAL * 2).unwrap();
    let work = watches.due(now + INTERVAL * 2 + GATHER, |_| true);
    assert_eq!((work.tells[0].0, work.tells[0].1[0].state()), (2, user_presence::State::Unknown));

    // Another policy, of the user and of all: what was hidden is told, and the other way round.
    watches.policies_changed(|key| key.user() == "user-1");
    assert!(watches.due(now + INTERVAL * 3, |_| true).look_up.is_empty());
    watches.policies_changed(|key| key.app() == "app");
    assert_eq!(watches.due(now + INTERVAL * 3, |_| true).look_up, [target(0)]);
    watches.viewed(&target(0), SEEN_BY_ALL, now + INTERVAL * 3);
    let work = watches.due(now + INTERVAL * 4, |_| true);
    assert!(work.tells.iter().all(|(_, users)| users[0].state() == user_presence::State::Offline));
    assert_eq!(work.tells.len(), 2);
}

#[derive(Debug, Clone)]
enum Step {
    Watch(u64, Vec<u32>),
    Change(u32, bool),
    Gone(u64),
    NoRoom,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..4u64, proptest::collection::vec(0..6u32, 0..6)).prop_map(|(session, users)| Step::Watch(session, users)),
        4 => (0..6u32, any::<bool>()).prop_map(|(user, online)| Step::Change(user, online)),
        1 => (0..4u64).prop_map(Step::Gone),
        1 => Just(Step::NoRoom),
        4 => (1..2_000u64).prop_map(Step::Pass),
    ]
}

/// Shards and clients around the watches.
struct Model {
    watches: Watches,
    now: Instant,
    truth: [bool; 6],
    clients: HashMap<u64, Client>,
    /// Ids are not used again.
    lives: [u64; 4],
    room: bool,
}

#[derive(Default)]
struct Client {
    watched: HashSet<u32>,
    known: HashMap<u32, bool>,
    told_at: Option<Instant>,
}

impl Model {
    fn step(&mut self, step: Step) {
        match step {
            Step::Watch(session, users) => {
                let id = session + 4 * self.lives[session as usize];
                self.watches.watch(id, "me", targets(users.iter().copied()), self.now).unwrap();
                let client = self.clients.entry(id).or_default();
                client.watched = users.into_iter().collect();
                client.known.retain(|user, _| client.watched.contains(user));
                // Who watches nobody is forgotten; how often one may begin again is limited elsewhere.
                client.told_at = client.told_at.filter(|_| !client.watched.is_empty());
            }
            Step::Change(user, online) => {
                self.truth[user as usize] = online;
                // The shard tells whoever asked; what it was not asked for is passed over.
                self.watches.changed(&target(user), state_of(online), self.now);
            }
            Step::Gone(session) => {
                self.clients.remove(&(session + 4 * self.lives[session as usize]));
                self.lives[session as usize] += 1;
            }
            Step::NoRoom => self.room = false,
            Step::Pass(ms) => self.pass(Duration::from_millis(ms)),
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.watches.next_due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let clients = &self.clients;
            let work = self.watches.due(self.now, |session| clients.contains_key(&session));
            for target in &work.look_up {
                self.watches.viewed(target, SEEN_BY_ALL, self.now);
            }
            for asked in work.asks.iter().flat_map(|(_, asked)| asked) {
                let user: u32 = asked.user.user()["user-".len()..].parse().unwrap();
                self.watches.changed(&target(user), state_of(self.truth[user as usize]), self.now);
            }
            for (session, users) in work.tells {
                self.tell(session, &users);
            }
            self.room = true;
        }
        self.now = end;
    }

    fn tell(&mut self, session: u64, users: &[UserPresence]) {
        let client = self.clients.get_mut(&session).expect("only live sessions are told");
        assert!(client.told_at.is_none_or(|at| self.now >= at + INTERVAL), "frames too close together");
        client.told_at = Some(self.now);
        if !self.room {
            return self.watches.not_told(session, users, self.now);
        }
        for user in users {
            let number = user.user["user-".len()..].parse().unwrap();
            assert!(client.watched.contains(&number), "told of a user who is not watched");
            client.known.insert(number, user.state() == user_presence::State::Online);
        }
    }
}

fn state_of(online: bool) -> UserState {
    if online { UserState::Online } else { UserState::Offline { last_seen_ms: 5 } }
}

proptest! {
    /// Every client comes to know how each of its users is, in frames that keep their distance; and what nobody watches
    /// is forgotten.
    #[test]
    fn clients_come_to_know_what_is_true(steps in proptest::collection::vec(step(), 1..80)) {
        let watches = Watches::new(limits(100));
        let (truth, clients) = ([false; 6], HashMap::new());
        let mut model = Model { watches, now: Instant::now(), truth, clients, lives: [0; 4], room: true };
        for step in steps {
            model.step(step);
        }
        let watching: Vec<(u64, Vec<u32>)> =
            model.clients.iter().map(|(id, client)| (id % 4, client.watched.iter().copied().collect())).collect();
        for (session, users) in watching {
            model.step(Step::Watch(session, users));
        }
        model.pass(INTERVAL * 4);
        for client in model.clients.values() {
            for user in &client.watched {
                assert_eq!(client.known.get(user), Some(&model.truth[*user as usize]), "of user {user}");
            }
        }
        model.pass(LEASE + RENEWAL);
        assert_eq!((model.watches.len(), model.watches.next_due()), ((0, 0), None));
    }
}

fn names(names: &[&str]) -> HashSet<String> {
    names.iter().map(ToString::to_string).collect()
}

/// What each session is told of the one user whom it watches.
fn states(work: &Work) -> Vec<(u64, user_presence::State)> {
    let mut told: Vec<_> = work.tells.iter().map(|(session, users)| (*session, users[0].state())).collect();
    told.sort_by_key(|(session, _)| *session);
    told
}

#[test]
fn one_who_hides_is_unknown_to_those_users_and_what_changes_is_not_told_them() {
    let (mut watches, now) = (Watches::new(limits(10)), Instant::now());
    for (session, user) in [(1, "bob"), (2, "eve"), (3, "eve")] {
        watches.watch(session, user, targets([0]), now).unwrap();
    }
    due(&mut watches, now);
    use user_presence::State::{Offline, Online, Unknown};
    let mut at = now + INTERVAL;
    let mut told = |watches: &mut Watches, state: UserState, hidden: &[&str]| {
        watches.changed(&target(0), Said { hides_from: names(hidden), ..state.into() }, at);
        at += INTERVAL;
        states(&due(watches, at))
    };
    let offline = UserState::Offline { last_seen_ms: 0 };
    assert_eq!(told(&mut watches, UserState::Online, &["eve"]), [(1, Online), (2, Unknown), (3, Unknown)]);
    assert_eq!(told(&mut watches, offline, &["eve"]), [(1, Offline)]);
    assert_eq!(told(&mut watches, offline, &["bob", "eve"]), [(1, Unknown)]);
    assert_eq!(told(&mut watches, UserState::Online, &["bob"]), [(2, Online), (3, Online)]);
    assert_eq!(told(&mut watches, UserState::Online, &[]), [(1, Online)]);
}

#[test]
fn of_who_is_seen_by_contacts_alone_others_learn_nothing() {
    use user_presence::State::{Offline, Online, Unknown};
    let (mut watches, now) = (Watches::new(limits(10)), Instant::now());
    for (session, user) in [(1, "bob"), (2, "eve")] {
        watches.watch(session, user, targets([0]), now).unwrap();
    }
    assert_eq!(watches.due(now, |_| true).asks[0].1[0].among, Audience::Unspecified, "the policy is not known yet");
    watches.changed(&target(0), UserState::Online, now);
    let by_contacts = View { audience: Audience::Contacts, round_ms: 1 };
    watches.viewed(&target(0), by_contacts, now);
    let work = watches.due(now + GATHER, |_| true);
    let asked = &work.asks[0].1[0];
    assert_eq!((asked.among, asked.knows_them, work.tells.len()), (Audience::Contacts, false, 0));
    let said_of =
        |among, state: UserState, with: &[&str]| Said { acquainted: Some((among, names(with))), ..state.into() };
    let said = |state, with: &[&str]| said_of(Audience::Contacts, state, with);
    let mut at = now + INTERVAL;
    let mut told = |watches: &mut Watches, said: Said| {
        watches.changed(&target(0), said, at);
        at += INTERVAL;
        states(&watches.due(at, |_| true))
    };
    let (online, offline) = (UserState::Online, UserState::Offline { last_seen_ms: 0 });
    assert_eq!(told(&mut watches, said(online, &["bob"])), [(1, Online), (2, Unknown)]);
    assert_eq!(told(&mut watches, offline.into()), [(1, Offline)]);
    assert_eq!(told(&mut watches, said(offline, &["eve"])), [(1, Unknown), (2, Offline)]);
    // One who comes later is asked for, and whoever watches already hears nothing of it.
    watches.watch(3, "zoe", targets([0]), at).unwrap();
    let work = watches.due(at + GATHER, |_| true);
    assert_eq!((work.asks[0].1[0].knows_them, states(&work)), (false, vec![]));
    watches.changed(&target(0), said(offline, &["eve", "zoe"]), at + GATHER);
    let work = watches.due(at + INTERVAL, |_| true);
    assert_eq!((work.asks.len(), states(&work)), (0, vec![(3, Offline)]));
    // When it is renewed, the shard hears that nothing is missing.
    let work = watches.due(now + RENEWAL, |_| true);
    assert!(work.asks[0].1[0].knows_them);
    // Who is seen by pairs is asked for anew.
    watches.viewed(&target(0), View { audience: Audience::Paired, ..by_contacts }, now + RENEWAL);
    let work = watches.due(now + RENEWAL + GATHER, |_| true);
    let asked = &work.asks[0].1[0];
    assert_eq!((asked.among, asked.knows_them, work.tells.len()), (Audience::Paired, false, 0));
    let at = now + RENEWAL + GATHER;
    watches.changed(&target(0), said(offline, &["eve"]), at);
    watches.changed(&target(0), said_of(Audience::Paired, offline, &["zoe"]), at);
    let paired = [(2, Unknown), (3, Offline)];
    assert_eq!(
        states(&watches.due(at + INTERVAL, |_| true)),
        paired,
        "contacts, who were asked for before, are no pairs"
    );
    watches.viewed(&target(0), SEEN_BY_ALL, now + RENEWAL + GATHER);
    assert_eq!(
        states(&watches.due(now + RENEWAL + INTERVAL * 3, |_| true)),
        [(1, Offline), (2, Offline)],
        "zoe knew it"
    );
}
