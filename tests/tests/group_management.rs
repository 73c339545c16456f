//! A user runs a group with the Rust client: roles, permissions, settings, pause and its end, as far as its role lets
//! it.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use tidings_sdk::group::{Kind, MemberPermissions, Permission, Role, SettingsChange};
use tidings_sdk::{Client, ErrorCode, RequestError, SendError};
use tidings_tests::{DEADLINE, Node, within};

fn code<T: std::fmt::Debug>(answer: Result<T, RequestError>) -> ErrorCode {
    match answer {
        Err(RequestError::Refused { code, .. }) => code,
        other => panic!("it was not refused: {other:?}"),
    }
}

async fn say(client: &Client, text: &str) -> Result<(), ErrorCode> {
    match client.send_to_group("club", text).await.unwrap().sent().await {
        Ok(_) => Ok(()),
        Err(SendError::Refused { code, .. }) => Err(code),
        Err(other) => panic!("{other}"),
    }
}

/// Says something until it is answered so: the group's home hears of a change a moment later.
async fn until(client: &Client, answer: Result<(), ErrorCode>) {
    let saying = async {
        while say(client, "hello").await != answer {
            tokio::task::yield_now().await;
        }
    };
    within(DEADLINE, &format!("it is answered with {answer:?}"), saying).await;
}

fn rename(name: &str) -> SettingsChange {
    SettingsChange { display_name: Some(name.to_owned()), ..SettingsChange::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_manage_does_and_who_may_not_is_refused() {
    let node = Node::start().await;
    let control = node.control().await;
    let mut clients = Vec::new();
    for user in ["alice", "bob", "carol"] {
        clients.push(node.online(&control.user(user).await, "phone").await);
    }
    let [(alice, _a), (bob, _b), (carol, _c)] = &clients[..] else { panic!() };
    alice.create_group("club", "The club", ["bob".to_owned(), "carol".to_owned()]).await.unwrap();

    // A plain member has none of it.
    assert_eq!(code(bob.update_group("club", rename("Bob's")).await), ErrorCode::PermissionDenied);
    assert_eq!(code(bob.pause_group("club", true).await), ErrorCode::PermissionDenied);
    assert_eq!(code(bob.set_group_role("club", "carol", Role::Admin).await), ErrorCode::PermissionDenied);
    let permitting = bob.set_group_permissions("club", "carol", &[], &[Permission::Send]).await;
    assert_eq!(code(permitting), ErrorCode::PermissionDenied);

    // With MANAGE it has: over those of a lower role, and of permissions no more than its own.
    let managing = alice.set_group_permissions("club", "bob", &[Permission::Manage], &[]).await.unwrap();
    assert_eq!(managing.members[0].user, "bob");
    let renamed = bob.update_group("club", rename("Bob's")).await.unwrap();
    assert_eq!(renamed.group.unwrap().display_name, "Bob's");
    assert_eq!(code(bob.set_group_role("club", "carol", Role::Admin).await), ErrorCode::PermissionDenied);
    assert_eq!(code(bob.set_group_role("club", "alice", Role::Member).await), ErrorCode::PermissionDenied);
    bob.pause_group("club", true).await.unwrap();
    until(alice, Err(ErrorCode::GroupPaused)).await;
    bob.pause_group("club", false).await.unwrap();
    until(alice, Ok(())).await;

    // An admin may it by its role, and takes what one member may from it.
    alice.set_group_role("club", "bob", Role::Admin).await.unwrap();
    bob.set_group_permissions("club", "carol", &[], &[Permission::Send]).await.unwrap();
    until(carol, Err(ErrorCode::PermissionDenied)).await;
    let announced = SettingsChange { kind: Some(Kind::Announcement.into()), ..SettingsChange::default() };
    bob.update_group("club", announced).await.unwrap();
    bob.set_group_permissions("club", "carol", &[Permission::Send], &[]).await.unwrap();
    until(carol, Ok(())).await;
    let nothing = MemberPermissions { bits: Some(0) };
    let silenced = SettingsChange { member_permissions: Some(nothing), ..SettingsChange::default() };
    bob.update_group("club", silenced).await.unwrap();
    assert_eq!(code(carol.group_members("club", 0, "").await), ErrorCode::PermissionDenied, "LIST was the kind's");

    // Its end is the owner's alone.
    assert_eq!(code(bob.delete_group("club").await), ErrorCode::PermissionDenied);
    alice.delete_group("club").await.unwrap();
    assert_eq!(code(alice.group("club").await), ErrorCode::NotFound);
    assert!(bob.groups(0, "").await.unwrap().groups.is_empty());
}
