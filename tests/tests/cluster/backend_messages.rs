//! Backends send through any node of the control plane while brokers die: each request is one message (promise 2), and
//! they arrive in the order of the requests (promise 3).

use tidings_audit::LocalCluster;
use tidings_proto::ErrorCode;
use tidings_proto::control::v1::{SendMessageRequest, SentMessage};
use tidings_proto::error::Next;
use tidings_proto::message::v1::Content;
use tidings_sdk::Event;
use tidings_tests::{Control, DEADLINE, within};

use super::support::{client, control, settled, start};

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
