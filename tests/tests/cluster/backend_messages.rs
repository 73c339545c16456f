//! Backends send through any node of the control plane while brokers die: each request is one message (promise 2), and
//! they arrive in the order of the requests (promise 3).

use tidings_audit::LocalCluster;
use tidings_proto::ErrorCode;
use tidings_proto::control::v1::{SendMessageRequest, SentMessage};
use tidings_proto::error::Next;
use tidings_proto::message::v1::{Content, Disappearance};
use tidings_sdk::{Event, HistoryQuery};
use tidings_tests::{Control, DEADLINE, told, within};

use super::support::{client, control, online, settled, start};

const MESSAGES: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_is_one_message_while_brokers_die() {
    let cluster: LocalCluster = start().await;
    let nodes = [control(&cluster, 0).await, control(&cluster, 1).await, control(&cluster, 2).await];
    let bob = nodes[0].user("bob").await;
    let mut ids = Vec::new();
    for number in 0..MESSAGES {
        let broker = number / 20;
        if number % 20 == 10 {
            cluster.broker(broker).kill9().unwrap();
        }
        let sent = sent(&nodes, number, number).await;
        // Asked again elsewhere, as after a lost answer.
        let again = self::sent(&nodes, number + 1, number).await;
        assert_eq!((again.id.as_str(), again.repeated), (sent.id.as_str(), true));
        ids.push(sent.id);
        if number % 20 == 19 {
            cluster.broker(broker).restart().await.unwrap();
            settled(&cluster).await;
        }
    }

    let (_client, mut events) = client(&cluster, &bob, "phone").connect().unwrap();
    let mut came = Vec::new();
    within(DEADLINE, "all of them come", async {
        loop {
            match events.next().await.expect("the client goes on") {
                Event::Message(message) => {
                    assert_eq!(message.text(), came.len().to_string());
                    came.push(message.id().to_string());
                    message.ack();
                }
                Event::CaughtUp => break,
                _ => {}
            }
        }
    })
    .await;
    assert_eq!(came, ids);
}

/// To a user and a group, whose shards brokers lead that the control plane has to find; and one that disappears.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_online_is_told_at_any_gateway_and_what_disappears_is_gone_at_every_broker() {
    let cluster: LocalCluster = start().await;
    let operator = control(&cluster, 0).await;
    let tokens = [operator.user("alice").await, operator.user("bob").await];
    operator.group("team", &["alice", "bob"]).await;
    let (_alice, mut alices) = online(&cluster, 0, &tokens[0], "phone").await;
    let (bob, mut bobs) = online(&cluster, 1, &tokens[1], "phone").await;
    let send = async |node: usize, request: SendMessageRequest| {
        let content = Some(Content { text: "hello".to_owned(), ..Content::default() });
        let mut messages = control(&cluster, node).await.messages;
        let sending = messages.send_message(SendMessageRequest { content, ..request });
        within(DEADLINE, "it is sent", sending).await.unwrap().into_inner()
    };
    let to_team = SendMessageRequest { group: "team".to_owned(), ..SendMessageRequest::default() };
    let disappears = Some(Disappearance { after_ms: 5_000, ..Disappearance::default() });
    let soon_gone = SendMessageRequest { disappears, from: "alice".to_owned(), ..to_team.clone() };
    send(1, soon_gone).await;
    let is_kept = |event: Event| if let Event::Message(message) = event { Some(message) } else { None };
    told(&mut bobs, "it comes", is_kept).await;
    let to_bob = SendMessageRequest { to: "bob".to_owned(), ..SendMessageRequest::default() };
    for (node, request) in [(1, to_bob), (2, to_team)] {
        let sent = send(node, SendMessageRequest { ttl_ms: Some(0), ..request }).await;
        assert!(sent.id.is_empty(), "{sent:?}");
        told(&mut bobs, "bob is told", |event| matches!(event, Event::Transient(_)).then_some(())).await;
    }
    told(&mut alices, "alice is told", |event| matches!(event, Event::Transient(_)).then_some(())).await;
    within(DEADLINE, "it disappears", async {
        while !bob.group_history("team", HistoryQuery::default()).await.unwrap().messages.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Sends the message with this number, beginning at one of the nodes, as often as it takes.
async fn sent(nodes: &[Control], first: usize, number: usize) -> SentMessage {
    let request = SendMessageRequest {
        to: "bob".to_owned(),
        content: Some(Content { text: number.to_string(), ..Content::default() }),
        request_id: format!("request {number}"),
        ..SendMessageRequest::default()
    };
    let sending = async {
        for node in nodes.iter().cycle().skip(first % nodes.len()) {
            match node.messages.clone().send_message(request.clone()).await {
                Ok(sent) => return Some(sent.into_inner()),
                Err(refused) => assert_eq!(ErrorCode::of_status(&refused).next(), Next::Retry, "{refused:?}"),
            }
        }
        None
    };
    within(DEADLINE, "a message is accepted", sending).await.expect("the nodes are asked for ever")
}
