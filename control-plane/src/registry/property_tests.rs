//! Properties of the core under random commands: two applies give equal state, revoked tokens never resolve again,
//! creating twice is creating once, masks leave the rest alone, indexes and records agree.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tidings_consensus::{ApplyContext, MemoryStore, StateStore};
use tidings_proto::ErrorCode;
use tidings_proto::cluster::v1::{Node, NodeRole, ShardPlacement};
use tidings_proto::policy::v1::Policy;
use tidings_proto::registry::v1::command::Command as C;
use tidings_proto::registry::v1::{
    ApiKeyPointer, ApiKeyRecord, Attributes, Bootstrap, CreateApiKey, CreateApp, CreatePolicy, CreateToken, CreateUser,
    DeleteApp, DeletePolicy, DeleteUser, EndErasures, PlaceShards, RaiseLevel, RegisterNode, RemoveNode, RevokeApiKey,
    RevokeToken, SetNodePhase, Sweep, Swept, TokenPointer, TokenRecord, UpdateApp, UpdateUser, UserPointer, UserRecord,
};

use super::machine::{self, Outcome, encode_command};
use super::read::Read;
use super::refusal::Refusal;
use super::{api_keys, changes, erasures, keys, sweep, tokens, users};

/// Applies commands as a log would.
#[derive(Default)]
pub(super) struct Log {
    store: MemoryStore,
    index: u64,
    pub(super) now_ms: i64,
}

impl Log {
    /// Empty, at a time.
    pub(super) fn at(now_ms: i64) -> Self {
        Self { now_ms, ..Self::default() }
    }

    pub(super) fn apply(&mut self, command: C) -> Result<Outcome, Refusal> {
        self.index += 1;
        let context = ApplyContext { now_ms: self.now_ms, index: self.index, ordinal: 0, term: 1 };
        machine::apply(&context, &encode_command(command), &mut self.store).0
    }

    pub(super) fn state(&self) -> &dyn StateStore {
        &self.store
    }

    pub(super) fn dump(&self) -> Vec<(bytes::Bytes, bytes::Bytes)> {
        self.store.dump()
    }

    pub(super) fn with_user() -> Self {
        let mut log = Self::at(1_000);
        log.apply(C::Bootstrap(Bootstrap { shards: 4, replication: 1 })).unwrap();
        log.apply(create_user("alice", "")).unwrap();
        log
    }

    fn resolve(&self, secret: u8, app_id: &str) -> Result<TokenRecord, ErrorCode> {
        let found = tokens::resolve(self.state(), &hash(secret), app_id, self.now_ms);
        found.map(|(token, _)| token).map_err(|refusal| refusal.code)
    }
}

fn hash(secret: u8) -> Vec<u8> {
    vec![secret; keys::HASH_BYTES]
}

pub(super) fn create_user(id: &str, display_name: &str) -> C {
    let (app, id, display_name) = ("default".to_owned(), id.to_owned(), display_name.to_owned());
    C::CreateUser(CreateUser { app, id, display_name, ..CreateUser::default() })
}

fn create_token(secret: u8, ttl_seconds: u64, app_id: &str, request_id: &str) -> C {
    C::CreateToken(CreateToken {
        app: "default".to_owned(),
        user: "alice".to_owned(),
        app_id: app_id.to_owned(),
        ttl_seconds,
        request_id: request_id.to_owned(),
        hash: hash(secret),
    })
}

fn token_of(outcome: Result<Outcome, Refusal>) -> TokenRecord {
    match outcome {
        Ok(Outcome::Token(token)) => token,
        other => panic!("no token: {other:?}"),
    }
}

fn revoke(id: &str) -> C {
    C::RevokeToken(RevokeToken { app: "default".to_owned(), user: "alice".to_owned(), id: id.to_owned() })
}

fn commands() -> impl Strategy<Value = C> {
    let app = || prop_oneof![Just("default".to_owned()), Just("shop".to_owned())];
    let user = || prop_oneof![Just("alice".to_owned()), Just("bob".to_owned())];
    let text = || prop_oneof![Just(String::new()), Just("x".to_owned()), Just("y".to_owned())];
    let id = || (1_u64..60).prop_map(|index| format!("{index}.0"));
    prop_oneof![
        1 => (1_u32..3, 1_u32..3).prop_map(|(shards, replication)| C::Bootstrap(Bootstrap { shards, replication })),
        2 => (app(), text()).prop_map(|(id, display_name)| C::CreateApp(CreateApp { id, display_name })),
        1 => (app(), any::<(Option<String>, Option<bool>)>()).prop_map(|(id, (display_name, active))| {
            C::UpdateApp(UpdateApp { id, display_name, active })
        }),
        1 => app().prop_map(|id| C::DeleteApp(DeleteApp { id })),
        4 => (app(), user(), text(), text()).prop_map(|(app, id, display_name, policy)| {
            C::CreateUser(CreateUser { app, id, display_name, policy, ..CreateUser::default() })
        }),
        2 => (app(), user(), option::of(text()), option::of(any::<bool>()), option::of(text())).prop_map(
            |(app, id, display_name, active, policy)| {
                C::UpdateUser(UpdateUser { app, id, display_name, active, attributes: None, policy })
            }
        ),
        2 => (app(), text()).prop_map(|(app, id)| {
            C::CreatePolicy(CreatePolicy { policy: Some(Policy { app, id, ..Policy::default() }) })
        }),
        1 => (app(), text()).prop_map(|(app, id)| C::DeletePolicy(DeletePolicy { app, id })),
        1 => (app(), user()).prop_map(|(app, id)| C::DeleteUser(DeleteUser { app, id })),
        8 => (app(), user(), text(), 0_u64..3, text(), 0_u8..40).prop_map(
            |(app, user, app_id, ttl_seconds, request_id, secret)| {
                C::CreateToken(CreateToken { app, user, app_id, ttl_seconds, request_id, hash: hash(secret) })
            }
        ),
        4 => (app(), user(), id()).prop_map(|(app, user, id)| C::RevokeToken(RevokeToken { app, user, id })),
        3 => (prop_oneof![app(), Just(String::new())], text(), 0_u8..40, any::<bool>()).prop_map(
            |(app, request_id, secret, replace)| {
                let display_name = String::new();
                C::CreateApiKey(CreateApiKey { app, display_name, request_id, hash: hash(secret), replace })
            }
        ),
        2 => id().prop_map(|id| C::RevokeApiKey(RevokeApiKey { id })),
        2 => (1_u64..4, 0_u64..3).prop_map(|(id, incarnation)| {
            let (role, address) = (NodeRole::Broker as i32, "host:1".to_owned());
            C::RegisterNode(RegisterNode { node: Some(Node { id, role, address, incarnation, ..Node::default() }) })
        }),
        1 => (1_u64..4, 0_i32..4).prop_map(|(id, phase)| {
            C::SetNodePhase(SetNodePhase { role: NodeRole::Broker.into(), id, phase })
        }),
        1 => (1_u64..4).prop_map(|id| C::RemoveNode(RemoveNode { role: NodeRole::Broker.into(), id })),
        1 => (0_u64..6, 0_u32..3, vec(1_u64..4, 0..3)).prop_map(|(epoch, shard, replicas)| {
            let shards = vec![ShardPlacement { shard, replicas, ..ShardPlacement::default() }];
            C::PlaceShards(PlaceShards { epoch, shards })
        }),
        1 => Just(C::Sweep(Sweep {})),
        1 => Just(C::RaiseLevel(RaiseLevel { level: machine::LEVEL })),
        2 => (app(), prop_oneof![user(), Just(String::new())]).prop_map(|(app, user)| {
            C::EndErasures(EndErasures { users: vec![UserPointer { app, user }] })
        }),
    ]
}

/// Every pointer leads to a record that is found under the key it was made from, and the other way round.
fn indexes_agree(state: &dyn StateStore) {
    let all = |kind: u8| (keys::single(kind), keys::end_of(&[kind]));
    let (from, to) = all(keys::TOKEN);
    let found = state.records::<TokenRecord>(&from, &to, usize::MAX).unwrap();
    for (key, token) in &found {
        assert_eq!(Some(key.to_vec()), keys::numbered(keys::TOKEN, &[&token.app, &token.user], &token.id));
        let pointer: TokenPointer = state.record(&keys::hash(keys::TOKEN_BY_HASH, &token.hash)).unwrap().unwrap();
        assert_eq!((&pointer.app, &pointer.user, &pointer.id), (&token.app, &token.user, &token.id));
    }
    let (from, to) = all(keys::TOKEN_BY_HASH);
    assert_eq!(state.scan(&from, &to, usize::MAX).len(), found.len());
    let dead_some_day = |token: &&(bytes::Bytes, TokenRecord)| token.1.revoked_at_ms != 0 || token.1.expires_at_ms != 0;
    let (from, to) = all(keys::TOKEN_SWEEP);
    assert_eq!(state.scan(&from, &to, usize::MAX).len(), found.iter().filter(dead_some_day).count());
    let (from, to) = all(keys::TOKEN_BY_REQUEST);
    let named = found.iter().filter(|(_, token)| !token.request_id.is_empty()).count();
    assert_eq!(state.scan(&from, &to, usize::MAX).len(), named);

    let (from, to) = all(keys::API_KEY);
    let found = state.records::<ApiKeyRecord>(&from, &to, usize::MAX).unwrap();
    for (_, key) in &found {
        let place = keys::hash(keys::API_KEY_BY_HASH, &key.hash);
        assert_eq!(state.record::<ApiKeyPointer>(&place).unwrap().unwrap().id, key.id);
        assert_eq!(&api_keys::get(state, &key.id).unwrap(), key);
    }
    for (kind, expected) in [
        (keys::API_KEY_BY_HASH, found.len()),
        (keys::API_KEY_BY_ID, found.len()),
        (keys::API_KEY_SWEEP, found.iter().filter(|(_, key)| key.revoked_at_ms != 0).count()),
        (keys::API_KEY_BY_REQUEST, found.iter().filter(|(_, key)| !key.request_id.is_empty()).count()),
    ] {
        let (from, to) = all(kind);
        assert_eq!(state.scan(&from, &to, usize::MAX).len(), expected, "kind {kind:#x}");
    }
    let (from, to) = all(keys::USER);
    let users = state.records::<UserRecord>(&from, &to, usize::MAX).unwrap();
    let assigned = users.iter().filter(|(_, user)| !user.policy.is_empty());
    for (_, user) in assigned.clone() {
        assert!(state.get(&keys::texts(keys::POLICY_USER, &[&user.app, &user.policy, &user.id])).is_some());
    }
    let (from, to) = all(keys::POLICY_USER);
    assert_eq!(state.scan(&from, &to, usize::MAX).len(), assigned.count());

    for (_, UserPointer { app, user }) in erasures::page(state, &[], usize::MAX).unwrap() {
        assert_eq!(users::find(state, &app, &user).unwrap(), None, "a user is there, and is being erased");
    }

    let (from, to) = all(keys::CHANGE);
    let log = changes::state(state).unwrap();
    assert_eq!(state.scan(&from, &to, usize::MAX).len() as u64, log.length);
}

proptest! {
    #[test]
    fn two_applies_give_equal_state_and_indexes_agree(
        history in vec((commands(), prop_oneof![9 => 0_i64..2_000, 1 => Just(tokens::TOMBSTONE_MS)]), 1..80),
    ) {
        let (mut first, mut second) = (Log::default(), Log::default());
        let mut dead: Vec<(u8, String)> = Vec::new();
        for (command, pause_ms) in history {
            let given = match &command {
                C::CreateToken(command) => Some(command.hash[0]),
                _ => None,
            };
            for log in [&mut first, &mut second] {
                log.now_ms += pause_ms;
            }
            let before = first.store.dump();
            let outcome = first.apply(command.clone());
            prop_assert_eq!(&outcome, &second.apply(command));
            if outcome.is_err() {
                prop_assert_eq!(before, first.store.dump(), "a refusal changes nothing");
            }
            if let Ok(Outcome::Token(token)) = &outcome {
                if token.revoked_at_ms != 0 {
                    dead.push((token.hash[0], token.id.clone()));
                }
                // A secret that was swept may be given again; the token is another then.
                prop_assert!(given.is_none() || !dead.iter().any(|(_, id)| *id == token.id));
            }
            for (secret, id) in &dead {
                let resolved = first.resolve(*secret, "");
                prop_assert!(resolved.map_or(true, |token| token.id != *id), "a revoked token resolves");
            }
        }
        prop_assert_eq!(first.store.dump(), second.store.dump());
        indexes_agree(first.state());
    }

    #[test]
    fn arbitrary_bytes_are_refused_and_change_nothing(command in vec(any::<u8>(), 0..60)) {
        let mut store = MemoryStore::default();
        let context = ApplyContext { now_ms: 1, index: 1, ordinal: 0, term: 1 };
        let (outcome, _) = machine::apply(&context, &command, &mut store);
        if outcome.is_err() {
            prop_assert_eq!(store.dump(), Vec::new());
        }
    }

    #[test]
    fn a_mask_leaves_the_other_fields_alone(name: Option<String>, attribute: Option<String>, active: Option<bool>) {
        let mut log = Log::with_user();
        let entries = |value: &str| BTreeMap::from([("k".to_owned(), value.to_owned())]);
        let all = UpdateUser {
            app: "default".to_owned(),
            id: "alice".to_owned(),
            display_name: Some("before".to_owned()),
            attributes: Some(Attributes { entries: entries("before") }),
            active: Some(true),
            policy: None,
        };
        log.apply(C::UpdateUser(all.clone())).unwrap();
        let attributes = attribute.as_ref().map(|value| Attributes { entries: entries(value) });
        log.apply(C::UpdateUser(UpdateUser { display_name: name.clone(), attributes, active, ..all })).unwrap();
        let user = users::get(log.state(), "default", "alice").unwrap();
        prop_assert_eq!(user.display_name, name.unwrap_or_else(|| "before".to_owned()));
        prop_assert_eq!(user.attributes, entries(attribute.as_deref().unwrap_or("before")));
        prop_assert_eq!(user.active, active.unwrap_or(true));
    }
}

#[test]
fn each_refusal_has_its_reason() {
    let mut log = Log::with_user();
    assert_eq!(log.resolve(1, ""), Err(ErrorCode::TokenUnknown));
    let plain = token_of(log.apply(create_token(1, 0, "", "")));
    token_of(log.apply(create_token(2, 60, "", "")));
    token_of(log.apply(create_token(3, 0, "web", "")));
    assert_eq!(log.resolve(1, "anything").unwrap().id, plain.id);
    assert_eq!(log.resolve(3, ""), Err(ErrorCode::TokenWrongAppId));
    assert!(log.resolve(3, "web").is_ok());

    log.now_ms += 59_999;
    assert!(log.resolve(2, "").is_ok());
    log.now_ms += 1;
    assert_eq!(log.resolve(2, ""), Err(ErrorCode::TokenExpired));

    let activate = |active| {
        let (app, id) = ("default".to_owned(), "alice".to_owned());
        C::UpdateUser(UpdateUser { app, id, active: Some(active), ..UpdateUser::default() })
    };
    log.apply(activate(false)).unwrap();
    assert_eq!(log.resolve(1, ""), Err(ErrorCode::UserInactive));
    log.apply(activate(true)).unwrap();
    let activate_app =
        |active| C::UpdateApp(UpdateApp { id: "default".to_owned(), active: Some(active), ..UpdateApp::default() });
    let told = changes::state(log.state()).unwrap().length;
    for _ in 0..2 {
        log.apply(activate_app(false)).unwrap();
    }
    assert_eq!(changes::state(log.state()).unwrap().length, told + 1, "told once");
    assert_eq!(log.resolve(1, ""), Err(ErrorCode::UserInactive));
    log.apply(activate_app(true)).unwrap();
    assert!(log.resolve(1, "").is_ok());
    log.apply(revoke(&plain.id)).unwrap();
    assert_eq!(log.resolve(1, ""), Err(ErrorCode::TokenRevoked));

    let delete = C::DeleteUser(DeleteUser { app: "default".to_owned(), id: "alice".to_owned() });
    log.apply(delete).unwrap();
    assert_eq!(log.resolve(3, "web"), Err(ErrorCode::TokenRevoked));
    log.apply(create_user("alice", "")).unwrap();
    assert_eq!(log.resolve(3, "web"), Err(ErrorCode::TokenRevoked), "a new user of the same id inherits nothing");

    log.now_ms += tokens::TOMBSTONE_MS;
    assert_eq!(log.apply(C::Sweep(Sweep {})).unwrap(), Outcome::Swept(Swept { more: false }));
    assert_eq!(log.resolve(1, ""), Err(ErrorCode::TokenUnknown));
}

#[test]
fn a_repeated_request_renews_the_secret_of_one_token() {
    let mut log = Log::with_user();
    let first = token_of(log.apply(create_token(1, 0, "", "req")));
    let before = changes::state(log.state()).unwrap().revision;
    let second = token_of(log.apply(create_token(2, 0, "", "req")));
    assert_eq!(first.id, second.id);
    assert_eq!(log.resolve(1, ""), Err(ErrorCode::TokenUnknown));
    assert!(log.resolve(2, "").is_ok());
    assert!(changes::state(log.state()).unwrap().revision > before, "who cached the former secret hears of it");
    assert_eq!(log.apply(create_token(3, 9, "", "req")).unwrap_err().code, ErrorCode::AlreadyExists);
    log.apply(revoke(&first.id)).unwrap();
    assert_eq!(log.apply(create_token(4, 0, "", "req")).unwrap_err().code, ErrorCode::FailedPrecondition);
}

#[test]
fn tokens_of_a_user_are_bounded() {
    let mut log = Log::with_user();
    let mut last = String::new();
    for secret in 0..u8::try_from(tokens::MAX_LIVE_TOKENS).unwrap() {
        last = token_of(log.apply(create_token(secret, 0, "", ""))).id;
    }
    assert_eq!(log.apply(create_token(200, 0, "", "")).unwrap_err().code, ErrorCode::FailedPrecondition);
    for secret in 64..=255_u8 {
        log.apply(revoke(&last)).unwrap();
        last = token_of(log.apply(create_token(secret, 0, "", ""))).id;
    }
    let count = |log: &Log| {
        let from = keys::single(keys::TOKEN);
        log.store.scan(&from, &keys::end_of(&from), usize::MAX).len()
    };
    assert_eq!(count(&log), tokens::MAX_TOKENS);
    assert_eq!(log.resolve(63, ""), Err(ErrorCode::TokenRevoked));
    log.apply(revoke(&last)).unwrap();
    // One more than a byte counts: the oldest dead token makes room.
    let hash = vec![7; 16].into_iter().chain(vec![8; 16]).collect();
    let one_more = CreateToken { app: "default".to_owned(), user: "alice".to_owned(), hash, ..CreateToken::default() };
    token_of(log.apply(C::CreateToken(one_more)));
    assert_eq!(count(&log), tokens::MAX_TOKENS);
    assert_eq!(log.resolve(63, ""), Err(ErrorCode::TokenUnknown));
}

#[test]
fn a_deleted_app_is_swept_in_steps_and_can_be_made_anew_after() {
    let mut log = Log::with_user();
    log.apply(C::CreateApp(CreateApp { id: "shop".to_owned(), display_name: String::new() })).unwrap();
    for number in 0..1200 {
        let (app, id) = ("shop".to_owned(), format!("user{number}"));
        log.apply(C::CreateUser(CreateUser { app, id, ..CreateUser::default() })).unwrap();
    }
    let key = CreateApiKey { app: "shop".to_owned(), hash: hash(1), ..CreateApiKey::default() };
    log.apply(C::CreateApiKey(key)).unwrap();
    assert!(api_keys::authenticate(log.state(), &hash(1)).is_ok());
    log.apply(C::DeleteApp(DeleteApp { id: "shop".to_owned() })).unwrap();
    assert_eq!(api_keys::authenticate(log.state(), &hash(1)).unwrap_err().code, ErrorCode::ApiKeyUnknown);
    assert_eq!(users::find(log.state(), "shop", "user1199").unwrap(), None);
    let again = || C::CreateApp(CreateApp { id: "shop".to_owned(), display_name: String::new() });
    assert_eq!(log.apply(again()).unwrap_err().code, ErrorCode::FailedPrecondition);
    let mut steps = 0;
    while sweep::has_work(log.state(), log.now_ms).unwrap() {
        log.apply(C::Sweep(Sweep {})).unwrap();
        steps += 1;
    }
    assert!((2..5).contains(&steps), "{steps}");
    log.apply(again()).unwrap();
    assert_eq!(users::find(log.state(), "shop", "user1199").unwrap(), None);
    indexes_agree(log.state());
}

#[test]
fn the_change_log_is_bounded_and_says_from_where_on_it_is_complete() {
    let mut log = Log::with_user();
    let toggle = |active| {
        let (app, id) = ("default".to_owned(), "alice".to_owned());
        C::UpdateUser(UpdateUser { app, id, active: Some(active), ..UpdateUser::default() })
    };
    let start = changes::state(log.state()).unwrap().revision;
    for round in 0..changes::MAX_CHANGES + 5 {
        log.apply(toggle(round % 2 == 1)).unwrap();
    }
    let state = changes::state(log.state()).unwrap();
    assert_eq!(state.length, changes::MAX_CHANGES);
    assert!(matches!(changes::after(log.state(), start, 10).unwrap(), changes::Page::Reset { .. }));
    assert!(matches!(changes::after(log.state(), state.revision + 1, 10).unwrap(), changes::Page::Reset { .. }));
    let (mut place, mut seen) = (state.trimmed_to, 0);
    while let changes::Page::Changes { revision, changes } = changes::after(log.state(), place, 300).unwrap() {
        assert!(changes.iter().all(|change| change.revision > place && change.revision <= revision));
        seen += changes.len() as u64;
        place = revision;
        if changes.is_empty() {
            break;
        }
    }
    assert_eq!((seen, place), (changes::MAX_CHANGES, state.revision));
}

#[test]
fn the_last_operator_key_stays_and_a_replaced_one_goes() {
    let mut log = Log::with_user();
    let create = |secret, replace| {
        let request_id = "file".to_owned();
        C::CreateApiKey(CreateApiKey { request_id, hash: hash(secret), replace, ..CreateApiKey::default() })
    };
    log.apply(create(1, true)).unwrap();
    let Ok(Outcome::ApiKey(second)) = log.apply(create(2, true)) else { panic!() };
    assert!(api_keys::authenticate(log.state(), &hash(1)).unwrap_err().message.contains("revoked"));
    assert!(api_keys::authenticate(log.state(), &hash(2)).is_ok());
    let revoke = C::RevokeApiKey(RevokeApiKey { id: second.id });
    assert_eq!(log.apply(revoke).unwrap_err().code, ErrorCode::FailedPrecondition);
    indexes_agree(log.state());
}
