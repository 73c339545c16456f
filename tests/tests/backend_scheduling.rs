//! Messages that backends schedule, list and take back, over gRPC and REST; the histories that backends' messages stand
//! in; and how far they have come in groups.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used)]

use prost_types::Timestamp;
use tidings_node::Clock;
use tidings_proto::ErrorCode;
use tidings_proto::control::v1::{
    CancelScheduledMessageRequest, GetGroupMessageStatusRequest, GetScheduledMessageRequest, GroupMessageStatus,
    ListScheduledMessagesRequest, ScheduledMessageStatus, SendMessageRequest, SentMessage,
};
use tidings_proto::message::v1::{Content, ScheduleState};
use tidings_proto::policy::v1::Policy;
use tidings_sdk::{Client, Event, HistoryQuery};
use tidings_tests::{Control, DEADLINE, Node, next_message, within};
use tonic::Status;

const HOUR_MS: i64 = 3600 * 1000;

fn at(ms: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: ms / 1000, nanos: i32::try_from(ms % 1000).unwrap() * 1_000_000 })
}

fn in_ms(wait_ms: i64) -> Option<Timestamp> {
    at(Clock::system().now_ms() + wait_ms)
}

fn to_bob(from: &str, request_id: &str, deliver_at: Option<Timestamp>) -> SendMessageRequest {
    SendMessageRequest {
        from: from.into(),
        to: "bob".into(),
        content: Some(Content { text: format!("{from} says {request_id}"), ..Content::default() }),
        request_id: request_id.into(),
        deliver_at,
        ..SendMessageRequest::default()
    }
}

async fn send(control: &Control, request: SendMessageRequest) -> Result<SentMessage, Status> {
    control.messages.clone().send_message(request).await.map(tonic::Response::into_inner)
}

async fn get(control: &Control, from: &str, id: &str) -> Result<ScheduledMessageStatus, ErrorCode> {
    let request = GetScheduledMessageRequest { id: id.into(), from: from.into(), ..Default::default() };
    let got = control.messages.clone().get_scheduled_message(request).await;
    got.map(tonic::Response::into_inner).map_err(|status| ErrorCode::of_status(&status))
}

async fn cancel(control: &Control, from: &str, id: &str) -> Result<(), ErrorCode> {
    let request = CancelScheduledMessageRequest { id: id.into(), from: from.into(), ..Default::default() };
    let done = control.messages.clone().cancel_scheduled_message(request).await;
    done.map(drop).map_err(|status| ErrorCode::of_status(&status))
}

async fn listed(control: &Control, from: &str) -> Vec<ScheduledMessageStatus> {
    let (mut page_token, mut all) = (String::new(), Vec::new());
    loop {
        let request =
            ListScheduledMessagesRequest { from: from.into(), page_size: 2, page_token, ..Default::default() };
        let page = control.messages.clone().list_scheduled_messages(request).await.unwrap().into_inner();
        all.extend(page.messages);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

async fn becomes(control: &Control, from: &str, id: &str, state: ScheduleState) -> ScheduledMessageStatus {
    within(DEADLINE, state.as_str_name(), async {
        loop {
            let got = get(control, from, id).await.unwrap();
            if got.state() == state {
                return got;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn it_waits_and_is_sent_once_for_each_request() {
    let mut node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let soon = in_ms(3000);
    let first = send(&control, to_bob("", "1", soon)).await.unwrap();
    assert!(first.scheduled && !first.repeated);
    let as_alice = send(&control, to_bob("alice", "1", soon)).await.unwrap();
    let (alice, mut alices) = node.client(&alice, "phone").connect().unwrap();
    within(DEADLINE, "alice is online", alice.online()).await.unwrap();
    node.restart_after_kill9().await;
    let control = node.control().await;
    let again = send(&control, to_bob("", "1", soon)).await.unwrap();
    assert_eq!(again, SentMessage { repeated: true, ..first.clone() });
    let scheduled = alice.scheduled(Vec::new(), 0).await.unwrap().messages;
    assert!(scheduled.len() == 1 && scheduled[0].by_backend, "{scheduled:?}");

    let (_bob, mut events) = node.client(&bob, "phone").connect().unwrap();
    let (mut came, mut ids) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let message = next_message(&mut events).await;
        came.push(message.text().to_owned());
        ids.push((message.from().to_owned(), message.id().to_string()));
    }
    came.sort();
    assert_eq!(came, [" says 1", "alice says 1"]);
    for (from, name, id) in [("", "system", &first.id), ("alice", "alice", &as_alice.id)] {
        let sent = becomes(&control, from, id, ScheduleState::Sent).await;
        assert!(ids.contains(&(name.to_owned(), sent.message_id.clone())), "{ids:?} {sent:?}");
        assert_eq!(cancel(&control, from, id).await, Err(ErrorCode::NotFound));
    }
    // Her devices are told of what was sent in her name, and have it in their history.
    within(DEADLINE, "alice is told", async {
        loop {
            if let Event::Sent(message) = alices.next().await.unwrap() {
                assert_eq!(message.content.unwrap().text, "alice says 1");
                break;
            }
        }
    })
    .await;
    let again = send(&control, to_bob("", "1", soon)).await.unwrap();
    assert_eq!((again.id, again.repeated), (first.id, true), "also after it was sent");
}

#[tokio::test]
async fn a_backend_lists_and_takes_back_what_waits() {
    let node = Node::start().await;
    let control = node.control().await;
    control.user("alice").await;
    control.user("bob").await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(send(&control, to_bob("", &number.to_string(), in_ms(HOUR_MS))).await.unwrap().id);
    }
    send(&control, to_bob("alice", "hers", in_ms(HOUR_MS))).await.unwrap();
    let of_system = listed(&control, "").await;
    assert!(of_system.iter().map(|one| &one.id).eq(&ids), "{of_system:?}");
    assert_eq!(of_system[3].content.as_ref().unwrap().text, " says 3");
    assert_eq!((of_system[3].state(), of_system[3].to.as_str()), (ScheduleState::Pending, "bob"));
    let of_alice = listed(&control, "alice").await;
    assert_eq!(of_alice.len(), 1);

    for _ in 0..2 {
        cancel(&control, "", &ids[2]).await.unwrap();
    }
    let gone = get(&control, "", &ids[2]).await.unwrap();
    assert!(gone.state() == ScheduleState::Cancelled && gone.content.is_none() && gone.ended_at.is_some());
    assert_eq!(listed(&control, "").await.len(), 4);
    assert_eq!(cancel(&control, "", &of_alice[0].id).await, Err(ErrorCode::NotFound), "it is hers");
    cancel(&control, "alice", &of_alice[0].id).await.unwrap();
    assert_eq!(get(&control, "", "1.1").await.map(|_| ()), Err(ErrorCode::NotFound));
    assert_eq!(get(&control, "", "one").await.map(|_| ()), Err(ErrorCode::InvalidArgument));
    let year_ms = 365 * 24 * HOUR_MS;
    let refused = send(&control, to_bob("", "far", in_ms(year_ms + 60_000))).await.unwrap_err();
    assert_eq!(ErrorCode::of_status(&refused), ErrorCode::InvalidArgument);
    assert!(refused.message().contains("deliver_at"), "{refused:?}");
    send(&control, to_bob("", "edge", in_ms(year_ms))).await.unwrap();
    // What lies behind is sent at once.
    let past = send(&control, to_bob("", "past", in_ms(-HOUR_MS))).await.unwrap();
    becomes(&control, "", &past.id, ScheduleState::Sent).await;
}

#[tokio::test]
async fn what_cannot_be_sent_then_says_why() {
    let node = Node::start().await;
    let control = node.control().await;
    control.user("alice").await;
    control.user("bob").await;
    control.user("carol").await;
    control.create_policy(Policy { id: "small".into(), inbox_entries: Some(1), ..Policy::default() }).await;
    let soon = in_ms(2500);
    let to_carol = SendMessageRequest { to: "carol".into(), ..to_bob("", "full", soon) };
    let full = send(&control, to_carol.clone()).await.unwrap();
    let inactive = send(&control, to_bob("alice", "inactive", soon)).await.unwrap();
    control.set_active("alice", false).await;
    control.assign_policy("carol", "small").await;
    send(&control, SendMessageRequest { deliver_at: None, ..to_carol }).await.unwrap();
    let full = becomes(&control, "", &full.id, ScheduleState::Failed).await;
    assert_eq!(full.reason(), ErrorCode::InboxFull);
    let inactive = becomes(&control, "alice", &inactive.id, ScheduleState::Failed).await;
    assert_eq!(inactive.reason(), ErrorCode::UserInactive);
}

async fn history(client: &Client, with: &str) -> Vec<String> {
    let page = client.history(with, HistoryQuery::default()).await.unwrap();
    page.messages.into_iter().map(|one| one.message.unwrap().content.unwrap().text).collect()
}

#[tokio::test]
async fn backends_messages_stand_in_the_histories_that_the_policies_say() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    control.create_policy(Policy { id: "forgets".into(), history_seconds: Some(0), ..Policy::default() }).await;
    send(&control, to_bob("", "1", None)).await.unwrap();
    send(&control, to_bob("alice", "1", None)).await.unwrap();
    control.assign_policy("alice", "forgets").await;
    send(&control, to_bob("alice", "2", None)).await.unwrap();
    control.assign_policy("bob", "forgets").await;
    send(&control, to_bob("alice", "3", None)).await.unwrap();
    let (alice, mut alices) = node.client(&alice, "phone").connect().unwrap();
    let (bob, mut bobs) = node.client(&bob, "phone").connect().unwrap();
    for text in [" says 1", "alice says 1", "alice says 2", "alice says 3"] {
        assert_eq!(next_message(&mut bobs).await.text(), text, "all of them are delivered");
    }
    assert_eq!(history(&bob, "system").await, [" says 1"]);
    assert_eq!(history(&bob, "alice").await, ["alice says 1", "alice says 2"]);
    within(DEADLINE, "her copy comes", async {
        while history(&alice, "bob").await != ["alice says 1"] {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let unread = bob.conversations(Vec::new(), 0).await.unwrap().conversations;
    assert!(unread.iter().any(|one| one.with == "system" && one.unread == 1), "{unread:?}");

    // A device that is there is told: it did not send it.
    control.assign_policy("alice", "").await;
    send(&control, to_bob("alice", "4", None)).await.unwrap();
    let told = within(DEADLINE, "alice's only device is told", async {
        let mut told = Vec::new();
        while !told.ends_with(&["alice says 4".to_owned()]) {
            if let Event::Sent(message) = alices.next().await.unwrap() {
                told.push(message.content.unwrap().text);
            }
        }
        told
    });
    let mut told = told.await;
    // Which came first is open: her device, or her copy of the first one.
    told.retain(|text| text != "alice says 1");
    assert_eq!(told, ["alice says 4"]);
}

async fn in_team(control: &Control, id: &str, request_id: &str, from: &str) -> Result<GroupMessageStatus, ErrorCode> {
    let (group, id, request_id, from) = ("team".into(), id.into(), request_id.into(), from.into());
    let request = GetGroupMessageStatusRequest { group, id, request_id, from, ..Default::default() };
    let got = control.messages.clone().get_group_message_status(request).await;
    got.map(tonic::Response::into_inner).map_err(|status| ErrorCode::of_status(&status))
}

#[tokio::test]
async fn how_far_a_message_to_a_group_has_come() {
    let node = Node::start().await;
    let control = node.control().await;
    control.user("alice").await;
    let (bob, carol) = (control.user("bob").await, control.user("carol").await);
    control.group("team", &["alice", "bob", "carol"]).await;
    let to_team = |from: &str, request_id: &str| SendMessageRequest {
        to: String::new(),
        group: "team".into(),
        ..to_bob(from, request_id, None)
    };
    let posted = send(&control, to_team("alice", "notice")).await.unwrap().id;
    let by_system = send(&control, to_team("", "notice")).await.unwrap().id;
    let fresh = in_team(&control, &posted, "", "alice").await.unwrap();
    assert_eq!((fresh.members, fresh.delivered, fresh.read, fresh.group_seq), (2, 0, 0, 2));
    assert_eq!(in_team(&control, "", "notice", "").await.unwrap().id, by_system);

    let (bob, mut bobs) = node.client(&bob, "phone").connect().unwrap();
    let (_carol, mut carols) = node.client(&carol, "phone").connect().unwrap();
    let message = next_message(&mut bobs).await;
    bob.mark_read(&message).await.unwrap();
    next_message(&mut carols).await;
    // A message is acknowledged when the next one is asked for.
    next_message(&mut carols).await;
    next_message(&mut bobs).await;
    within(DEADLINE, "it is known who has it, and who read it", async {
        loop {
            let status = in_team(&control, "", "notice", "alice").await.unwrap();
            if (status.delivered, status.read) == (2, 1) {
                assert_eq!((status.read_by, status.id), (vec!["bob".to_owned()], posted.clone()));
                let [bobs, carols] = &status.times[..] else { panic!("{:?}", status.times) };
                assert_eq!((bobs.user.as_str(), carols.user.as_str()), ("bob", "carol"));
                let at = |time: Option<prost_types::Timestamp>| time.map(|time| (time.seconds, time.nanos));
                assert!(at(bobs.delivered_at).is_some() && at(bobs.delivered_at) <= at(bobs.read_at), "{bobs:?}");
                assert!(carols.delivered_at.is_some() && carols.read_at.is_none(), "{carols:?}");
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(in_team(&control, &posted, "", "").await.map(|_| ()), Err(ErrorCode::NotFound), "it is alice's");
    assert_eq!(in_team(&control, "", "other", "").await.map(|_| ()), Err(ErrorCode::NotFound));
    assert_eq!(in_team(&control, &posted, "notice", "").await.map(|_| ()), Err(ErrorCode::InvalidArgument));
    assert_eq!(in_team(&control, "", "", "").await.map(|_| ()), Err(ErrorCode::InvalidArgument));
}
