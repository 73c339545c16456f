//! A group of 100,000 members on one node, some hundreds of whom are online: what a message to it costs, how soon the
//! last of them has it, and what the members who are away cost. `TIDINGS_MEMBERS` sets another number.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Instant;

use tidings_proto::control::v1::{AddMembersRequest, CreateGroupRequest, CreateTokenRequest, Group, Member};
use tidings_proto::group::v1::{Kind, Role};
use tidings_sdk::{Client, Event, Events, HistoryQuery};
use tidings_tests::{Control, DEADLINE, Node, RawClient, within};

const ONLINE: usize = 300;
const MESSAGES: usize = 50;
/// Users in one request.
const AT_ONCE: usize = 1_000;

fn name(number: usize) -> String {
    format!("user-{number:06}")
}

async fn create_group(control: &Control, count: usize) {
    let member = |number| Member { user: name(number), ..Member::default() };
    let owner = Member { role: Role::Owner.into(), ..member(0) };
    let group = Some(Group { id: "everybody".to_owned(), kind: Kind::Announcement.into(), ..Group::default() });
    let request = CreateGroupRequest { group, members: vec![owner] };
    control.groups.clone().create_group(request).await.unwrap();
    for first in (1..count).step_by(AT_ONCE) {
        let members = (first..count.min(first + AT_ONCE)).map(member).collect();
        let request = AddMembersRequest { group: "everybody".to_owned(), members, ..AddMembersRequest::default() };
        control.groups.clone().add_members(request).await.unwrap();
    }
}

async fn online(node: &Node, control: &Control, number: usize) -> (Client, Events) {
    let request = CreateTokenRequest { user: name(number), ..CreateTokenRequest::default() };
    let token = control.create_token(request).await.1;
    let (client, events) = node.client(&token, "phone").connect().unwrap();
    within(DEADLINE, "a member is online", client.online()).await.unwrap();
    (client, events)
}

/// Shows what comes until this was said; answers what else was said before.
async fn until_said(events: &mut Events, text: &str) -> Vec<String> {
    within(DEADLINE * 2, text, async {
        let mut said = Vec::new();
        loop {
            if let Event::Message(message) = events.next().await.expect("the client goes on") {
                if message.text() == text {
                    return said;
                }
                said.push(message.text().to_owned());
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_away_costs_nothing_and_who_is_there_hears_at_once() {
    let members = std::env::var("TIDINGS_MEMBERS").map_or(100_000, |members| members.parse().unwrap());
    let node = Node::start().await;
    let control = node.control().await;
    let begun = Instant::now();
    control.create_users((0..members).map(name).collect()).await;
    let users_at = begun.elapsed();
    let empty_bytes = node.resident_bytes();
    create_group(&control, members).await;
    println!("{members} users in {users_at:.1?}, in the group after {:.1?} more", begun.elapsed() - users_at);

    // The owner, and others who came last: they are spared the events that tell of 1,000 who joined each.
    let mut clients = vec![online(&node, &control, 0).await];
    for place in 1..ONLINE {
        clients.push(online(&node, &control, members - place).await);
    }
    let sender = clients[0].0.clone();
    let said = |number| format!("message {number}");
    sender.send_to_group("everybody", "ready").await.unwrap().sent().await.unwrap();
    for (_, events) in &mut clients {
        until_said(events, "ready").await;
    }

    let begun = Instant::now();
    let written = node.metric("tidings_consensus_log_bytes_total");
    let listening = clients.into_iter().map(|(client, mut events)| async move {
        let before = until_said(&mut events, "the end").await;
        (client, before, begun.elapsed())
    });
    let listening = tokio::spawn(futures_util::future::join_all(listening));
    for number in 0..MESSAGES {
        sender.send_to_group("everybody", said(number)).await.unwrap().sent().await.unwrap();
    }
    sender.send_to_group("everybody", "the end").await.unwrap().sent().await.unwrap();
    let heard = within(DEADLINE * 2, "all of them hear it", listening).await.unwrap();
    let expected: Vec<_> = (0..MESSAGES).map(said).collect();
    assert!(heard.iter().all(|(_, before, _)| *before == expected), "each once, in order");
    let last = heard.iter().map(|(_, _, last)| *last).max().unwrap();
    let written = (node.metric("tidings_consensus_log_bytes_total") - written) / (MESSAGES + 1) as f64;
    println!(
        "{MESSAGES} messages one after the other to {ONLINE} online of {members}: the last one has the last after {last:.2?}; \
         {written:.0} bytes of log for each; resident {} MiB, {} MiB before the group",
        node.resident_bytes() >> 20,
        empty_bytes >> 20
    );

    // How many have it is a matter of numbers, of one record for a message.
    let begun = Instant::now();
    let page = sender.group_history("everybody", HistoryQuery::default()).await.unwrap();
    // Of the last but one: the clients have asked for what comes after it.
    let place = page.messages[page.messages.len() - 2].place;
    let online = u32::try_from(ONLINE - 1).unwrap();
    let receipts = within(DEADLINE, "the sender is told how many have it", async {
        loop {
            let receipts = sender.group_receipts("everybody", place).await.unwrap();
            if receipts.delivered == online {
                return receipts;
            }
        }
    })
    .await;
    assert_eq!((receipts.members as usize, receipts.read), (members - 1, 0));
    println!("{online} of {} have it, as the sender is told after {:.2?}", receipts.members, begun.elapsed());

    // One who was never there comes: what there is room for in a mailbox, and the rest as it is acknowledged.
    let request = CreateTokenRequest { user: name(members - ONLINE), ..CreateTokenRequest::default() };
    let token = control.create_token(request).await.1;
    let (_, welcome) = RawClient::attached(node.gateway_address(), &token, "raw", None).await;
    assert!((1..=256).contains(&welcome.tail), "{}", welcome.tail);
    let begun = Instant::now();
    let (_client, mut events) = node.client(&token, "phone").connect().unwrap();
    let before = until_said(&mut events, "the end").await;
    assert_eq!(before[1..], expected[..], "behind the first");
    println!("one who comes late has all of it after {:.2?}", begun.elapsed());
}
