//! Backends look at users' mailboxes through any node of the control plane, also right after a broker's death: they see
//! all that was accepted before.

use std::collections::BTreeSet;

use tidings_proto::ErrorCode;
use tidings_proto::control::v1::user_presence::State;
use tidings_proto::control::v1::{GetPresenceRequest, ListConversationsRequest, SearchMessagesRequest};
use tidings_proto::error::Next;
use tidings_tests::{Control, DEADLINE, within};
use tonic::{Response, Status};

use super::support::{client, control, settled, start};

const FRIENDS: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mailboxes_are_seen_through_any_node_whoever_dies() {
    let cluster = start().await;
    let nodes = [control(&cluster, 0).await, control(&cluster, 1).await, control(&cluster, 2).await];
    nodes[0].user("bob").await;
    let names: Vec<String> = (0..FRIENDS).map(|number| format!("friend-{number}")).collect();
    let mut friends = Vec::new();
    for name in &names {
        friends.push(client(&cluster, &nodes[0].user(name).await, "phone").connect().unwrap());
    }
    nodes[0].group("team", &["friend-0", "bob"]).await;
    let mut expected = BTreeSet::new();
    for broker in 0..3 {
        for ((friend, _), name) in friends.iter().zip(&names) {
            let text = format!("lunch with {name} {broker}");
            let sending = async { friend.send("bob", text.clone()).await.unwrap().sent().await };
            within(DEADLINE, "it is sent", sending).await.unwrap();
            expected.insert(text);
        }
        let text = format!("lunch in the team {broker}");
        let sending = async { friends[0].0.send_to_group("team", text.clone()).await.unwrap().sent().await };
        within(DEADLINE, "it is sent", sending).await.unwrap();
        expected.insert(text);
        cluster.broker(broker).kill9().unwrap();
        // The group's last message has to come to bob's shard from its home; all else was there when it was accepted.
        for node in &nodes {
            within(DEADLINE, "all of it is found", async { while found(node).await != expected {} }).await;
            within(DEADLINE, "all conversations are listed", async { while listed(node).await != FRIENDS + 1 {} })
                .await;
        }
        cluster.broker(broker).restart().await.unwrap();
        settled(&cluster).await;
    }
    // The last leaders are new: they say so, and then that everybody came back.
    let users: Vec<_> = names.iter().cloned().chain(["bob".to_owned()]).collect();
    within(DEADLINE, "it is known who is online", async {
        loop {
            let request = GetPresenceRequest { users: users.clone(), ..GetPresenceRequest::default() };
            let Some(told) = seen(nodes[1].mailboxes.clone().get_presence(request).await) else { continue };
            let states: Vec<_> = told.users.iter().map(|user| user.state()).collect();
            assert!(states[..FRIENDS].iter().all(|state| *state != State::Offline), "somebody is there: {states:?}");
            assert_ne!(states[FRIENDS], State::Online, "bob never was");
            if !states.contains(&State::Unknown) {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The texts that bob can find, page by page.
async fn found(control: &Control) -> BTreeSet<String> {
    let mut request = SearchMessagesRequest {
        user: "bob".to_owned(),
        text: "lunch".to_owned(),
        page_size: 5,
        ..SearchMessagesRequest::default()
    };
    let mut texts = BTreeSet::new();
    loop {
        let Some(page) = seen(control.mailboxes.clone().search_messages(request.clone()).await) else { continue };
        for message in page.messages {
            let text = message.message.unwrap().content.unwrap().text;
            assert!(texts.insert(text), "it is found once");
        }
        if page.next_page_token.is_empty() {
            return texts;
        }
        request.page_token = page.next_page_token;
    }
}

/// How many conversations bob has.
async fn listed(control: &Control) -> usize {
    let request = ListConversationsRequest { user: "bob".to_owned(), ..ListConversationsRequest::default() };
    loop {
        if let Some(page) = seen(control.mailboxes.clone().list_conversations(request.clone()).await) {
            return page.conversations.len();
        }
    }
}

/// `None`: it may be asked again, and has to be.
fn seen<T>(answer: Result<Response<T>, Status>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer.into_inner()),
        Err(refused) => {
            assert_eq!(ErrorCode::of_status(&refused).next(), Next::Retry, "{refused:?}");
            None
        }
    }
}
