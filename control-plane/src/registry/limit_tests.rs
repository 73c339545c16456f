//! Limits of the registry at their edge and one above (promise 6; docs/reference/limits.md).

use tidings_proto::ErrorCode;
use tidings_proto::group::v1::operation::Operation as Op;
use tidings_proto::group::v1::{Add, Create, Member, Operation};
use tidings_proto::registry::v1::command::Command as C;
use tidings_proto::registry::v1::{ActOnGroup, CreateApiKey, RevokeApiKey};

use super::api_keys;
use super::groups::members::MAX_MEMBERS;
use super::machine::Outcome;
use super::property_tests::{Log, create_user};

#[test]
fn live_keys_of_an_app_are_bounded_and_a_revoked_one_makes_room() {
    let create = |number: usize| {
        let hash = number.to_be_bytes().repeat(4);
        C::CreateApiKey(CreateApiKey { app: "default".to_owned(), hash, ..CreateApiKey::default() })
    };
    let mut log = Log::with_user();
    let mut last = String::new();
    for number in 0..api_keys::MAX_LIVE_KEYS {
        let Ok(Outcome::ApiKey(key)) = log.apply(create(number)) else { panic!("key {number} was refused") };
        last = key.id;
    }
    let one_more = create(api_keys::MAX_LIVE_KEYS);
    assert_eq!(log.apply(one_more.clone()).unwrap_err().code, ErrorCode::FailedPrecondition);
    log.apply(C::RevokeApiKey(RevokeApiKey { id: last })).unwrap();
    assert!(log.apply(one_more).is_ok());
}

#[test]
fn a_group_has_a_hundred_thousand_members_and_not_one_more() {
    let mut log = Log::with_user();
    let name = |number: u32| format!("user{number:06}");
    let on_group = |operation| {
        let (app, group, actor) = ("default".to_owned(), "g".to_owned(), String::new());
        C::ActOnGroup(ActOnGroup { app, group, actor, operation: Some(Operation { operation: Some(operation) }) })
    };
    let add = |numbers: std::ops::Range<u32>| {
        let members = numbers.map(|number| Member { user: name(number), ..Member::default() }).collect();
        on_group(Op::Add(Add { members }))
    };
    for number in 0..=MAX_MEMBERS {
        log.apply(create_user(&name(number), "")).unwrap();
    }
    log.apply(on_group(Op::Create(Create::default()))).unwrap();
    for thousand in 0..MAX_MEMBERS / 1_000 {
        log.apply(add(thousand * 1_000..(thousand + 1) * 1_000)).unwrap();
    }
    let refused = log.apply(add(MAX_MEMBERS..MAX_MEMBERS + 1)).unwrap_err();
    assert_eq!(refused.code, ErrorCode::FailedPrecondition, "{refused}");
}
