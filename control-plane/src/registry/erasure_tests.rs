//! Users who are deleted stay noted until they are erased, and their ids with them.

use tidings_proto::ErrorCode;
use tidings_proto::registry::v1::command::Command as C;
use tidings_proto::registry::v1::{
    CreateApp, CreateUser, DeleteApp, DeleteUser, EndErasures, RaiseLevel, Sweep, UserPointer,
};

use super::property_tests::{Log, create_user};
use super::{erasures, machine, sweep};

fn pointer(app: &str, user: &str) -> UserPointer {
    UserPointer { app: app.to_owned(), user: user.to_owned() }
}

fn delete(user: &str) -> C {
    C::DeleteUser(DeleteUser { app: "default".to_owned(), id: user.to_owned() })
}

fn end(users: Vec<UserPointer>) -> C {
    C::EndErasures(EndErasures { users })
}

fn waiting(log: &Log) -> Vec<UserPointer> {
    let (mut all, mut after) = (Vec::new(), Vec::new());
    loop {
        let page = erasures::page(log.state(), &after, 2).unwrap();
        let Some((last, _)) = page.last() else { return all };
        after = last.to_vec();
        all.extend(page.into_iter().map(|(_, user)| user));
    }
}

fn raised() -> Log {
    let mut log = Log::with_user();
    log.apply(C::RaiseLevel(RaiseLevel { level: machine::LEVEL })).unwrap();
    log
}

#[test]
fn a_deleted_user_is_made_again_once_erased() {
    let mut log = raised();
    log.apply(create_user("bob", "")).unwrap();
    log.apply(delete("alice")).unwrap();
    log.apply(delete("bob")).unwrap();
    assert_eq!(waiting(&log), [pointer("default", "alice"), pointer("default", "bob")]);
    let refused = log.apply(create_user("alice", "")).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unavailable, "it may be tried again: {refused}");
    log.apply(end(vec![pointer("default", "alice")])).unwrap();
    log.apply(create_user("alice", "")).unwrap();
    assert_eq!(waiting(&log), [pointer("default", "bob")]);
    let too_many = vec![pointer("default", "bob"); erasures::MAX_ENDED + 1];
    assert_eq!(log.apply(end(too_many)).unwrap_err().code, ErrorCode::InvalidArgument);
}

#[test]
fn a_log_of_an_earlier_level_leads_to_what_it_led_to() {
    let mut log = Log::with_user();
    log.apply(delete("alice")).unwrap();
    assert!(waiting(&log).is_empty());
    log.apply(create_user("alice", "")).unwrap();
}

#[test]
fn an_app_is_made_again_once_it_is_swept_and_its_users_and_its_system_are_erased() {
    let mut log = raised();
    let create = || C::CreateApp(CreateApp { id: "shop".to_owned(), ..CreateApp::default() });
    log.apply(create()).unwrap();
    for number in 0..600 {
        let (app, id) = ("shop".to_owned(), format!("user{number}"));
        log.apply(C::CreateUser(CreateUser { app, id, ..CreateUser::default() })).unwrap();
    }
    log.apply(C::DeleteApp(DeleteApp { id: "shop".to_owned() })).unwrap();
    assert!(waiting(&log)[0] == pointer("shop", "") && erasures::is_system(&waiting(&log)[0]));
    let erase_all = |log: &mut Log| {
        for users in waiting(log).chunks(erasures::MAX_ENDED) {
            log.apply(end(users.to_vec())).unwrap();
        }
    };
    erase_all(&mut log);
    assert_eq!(log.apply(create()).unwrap_err().code, ErrorCode::FailedPrecondition, "it is not swept");
    while sweep::has_work(log.state(), log.now_ms).unwrap() {
        log.apply(C::Sweep(Sweep {})).unwrap();
    }
    assert!(!waiting(&log).is_empty());
    assert_eq!(log.apply(create()).unwrap_err().code, ErrorCode::FailedPrecondition, "its users are not erased");
    erase_all(&mut log);
    log.apply(create()).unwrap();
}
