//! Limits of the registry at their edge and one above (promise 6; docs/reference/limits.md).

use tidings_proto::ErrorCode;
use tidings_proto::registry::v1::command::Command as C;
use tidings_proto::registry::v1::outcome::Outcome;
use tidings_proto::registry::v1::{CreateApiKey, RevokeApiKey};

use super::api_keys;
use super::property_tests::Log;

fn create(number: usize) -> C {
    let hash = number.to_be_bytes().repeat(4);
    C::CreateApiKey(CreateApiKey { app: "default".to_owned(), hash, ..CreateApiKey::default() })
}

#[test]
fn live_keys_of_an_app_are_bounded_and_a_revoked_one_makes_room() {
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
