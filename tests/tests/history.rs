//! What the servers keep of conversations, for every device of both sides; and what becomes of it when it is changed.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use tidings_sdk::{
    Block, Change, ChangeEvent, Client, ErrorCode, Event, Events, HistoryQuery, MessageId, RequestError, SendError,
    UpdateConversation, change,
};
use tidings_tests::settings::block;
use tidings_tests::{Control, DEADLINE, Node, told, within};

/// A device, and what it is told.
struct Device {
    client: Client,
    events: Events,
}

impl Device {
    async fn online(node: &Node, token: &str, device: &str) -> Self {
        let (client, events) = node.client(token, device).connect().unwrap();
        within(DEADLINE, "it is online", client.online()).await.unwrap();
        Self { client, events }
    }

    /// Waits for an event of the kind that is wanted.
    async fn told<T>(&mut self, what: &str, wanted: impl FnMut(Event) -> Option<T>) -> T {
        told(&mut self.events, what, wanted).await
    }

    async fn changed(&mut self) -> ChangeEvent {
        let changed = |event| if let Event::Changed(change) = event { Some(change) } else { None };
        self.told("a change comes", changed).await
    }

    async fn send(&self, to: &str, text: &str) -> MessageId {
        within(DEADLINE, "it is sent", async { self.client.send(to, text).await.unwrap().sent().await })
            .await
            .unwrap()
            .id
    }

    async fn change(&self, to: &str, of: MessageId, change: Change) -> Result<MessageId, SendError> {
        let changing = async { self.client.change(to, of, change).await.unwrap().sent().await };
        within(DEADLINE, "it is answered", changing).await.map(|sent| sent.id)
    }

    /// The texts of a conversation; a dash where there is none any more.
    async fn texts(&self, with: &str) -> Vec<String> {
        let page = within(DEADLINE, "a page", self.client.history(with, HistoryQuery::default())).await.unwrap();
        let text = |message: tidings_sdk::HistoryMessage| {
            message.message.unwrap().content.map_or("-".to_owned(), |content| content.text)
        };
        page.messages.into_iter().map(text).collect()
    }

    /// Waits until a conversation has these texts: the copy for the sender is on its way when `sent` is told.
    async fn comes_to(&self, with: &str, texts: &[&str]) {
        within(DEADLINE, "the history is as wanted", async {
            while self.texts(with).await != texts {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

async fn two_users(control: &Control) -> (String, String) {
    (control.user("alice").await, control.user("bob").await)
}

fn refused(result: Result<MessageId, SendError>) -> ErrorCode {
    match result {
        Err(SendError::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_sides_page_through_a_conversation_in_both_directions_also_after_a_crash() {
    let mut node = Node::start().await;
    let (alice_token, bob_token) = two_users(&node.control().await).await;
    let alice = Device::online(&node, &alice_token, "phone").await;
    let bob = Device::online(&node, &bob_token, "phone").await;
    for number in 0..120 {
        alice.send("bob", &number.to_string()).await;
    }
    bob.send("alice", "all of them?").await;
    node.restart_after_kill9().await;
    for (device, with) in [(&alice, "bob"), (&bob, "alice")] {
        within(DEADLINE, "all of it is there", async {
            let newest = HistoryQuery { limit: 1, ..HistoryQuery::default() };
            while device.client.history(with, newest).await.unwrap().messages.first().is_none_or(|one| one.place < 121)
            {
            }
        })
        .await;
        let mut backward = Vec::new();
        let mut before = 0;
        loop {
            let query = HistoryQuery { before, limit: 50, ..HistoryQuery::default() };
            let page = device.client.history(with, query).await.unwrap();
            before = page.messages[0].place;
            backward.splice(0..0, page.messages);
            if !page.more {
                break;
            }
        }
        let mut forward = Vec::new();
        while forward.len() < 121 {
            let after = forward.last().map_or(0, |last: &tidings_sdk::HistoryMessage| last.place);
            let query = HistoryQuery { after, limit: 100, ..HistoryQuery::default() };
            // After place 0 there is no query of its own: the first comes from the other direction.
            let page = if after == 0 {
                let first = HistoryQuery { before: 2, ..query };
                device.client.history(with, first).await.unwrap()
            } else {
                device.client.history(with, query).await.unwrap()
            };
            forward.extend(page.messages);
        }
        assert_eq!(forward, backward);
        let places: Vec<_> = backward.iter().map(|one| one.place).collect();
        assert!(places.iter().copied().eq(1..=121), "{places:?}");
    }
}

#[tokio::test]
async fn pages_are_bounded_whatever_is_asked_for() {
    let node = Node::start().await;
    let (alice_token, _) = two_users(&node.control().await).await;
    let alice = Device::online(&node, &alice_token, "phone").await;
    // To oneself: there is one copy, and it is there at once.
    for number in 0..101 {
        alice.send("alice", &number.to_string()).await;
    }
    let page = |query| alice.client.history("alice", query);
    let all = page(HistoryQuery { limit: 1000, ..HistoryQuery::default() }).await.unwrap();
    assert_eq!((all.messages.len(), all.messages[0].place, all.more), (100, 2, true));
    let crossed = page(HistoryQuery { after: 50, before: 10, limit: 0 }).await.unwrap();
    assert_eq!((crossed.messages.len(), crossed.more), (0, false));
    let beyond = page(HistoryQuery { after: u64::MAX, ..HistoryQuery::default() }).await.unwrap();
    assert_eq!(beyond.messages.len(), 0);
    for text in ["x", "y", "z", "u", "v"].map(|letter| letter.repeat(60_000)) {
        alice.send("alice", &text).await;
    }
    let large = page(HistoryQuery::default()).await.unwrap();
    assert_eq!((large.messages.len(), large.more), (4, true), "256 KiB");

    let nonsense = alice.client.conversations(vec![0xff; 300], 0).await.unwrap();
    assert_eq!((nonsense.conversations.len(), nonsense.next_page.len()), (0, 0));
    let nobody = alice.client.history("x".repeat(64), HistoryQuery::default()).await.unwrap_err();
    assert!(matches!(nobody, RequestError::Refused { code: ErrorCode::InvalidArgument, .. }), "{nobody}");
}

#[tokio::test]
async fn what_one_device_sends_comes_to_the_others_and_to_one_that_is_new() {
    let node = Node::start().await;
    let (alice_token, bob_token) = two_users(&node.control().await).await;
    let phone = Device::online(&node, &alice_token, "phone").await;
    let mut laptop = Device::online(&node, &alice_token, "laptop").await;
    let bob = Device::online(&node, &bob_token, "phone").await;
    let id = phone.send("bob", "from the phone").await;
    let sent = |event| if let Event::Sent(message) = event { Some(message) } else { None };
    let copy = laptop.told("the laptop is told", sent).await;
    assert_eq!((copy.id, copy.to.as_str(), copy.content.unwrap().text.as_str()), (Some(id), "bob", "from the phone"));
    bob.send("alice", "to both").await;
    let new = Device::online(&node, &alice_token, "tablet").await;
    new.comes_to("bob", &["from the phone", "to both"]).await;
    bob.comes_to("alice", &["from the phone", "to both"]).await;
}

#[tokio::test]
async fn edits_recalls_wipes_and_reactions_reach_all_devices_and_the_history() {
    let node = Node::start().await;
    let (alice_token, bob_token) = two_users(&node.control().await).await;
    let alice = Device::online(&node, &alice_token, "phone").await;
    let mut laptop = Device::online(&node, &alice_token, "laptop").await;
    let mut bob = Device::online(&node, &bob_token, "phone").await;
    let [edited, recalled, wiped] =
        [alice.send("bob", "draft").await, alice.send("bob", "oops").await, alice.send("bob", "secret").await];
    alice.change("bob", edited, Change::edit("final")).await.unwrap();
    alice.change("bob", recalled, Change::recall()).await.unwrap();
    alice.change("bob", wiped, Change::wipe()).await.unwrap();
    for device in [&mut bob, &mut laptop] {
        let kinds = [change::Kind::Edit, change::Kind::Recall, change::Kind::Wipe];
        for (of, kind) in [edited, recalled, wiped].into_iter().zip(kinds) {
            let change = device.changed().await;
            assert_eq!((change.of, change.kind(), change.from.as_str()), (Some(of), kind, "alice"));
        }
    }
    assert_eq!(bob.texts("alice").await, ["final", "-", "-"]);
    alice.comes_to("bob", &["final", "-", "-"]).await;

    // Bob may react at once to what he was given, and not edit it.
    bob.change("alice", edited, Change::react("\u{1f44d}")).await.unwrap();
    assert_eq!(laptop.changed().await.emoji, "\u{1f44d}");
    assert_eq!(refused(bob.change("alice", edited, Change::edit("his")).await), ErrorCode::PermissionDenied);
    assert_eq!(refused(alice.change("bob", recalled, Change::edit("back")).await), ErrorCode::NotFound);
    assert_eq!(refused(alice.change("bob", edited, Change::react("x".repeat(65))).await), ErrorCode::InvalidArgument);
    let page = alice.client.history("bob", HistoryQuery::default()).await.unwrap();
    let first = page.messages[0].message.as_ref().unwrap();
    assert_eq!((first.reactions[0].from.as_str(), first.edited_at_ms > 0), ("bob", true));
}

#[tokio::test]
async fn a_device_that_was_away_is_given_messages_and_changes_in_order_and_nothing_that_was_taken_back() {
    let node = Node::start().await;
    let (alice_token, bob_token) = two_users(&node.control().await).await;
    let alice = Device::online(&node, &alice_token, "phone").await;
    let first = alice.send("bob", "taken back").await;
    alice.send("bob", "stays").await;
    alice.change("bob", first, Change::recall()).await.unwrap();
    let mut bob = Device::online(&node, &bob_token, "phone").await;
    let mut came = Vec::new();
    bob.told("all three come", |event| {
        match event {
            Event::Message(message) => came.push(message.text().to_owned()),
            Event::Changed(change) => came.push(format!("{:?}", change.kind())),
            _ => {}
        }
        (came.len() == 3).then_some(())
    })
    .await;
    assert_eq!(came, ["", "stays", "Recall"]);
}

#[tokio::test]
async fn the_window_of_changes_closes() {
    let node = Node::start_with(&["gateway.change_window_seconds=0"]).await;
    let (alice_token, _) = two_users(&node.control().await).await;
    let alice = Device::online(&node, &alice_token, "phone").await;
    let id = alice.send("bob", "set in stone").await;
    // Within the millisecond of the message a change would still be in time.
    let late = within(DEADLINE, "the window closes", async {
        loop {
            match alice.change("bob", id, Change::edit("too late")).await {
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    })
    .await;
    assert!(matches!(late, SendError::Refused { code: ErrorCode::TooLate, .. }), "{late}");
    alice.change("bob", id, Change::pin()).await.unwrap();
}

#[tokio::test]
async fn conversations_say_what_is_unread_and_how_they_are_set_to_every_device() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice_token, bob_token) = two_users(&control).await;
    let carol_token = control.user("carol").await;
    let alice = Device::online(&node, &alice_token, "phone").await;
    let carol = Device::online(&node, &carol_token, "phone").await;
    let mut phone = Device::online(&node, &bob_token, "phone").await;
    let mut laptop = Device::online(&node, &bob_token, "laptop").await;
    alice.send("bob", "one").await;
    let two =
        within(DEADLINE, "two", async { alice.client.send("bob", "two").await.unwrap().sent().await }).await.unwrap();
    within(DEADLINE, "a later millisecond", async {
        let mut last = 0;
        while last <= two.sent_at_ms {
            last = carol.client.send("bob", "three").await.unwrap().sent().await.unwrap().sent_at_ms;
        }
    })
    .await;
    let first = phone.client.conversations(Vec::new(), 1).await.unwrap();
    assert_eq!(first.conversations[0].with, "carol", "the newest is the first");
    let second = phone.client.conversations(first.next_page, 1).await.unwrap();
    let with_alice = &second.conversations[0];
    assert_eq!((with_alice.with.as_str(), with_alice.unread, second.next_page.len()), ("alice", 2, 0));
    let last = with_alice.last_message.as_ref().unwrap();
    assert_eq!(last.content.as_ref().unwrap().text, "two");

    // Read on the phone: the laptop is told.
    let is_two = |event| match event {
        Event::Message(message) if message.text() == "two" => Some(message),
        _ => None,
    };
    let two = phone.told("the second message", is_two).await;
    phone.client.mark_read(&two).await.unwrap();
    let conversation = |event| if let Event::Conversation(conversation) = event { Some(conversation) } else { None };
    let told = laptop.told("the laptop is told", conversation).await;
    assert_eq!((told.with.as_str(), told.unread, told.read_place), ("alice", 0, 2));
    let settings = UpdateConversation {
        with: "alice".to_owned(),
        marked_unread: Some(true),
        archived: Some(true),
        mute_until_ms: Some(i64::MAX),
        ..UpdateConversation::default()
    };
    let set = laptop.client.update_conversation(settings).await.unwrap();
    assert!(set.marked_unread && set.archived && set.mute_until_ms == i64::MAX && !set.favourite);
    assert_eq!(phone.told("the phone is told", |event| conversation(event).filter(|one| one.archived)).await, set);

    // Blocked: refused with the reason, and nothing of it is kept.
    block(&phone.client, "alice", &[Block::Messages]).await;
    let blocked = alice.client.send("bob", "hello?").await.unwrap().sent().await;
    assert!(matches!(blocked, Err(SendError::Refused { code: ErrorCode::Blocked, .. })), "{blocked:?}");
    carol.send("bob", "others may").await;
    block(&phone.client, "alice", &[]).await;
    alice.send("bob", "again").await;
    assert_eq!(phone.texts("alice").await, ["one", "two", "again"]);
    alice.comes_to("bob", &["one", "two", "again"]).await;
}

#[tokio::test]
async fn history_ends_with_its_retention_and_where_there_is_none() {
    let node = Node::start_with(&["gateway.history_seconds=10"]).await;
    let (alice_token, bob_token) = two_users(&node.control().await).await;
    let alice = Device::online(&node, &alice_token, "phone").await;
    let mut bob = Device::online(&node, &bob_token, "phone").await;
    alice.send("bob", "short-lived").await;
    // What a device has yet to deal with stays for it.
    let message = |event| if let Event::Message(message) = event { Some(message) } else { None };
    bob.told("it comes", message).await.ack();
    bob.comes_to("alice", &[]).await;
    alice.comes_to("bob", &[]).await;

    let none = Node::start_with(&["gateway.history_seconds=0"]).await;
    let (alice_token, bob_token) = two_users(&none.control().await).await;
    let alice = Device::online(&none, &alice_token, "phone").await;
    let mut bob = Device::online(&none, &bob_token, "phone").await;
    let id = alice.send("bob", "not kept").await;
    let text = |event| if let Event::Message(message) = event { Some(message.text().to_owned()) } else { None };
    assert_eq!(bob.told("it comes", text).await, "not kept");
    assert_eq!((alice.texts("bob").await.len(), bob.texts("alice").await.len()), (0, 0));
    assert_eq!(refused(alice.change("bob", id, Change::recall()).await), ErrorCode::NotFound);
}
