//! Messages that wait for their time: sent once and in that moment, also when the node was killed before; listed and
//! cancelled from any device; judged by the policies and the members of that moment.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used)]

use tidings_node::Clock;
use tidings_proto::policy::v1::Policy;
use tidings_sdk::{
    Block, Client, ErrorCode, Event, HistoryQuery, MessageId, Outgoing, RequestError, Search, SendError, Sending,
    Status, schedule_update,
};
use tidings_tests::deletions::files_with;
use tidings_tests::settings::block;
use tidings_tests::{Control, DEADLINE, Node, next_message, told, within};

const HOUR_MS: i64 = 3600 * 1000;

fn now_ms() -> i64 {
    Clock::system().now_ms()
}

async fn send(client: &Client, outgoing: Outgoing) -> Result<Sending, SendError> {
    let sending = client.send_message(outgoing).await?;
    within(DEADLINE, "it is answered", sending.sent()).await?;
    Ok(sending)
}

async fn texts(client: &Client) -> Vec<String> {
    let scheduled = within(DEADLINE, "a page", client.scheduled(Vec::new(), 0)).await.unwrap();
    scheduled.messages.into_iter().map(|message| message.content.unwrap().text).collect()
}

fn update(kind: schedule_update::Kind) -> impl FnMut(Event) -> Option<MessageId> {
    move |event| match event {
        Event::Schedule(update) if update.kind() == kind => update.id,
        _ => None,
    }
}

fn failure(event: Event) -> Option<(MessageId, ErrorCode)> {
    match event {
        Event::Failure(failure) => Some((failure.id.unwrap_or_default(), failure.reason())),
        _ => None,
    }
}

#[tokio::test]
async fn it_comes_at_its_time_once_although_the_node_was_killed_before() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alices, mut alice_events) = node.online(&alice, "phone").await;
    let at_ms = now_ms() + 6000;
    let waits = send(&alices, Outgoing::new("bob", "good morning").at(at_ms)).await.unwrap();
    send(&alices, Outgoing::new("bob", "before it")).await.unwrap();
    assert_eq!(texts(&alices).await, ["good morning"]);
    node.restart_after_kill9().await;
    assert_eq!(texts(&alices).await, ["good morning"], "accepted is durable");

    let (bob, mut bobs) = node.online(&bob, "phone").await;
    assert_eq!(next_message(&mut bobs).await.text(), "before it");
    let came = next_message(&mut bobs).await;
    assert_eq!((came.text(), came.from()), ("good morning", "alice"));
    assert!(came.sent_at_ms() >= at_ms, "{} is before {at_ms}", came.sent_at_ms());
    let id = told(&mut alice_events, "alice is told", update(schedule_update::Kind::Sent)).await;
    assert_eq!(Some(id), waits.id());
    bob.mark_read(&came).await.unwrap();
    within(DEADLINE, "its receipt reaches alice", waits.read()).await.unwrap();
    assert!(texts(&alices).await.is_empty());
    // It stands in both histories where it came, and once.
    for (client, with) in [(&alices, "bob"), (&bob, "alice")] {
        within(DEADLINE, "the history has it", async {
            loop {
                let page = client.history(with, HistoryQuery::default()).await.unwrap();
                let texts: Vec<_> = page.messages.iter().map(|one| one.message.as_ref().unwrap()).collect();
                if texts.len() == 2 {
                    assert_eq!(texts[1].content.as_ref().unwrap().text, "good morning");
                    assert_eq!(texts[1].id, Some(came.id()));
                    break;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn any_device_sees_and_cancels_it_and_its_text_leaves_the_files() {
    let node = Node::start_with(&["storage.erase_within_seconds=3"]).await;
    let control = node.control().await;
    let alice = control.user("alice").await;
    control.user("bob").await;
    let (phone, mut phone_events) = node.online(&alice, "phone").await;
    let (laptop, mut laptop_events) = node.online(&alice, "laptop").await;
    let secret = "Zq8vT3mK1xR7nB5cW9eY2uL4jH6gF0dS";
    let waits = send(&phone, Outgoing::new("bob", secret).at(now_ms() + HOUR_MS)).await.unwrap();
    let seen = told(&mut laptop_events, "the laptop is told", update(schedule_update::Kind::Scheduled)).await;
    assert_eq!(Some(seen), waits.id());
    assert_eq!(texts(&laptop).await, [secret]);
    assert!(!files_with(&node.data(), secret).is_empty());
    for _ in 0..2 {
        laptop.cancel_scheduled(seen).await.unwrap();
    }
    let told = told(&mut phone_events, "the phone is told", update(schedule_update::Kind::Cancelled)).await;
    assert_eq!((told, waits.status()), (seen, Status::Failed(SendError::Cancelled)));
    assert!(texts(&phone).await.is_empty());
    let never = MessageId { seq: 999, ..seen };
    let refused = phone.cancel_scheduled(never).await;
    assert!(matches!(refused, Err(RequestError::Refused { code: ErrorCode::NotFound, .. })), "{refused:?}");
    within(DEADLINE * 2, "it is in no file", async {
        while !files_with(&node.data(), secret).is_empty() {
            // Files say nothing when they change.
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_hundred_may_wait_for_a_year_and_not_one_more_nor_longer() {
    let node = Node::start().await;
    let control = node.control().await;
    let alice = control.user("alice").await;
    control.user("bob").await;
    let (alice, _events) = node.online(&alice, "phone").await;
    let refused = |sent: Result<Sending, SendError>| match sent {
        Err(SendError::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    // The gateway's and the broker's clocks are this one's, and a little later.
    let year_ms = 365 * 24 * HOUR_MS;
    let far = Outgoing::new("bob", "far").at(now_ms() + year_ms + 60_000);
    assert_eq!(refused(send(&alice, far).await), ErrorCode::InvalidArgument);
    send(&alice, Outgoing::new("bob", "0").at(now_ms() + year_ms)).await.unwrap();
    for number in 1..100 {
        send(&alice, Outgoing::new("bob", number.to_string()).at(now_ms() + HOUR_MS)).await.unwrap();
    }
    let one_more = || Outgoing::new("bob", "one more").at(now_ms() + HOUR_MS);
    assert_eq!(refused(send(&alice, one_more()).await), ErrorCode::ScheduleFull);
    send(&alice, Outgoing::new("bob", "now")).await.unwrap();

    let (mut page, mut listed) = (Vec::new(), Vec::new());
    loop {
        let scheduled = alice.scheduled(page, 30).await.unwrap();
        assert!(scheduled.messages.len() <= 30);
        listed
            .extend(scheduled.messages.into_iter().map(|message| (message.id.unwrap(), message.content.unwrap().text)));
        page = scheduled.next_page;
        if page.is_empty() {
            break;
        }
    }
    assert!(listed.iter().map(|(_, text)| text.clone()).eq((0..100).map(|number| number.to_string())), "{listed:?}");
    alice.cancel_scheduled(listed[7].0).await.unwrap();
    send(&alice, one_more()).await.unwrap();
    let nobody = Outgoing::new("nobody", "hi").at(now_ms() + HOUR_MS);
    assert_eq!(refused(send(&alice, nobody).await), ErrorCode::RecipientUnknown);
}

/// What becomes of a message that alice has scheduled, when this happens before its time.
async fn becomes(to: Outgoing, happens: impl AsyncFnOnce(&Control, &Client)) -> ErrorCode {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    control.group("team", &["bob", "alice"]).await;
    let (alice, mut events) = node.online(&alice, "phone").await;
    let (bob, _bobs) = node.online(&bob, "phone").await;
    let waits = send(&alice, to.at(now_ms() + 2000)).await.unwrap();
    happens(&control, &bob).await;
    let (id, reason) = told(&mut events, "alice is told", failure).await;
    assert_eq!(Some(id), waits.id());
    assert_eq!(waits.status(), Status::Failed(SendError::Undelivered { code: reason }));
    reason
}

#[tokio::test]
async fn the_policy_of_the_moment_counts() {
    let reason = becomes(Outgoing::new("bob", "hi"), async |control, _| {
        let silent = Policy { id: "silent".into(), messages: Some(false), ..Policy::default() };
        control.create_policy(silent).await;
        control.assign_policy("alice", "silent").await;
    });
    assert_eq!(reason.await, ErrorCode::FeatureOff);
}

#[tokio::test]
async fn the_members_of_the_moment_count() {
    let reason = becomes(Outgoing::to_group("team", "hi"), async |control, _| control.remove("team", &["alice"]).await);
    assert_eq!(reason.await, ErrorCode::NotAMember);
}

#[tokio::test]
async fn the_blocks_of_the_moment_count() {
    let reason = becomes(Outgoing::new("bob", "hi"), async |_, bob| {
        block(bob, "alice", &[Block::Messages]).await;
    });
    assert_eq!(reason.await, ErrorCode::Blocked);
}

#[tokio::test]
async fn to_a_group_it_comes_to_whoever_is_a_member_then() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob, carol) = (control.user("alice").await, control.user("bob").await, control.user("carol").await);
    control.group("team", &["alice", "bob"]).await;
    let (alice, mut alices) = node.online(&alice, "phone").await;
    let (_bob, mut bobs) = node.online(&bob, "phone").await;
    let (carol, mut carols) = node.online(&carol, "phone").await;
    let waits = send(&alice, Outgoing::to_group("team", "later").at(now_ms() + 2500)).await.unwrap();
    send(&alice, Outgoing::to_group("team", "now")).await.unwrap();
    control.add("team", &["carol"]).await;
    control.remove("team", &["bob"]).await;
    let removed = |event| match event {
        Event::Message(message) if message.text() == "later" => panic!("bob is no member any more"),
        Event::GroupEvent(event) if event.users == ["bob"] && event.group_seq > 1 => Some(()),
        _ => None,
    };
    told(&mut bobs, "bob is removed", removed).await;
    let came = next_message(&mut carols).await;
    assert_eq!((came.text(), came.from(), came.group()), ("later", "alice", Some("team")));
    let echo = |text: &'static str| {
        move |event| match event {
            Event::Message(message) if message.text() == text => Some(message.group_seq()),
            _ => None,
        }
    };
    let now = told(&mut alices, "the one that did not wait", echo("now")).await;
    let later = told(&mut alices, "the one that waited", echo("later")).await;
    assert!(now < later && later == came.group_seq());
    assert_eq!(waits.status(), Status::Sent);
    // It is as any other message there: it counts as unread, and is found.
    let listed = within(DEADLINE, "carol's groups", carol.conversations(Vec::new(), 10)).await.unwrap();
    let unread: Vec<_> = listed.conversations.iter().map(|one| (one.group.as_str(), one.unread)).collect();
    assert_eq!(unread, [("team", 1)]);
    let search = Search { text: "later".into(), group: "team".into(), ..Search::default() };
    let found = within(DEADLINE, "a search", carol.search(search)).await.unwrap().messages;
    assert_eq!(found.iter().map(|one| one.place).collect::<Vec<_>>(), [later]);
}
