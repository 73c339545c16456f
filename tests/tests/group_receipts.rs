//! Who of a group has a message and who read it, as far as the policies of the members let it out.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use tidings_proto::policy::v1::Policy;
use tidings_sdk::{Client, ErrorCode, Event, Events, GroupReceipt, GroupReceipts, HistoryQuery, RequestError};
use tidings_tests::crowd::Crowd;
use tidings_tests::{DEADLINE, Node, next_message, told, within};

/// Waits until the receipts of a message are so.
async fn until(client: &Client, place: u64, what: &str, is_so: impl Fn(&GroupReceipts) -> bool) -> GroupReceipts {
    within(DEADLINE, what, async {
        loop {
            let receipts = client.group_receipts("team", place).await.unwrap();
            if is_so(&receipts) {
                return receipts;
            }
        }
    })
    .await
}

#[tokio::test]
async fn the_sender_sees_who_has_it_and_who_read_it_and_policies_keep_it_back() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let mut tokens = Vec::new();
    for user in ["alice", "bob", "carol", "shy"] {
        tokens.push(control.user(user).await);
    }
    let silent = Policy {
        id: "silent".to_owned(),
        delivered_receipts: Some(false),
        read_receipts: Some(false),
        ..Policy::default()
    };
    control.create_policy(silent).await;
    control.assign_policy("shy", "silent").await;
    control.group("team", &["alice", "bob", "carol", "shy"]).await;
    let (alice, mut alice_events) = node.online(&tokens[0], "phone").await;
    let (bob, mut bob_events) = node.online(&tokens[1], "phone").await;
    let (shy, mut shy_events) = node.online(&tokens[3], "phone").await;
    let sent = alice.send_to_group("team", "hello").await.unwrap().sent().await.unwrap();
    let place = next_message(&mut alice_events).await.group_seq();

    shy.mark_read(&next_message(&mut shy_events).await).await.unwrap();
    let got = next_message(&mut bob_events).await;
    let bobs = tokio::spawn(async move { while bob_events.next().await.is_some() {} });
    let shys = tokio::spawn(async move { while shy_events.next().await.is_some() {} });
    let delivered = until(&alice, place, "bob has it", |receipts| receipts.delivered == 1).await;
    assert_eq!((delivered.members, delivered.read), (3, 0));
    bob.mark_read(&got).await.unwrap();
    let read = until(&alice, place, "bob read it", |receipts| receipts.read == 1).await;
    assert_eq!((read.delivered_to, read.read_by), (vec!["bob".to_owned()], vec!["bob".to_owned()]));
    // By the server's clock: after it was sent, and before what is sent now.
    let later = within(DEADLINE, "it is sent", alice.send("bob", "later").await.unwrap().sent()).await.unwrap();
    let bobs_times = read.times[0].clone();
    assert_eq!((read.times.len(), bobs_times.user.as_str()), (1, "bob"));
    let order = [sent.sent_at_ms, bobs_times.delivered_at_ms, bobs_times.read_at_ms, later.sent_at_ms];
    assert!(order.is_sorted() && order[0] > 0, "{order:?}");

    let refused = bob.group_receipts("team", place).await;
    assert!(matches!(refused, Err(RequestError::Refused { code: ErrorCode::PermissionDenied, .. })), "{refused:?}");
    node.restart_after_kill9().await;
    let (_carol, mut carol_events) = node.online(&tokens[2], "phone").await;
    next_message(&mut carol_events).await;
    let carols = tokio::spawn(async move { while carol_events.next().await.is_some() {} });
    let both = until(&alice, place, "carol has it too", |receipts| receipts.delivered == 2).await;
    assert_eq!((both.delivered_to, both.read), (vec!["bob".to_owned(), "carol".to_owned()], 1));
    assert_eq!(both.times[0], bobs_times, "as before the crash");
    assert!(both.times[1].delivered_at_ms >= later.sent_at_ms && both.times[1].read_at_ms == 0, "{:?}", both.times);
    // What was kept back stays so: the history shows it to shy all the same.
    let page = shy.group_history("team", HistoryQuery::default()).await.unwrap();
    assert_eq!(page.messages[0].place, place);
    for task in [bobs, shys, carols] {
        task.abort();
    }
}

/// Waits until it is told of the group that it is so.
async fn receipt(events: &mut Events, what: &str, is_so: impl Fn(&GroupReceipt) -> bool) -> GroupReceipt {
    told(events, what, |event| match event {
        Event::GroupReceipt(receipt) if is_so(&receipt) => Some(receipt),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_sender_who_watches_is_told_as_it_changes_also_after_a_crash() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let mut tokens = Vec::new();
    for user in ["alice", "bob", "carol", "eve"] {
        tokens.push(control.user(user).await);
    }
    control.group("team", &["alice", "bob", "carol"]).await;
    let (alice, mut alice_events) = node.online(&tokens[0], "phone").await;
    // Her other device is told the same.
    let (tablet, mut tablet_events) = node.client(&tokens[0], "tablet").connect().unwrap();
    within(DEADLINE, "it is online", tablet.online()).await.unwrap();
    let (bob, mut bob_events) = node.online(&tokens[1], "phone").await;
    let (eve, _eve_events) = node.online(&tokens[3], "phone").await;
    let refused = eve.watch_group_receipts("team").await;
    assert!(matches!(refused, Err(RequestError::Refused { code: ErrorCode::NotAMember, .. })), "{refused:?}");
    alice.watch_group_receipts("team").await.unwrap();
    let sent = alice.send_to_group("team", "hello").await.unwrap().sent().await.unwrap();
    let place = next_message(&mut alice_events).await.group_seq();
    let of = |receipt: &GroupReceipt| receipt.messages.iter().find(|one| one.group_seq == place).copied();

    let got = next_message(&mut bob_events).await;
    let bobs = tokio::spawn(async move { while bob_events.next().await.is_some() {} });
    let has = |receipt: &GroupReceipt| of(receipt).is_some_and(|one| one.delivered == 1);
    let delivered = receipt(&mut alice_events, "bob has it", has).await;
    assert_eq!(of(&delivered).map(|one| (one.members, one.read)), Some((2, 0)));
    assert!(delivered.delivered_to_all < place);
    receipt(&mut tablet_events, "the tablet is told too", has).await;
    bob.mark_read(&got).await.unwrap();
    let read = receipt(&mut alice_events, "bob read it", |receipt| of(receipt).is_some_and(|one| one.read == 1)).await;
    let bobs_mark = read.members.iter().find(|member| member.user == "bob").unwrap();
    assert_eq!((bobs_mark.read, read.members.len()), (place, 2));
    let order = [sent.sent_at_ms, bobs_mark.delivered_at_ms, bobs_mark.read_at_ms];
    assert!(order.is_sorted() && order[0] > 0, "{order:?}");

    node.restart_after_kill9().await;
    let (carol, mut carol_events) = node.online(&tokens[2], "phone").await;
    let got = next_message(&mut carol_events).await;
    let carols = tokio::spawn(async move { while carol_events.next().await.is_some() {} });
    carol.mark_read(&got).await.unwrap();
    let all = receipt(&mut alice_events, "all read it", |receipt| receipt.read_by_all >= place).await;
    assert_eq!(of(&all), None, "there is nothing more to say of it");

    alice.unwatch_group_receipts("team").await.unwrap();
    for task in [bobs, carols] {
        task.abort();
    }
}

#[tokio::test]
async fn of_more_than_a_thousand_the_sender_is_told_how_many_also_after_a_crash() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let mut crowd = Crowd::open(&control, async |token| node.online(token, "phone").await).await;
    crowd.comes_together().await;
    node.restart_after_kill9().await;
    crowd.goes_on().await;
    crowd.is_complete(async |token| node.online(token, "phone").await).await;
}
