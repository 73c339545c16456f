//! Policies: fields that an update does not name stay, users keep their policy from being deleted, limits hold.

use proptest::prelude::*;
use proptest::sample::subsequence;
use tidings_proto::ErrorCode;
use tidings_proto::policy::v1::{Audience, Policy, RateLimit};
use tidings_proto::registry::v1::command::Command as C;
use tidings_proto::registry::v1::{
    CreateApp, CreatePolicy, CreateUser, DeleteApp, DeletePolicy, Sweep, UpdateApp, UpdatePolicy, UpdateUser,
};

use super::machine::{Outcome, level_of};
use super::property_tests::Log;
use super::refusal::Refusal;
use super::{changes, keys, policies, users};

fn named(id: &str) -> Policy {
    Policy { app: "default".to_owned(), id: id.to_owned(), ..Policy::default() }
}

fn create(policy: Policy) -> C {
    C::CreatePolicy(CreatePolicy { policy: Some(policy) })
}

fn update(policy: Policy, fields: &[&str]) -> C {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    C::UpdatePolicy(UpdatePolicy { policy: Some(policy), fields })
}

fn delete(id: &str) -> C {
    C::DeletePolicy(DeletePolicy { app: "default".to_owned(), id: id.to_owned() })
}

fn assign(policy: &str) -> C {
    let (app, id) = ("default".to_owned(), "alice".to_owned());
    C::UpdateUser(UpdateUser { app, id, policy: Some(policy.to_owned()), ..UpdateUser::default() })
}

fn policy_of(outcome: Result<Outcome, Refusal>) -> Policy {
    match outcome {
        Ok(Outcome::Policy(policy)) => policy,
        other => panic!("no policy: {other:?}"),
    }
}

fn code(outcome: Result<Outcome, Refusal>) -> ErrorCode {
    outcome.unwrap_err().code
}

#[test]
fn every_app_has_the_policy_default_and_deleting_it_takes_it_back() {
    let mut log = Log::with_user();
    assert_eq!(policies::get(log.state(), "default", "default").unwrap(), named("default"));
    assert_eq!(policies::get(log.state(), "nowhere", "default").unwrap_err().code, ErrorCode::NotFound);
    let wanted = Policy { calls: Some(false), ..named("default") };
    let changed = policy_of(log.apply(update(wanted, &["calls"])));
    assert_eq!((changed.calls, changed.revision), (Some(false), 3));
    assert_eq!(policies::get(log.state(), "default", "default").unwrap(), changed);
    log.apply(delete("default")).unwrap();
    assert_eq!(policies::get(log.state(), "default", "default").unwrap(), named("default"));
    assert_eq!(policies::get_or_default(log.state(), "default", "gone").unwrap(), named("default"));
}

#[test]
fn creating_twice_is_creating_once_and_nothing_new_is_no_change() {
    let mut log = Log::with_user();
    let strict = Policy { max_devices: Some(1), ..named("strict") };
    let made = policy_of(log.apply(create(strict.clone())));
    let revision = changes::state(log.state()).unwrap().revision;
    assert_eq!(policy_of(log.apply(create(strict.clone()))), made);
    assert_eq!(policy_of(log.apply(update(strict, &["max_devices"]))), made);
    assert_eq!(changes::state(log.state()).unwrap().revision, revision, "watchers hear nothing");
    assert_eq!(code(log.apply(create(named("strict")))), ErrorCode::AlreadyExists);
    assert_eq!(code(log.apply(update(named("other"), &["calls"]))), ErrorCode::NotFound);
    assert_eq!(code(log.apply(update(named("strict"), &["id"]))), ErrorCode::InvalidArgument);
}

#[test]
fn a_policy_that_users_go_by_stays() {
    let mut log = Log::with_user();
    assert_eq!(code(log.apply(assign("strict"))), ErrorCode::NotFound);
    log.apply(create(named("strict"))).unwrap();
    log.apply(assign("strict")).unwrap();
    assert_eq!(users::get(log.state(), "default", "alice").unwrap().policy, "strict");
    assert_eq!(code(log.apply(delete("strict"))), ErrorCode::FailedPrecondition);
    log.apply(assign("default")).unwrap();
    assert_eq!(users::get(log.state(), "default", "alice").unwrap().policy, "");
    log.apply(delete("strict")).unwrap();

    log.apply(create(named("strict"))).unwrap();
    log.apply(assign("strict")).unwrap();
    let gone = tidings_proto::registry::v1::DeleteUser { app: "default".to_owned(), id: "alice".to_owned() };
    log.apply(C::DeleteUser(gone)).unwrap();
    log.apply(delete("strict")).unwrap();
    assert_eq!(code(log.apply(delete("strict"))), ErrorCode::NotFound);
}

#[test]
fn a_user_is_made_with_a_policy_that_there_is() {
    let mut log = Log::with_user();
    let gus = |policy: &str| {
        let (app, id, policy) = ("default".to_owned(), "gus".to_owned(), policy.to_owned());
        C::CreateUser(CreateUser { app, id, policy, ..CreateUser::default() })
    };
    assert_eq!(["", "strict"].map(|policy| level_of(&gus(policy))), [0, 4]);
    assert_eq!(code(log.apply(gus("strict"))), ErrorCode::NotFound);
    log.apply(create(named("strict"))).unwrap();
    for again in ["strict", "strict", ""] {
        let Ok(Outcome::User(made)) = log.apply(gus(again)) else { panic!("no user") };
        assert_eq!(made.policy, "strict");
    }
    assert_eq!(code(log.apply(gus("default"))), ErrorCode::AlreadyExists);
    assert_eq!(code(log.apply(delete("strict"))), ErrorCode::FailedPrecondition);
}

#[test]
fn an_app_has_a_hundred_policies_and_they_go_with_it() {
    let mut log = Log::with_user();
    let app = |id: &str| CreateApp { id: id.to_owned(), display_name: String::new() };
    log.apply(C::CreateApp(app("shop"))).unwrap();
    let of_shop = |number: usize| create(Policy { app: "shop".to_owned(), ..named(&format!("p{number}")) });
    for number in 0..policies::MAX_POLICIES {
        log.apply(of_shop(number)).unwrap();
    }
    assert_eq!(code(log.apply(of_shop(policies::MAX_POLICIES))), ErrorCode::FailedPrecondition);
    log.apply(of_shop(0)).unwrap();
    log.apply(create(named("elsewhere"))).unwrap();
    log.apply(C::DeleteApp(DeleteApp { id: "shop".to_owned() })).unwrap();
    log.apply(C::Sweep(Sweep {})).unwrap();
    let all = keys::single(keys::POLICY);
    assert_eq!(log.state().scan(&all, &keys::end_of(&all), 10).len(), 1, "the other app's");
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let flags = (any::<Option<bool>>(), any::<Option<bool>>(), any::<Option<bool>>());
    let numbers = (any::<Option<u32>>(), any::<Option<u64>>(), any::<Option<u32>>());
    let rates = proptest::collection::vec((1_u32..9, 1_u32..9), 0..3);
    let audience = prop_oneof![Just(Audience::All), Just(Audience::Nobody), Just(Audience::Unspecified)];
    (flags, numbers, rates, audience).prop_map(|(flags, numbers, rates, audience)| Policy {
        messages: flags.0,
        groups: flags.1,
        read_receipts: flags.2,
        max_devices: numbers.0,
        history_seconds: numbers.1,
        edit_window_seconds: numbers.2,
        message_rates: rates.into_iter().map(|(count, seconds)| RateLimit { count, seconds }).collect(),
        audience: audience.into(),
        ..named("p")
    })
}

#[test]
fn what_members_of_an_earlier_release_would_pass_over_waits_for_them() {
    let level_to_create = |policy: Policy| level_of(&create(policy));
    let level_to_update = |policy: Policy, field: &str| level_of(&update(policy, &[field]));
    let by = |audience: Audience| Policy { audience: audience.into(), ..named("p") };
    assert_eq!([by(Audience::All), by(Audience::Nobody)].map(level_to_create), [1, 1]);
    let edits = Policy { edit_contacts: Some(true), ..named("p") };
    let seen = Policy { presence_audience: Audience::Paired.into(), ..named("p") };
    let files = Policy { max_file_bytes: Some(1), ..named("p") };
    let levels = [by(Audience::Contacts), edits, seen.clone(), files].map(level_to_create);
    assert_eq!(levels, [3, 3, 3, 2]);
    assert_eq!(level_to_update(by(Audience::Contacts), "audience"), 3);
    assert_eq!(level_to_update(by(Audience::Contacts), "messages"), 1, "it is not what is set");
    assert_eq!(level_to_update(seen, "presence_audience"), 3);
    assert_eq!(["file_types", "edit_contacts"].map(|field| level_to_update(named("p"), field)), [2, 3]);
    let app = |active| C::UpdateApp(UpdateApp { active, ..UpdateApp::default() });
    assert_eq!([None, Some(true)].map(|active| level_of(&app(active))), [0, 4]);
}

proptest! {
    #[test]
    fn an_update_takes_over_the_named_fields_and_no_others(
        before in any_policy(),
        wanted in any_policy(),
        fields in subsequence(policies::FIELDS, 0..=policies::FIELDS.len()),
    ) {
        let mut log = Log::with_user();
        log.apply(create(before.clone())).unwrap();
        let after = policy_of(log.apply(update(wanted.clone(), &fields)));
        let pick = |field: &str| if fields.contains(&field) { &wanted } else { &before };
        let expected = Policy {
            messages: pick("messages").messages,
            groups: pick("groups").groups,
            read_receipts: pick("read_receipts").read_receipts,
            max_devices: pick("max_devices").max_devices,
            history_seconds: pick("history_seconds").history_seconds,
            edit_window_seconds: pick("edit_window_seconds").edit_window_seconds,
            message_rates: pick("message_rates").message_rates.clone(),
            audience: pick("audience").audience,
            revision: after.revision,
            ..named("p")
        };
        prop_assert_eq!(after, expected);
    }
}
