//! Receipts across shards, gateways and leaders: who wrote is told who has it and who read it, one to one, in a group
//! and as a backend, while the broker that leads the group's home dies; what a sender has not seen waits.

use tidings_audit::LocalCluster;
use tidings_proto::control::v1::{
    GetGroupMessageStatusRequest, GetMessageStatusRequest, SendMessageRequest, SentMessage,
};
use tidings_proto::message::v1::{Content, MessageState};
use tidings_sdk::{Client, Event, Events, GroupReceipt, MessageId, receipt};
use tidings_tests::crowd::Crowd;
use tidings_tests::{Control, DEADLINE, told, within};
use tokio::task::JoinHandle;

use super::support::{control, leader_of, online, start};

/// Deals with all that comes, and reads it where it should.
fn deals_with_all(client: Client, mut events: Events, reads: bool) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let (true, Event::Message(message)) = (reads, event) {
                client.mark_read(&message).await.unwrap();
            }
        }
    })
}

async fn posted(control: &Control, round: &str) -> SentMessage {
    let request = SendMessageRequest {
        group: "team".to_owned(),
        content: Some(Content { text: format!("posted {round}"), ..Content::default() }),
        request_id: round.to_owned(),
        ..SendMessageRequest::default()
    };
    control.send_once(request).await
}

/// Waits until a backend is told that both of those who look have a message and one read it, and that another message
/// was read.
async fn backends_are_told(control: &Control, posted: &SentMessage, private: &str) {
    let (group, id) = ("team".to_owned(), posted.id.clone());
    let of_group = GetGroupMessageStatusRequest { group, id, ..GetGroupMessageStatusRequest::default() };
    let (to, from, id) = ("bob".to_owned(), "alice".to_owned(), private.to_owned());
    let of_one = GetMessageStatusRequest { to, from, id, ..GetMessageStatusRequest::default() };
    within(DEADLINE, "a backend is told", async {
        loop {
            let in_group = control.messages.clone().get_group_message_status(of_group.clone()).await;
            let private = control.messages.clone().get_message_status(of_one.clone()).await;
            if let (Ok(in_group), Ok(private)) = (in_group, private)
                && in_group.get_ref().delivered >= 2
                && in_group.get_ref().read == 1
                && private.get_ref().state() == MessageState::Read
            {
                assert_eq!(in_group.get_ref().read_by, ["bob"]);
                return;
            }
        }
    })
    .await;
}

/// Waits until alice, who watches, is told that all have what she said in the group, and that bob alone read it;
/// answers where it stands. While leaders change she may be told so before she is shown it.
async fn told_who_has_it(events: &mut Events, text: &str) -> u64 {
    let (mut place, mut latest) = (0, GroupReceipt::default());
    told(events, "she is told who has it", |event| {
        match event {
            Event::Message(message) if message.text() == text => place = message.group_seq(),
            Event::GroupReceipt(receipt) => latest = receipt,
            _ => {}
        }
        let read_by_bob = latest.members.iter().any(|member| member.user == "bob" && member.read >= place);
        (place > 0 && latest.delivered_to_all >= place && read_by_bob).then_some(place)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_are_told_while_the_broker_that_counts_dies() {
    let cluster: LocalCluster = start().await;
    let control = control(&cluster, 0).await;
    let tokens = [control.user("alice").await, control.user("bob").await, control.user("carol").await];
    control.group("team", &["alice", "bob", "carol"]).await;
    let (alice, mut alices) = online(&cluster, 0, &tokens[0], "phone").await;
    let (bob, bobs) = online(&cluster, 1, &tokens[1], "phone").await;
    let (carol, carols) = online(&cluster, 1, &tokens[2], "phone").await;
    let tasks = [deals_with_all(bob, bobs, true), deals_with_all(carol, carols, false)];
    // She looks at nothing: what comes waits for her.
    let eve = control.user("eve").await;
    let (eves, _unseen) = online(&cluster, 1, &eve, "phone").await;
    let mut last = MessageId::default();
    let mut since_when = None;
    alice.watch_group_receipts("team").await.unwrap();

    for round in ["before", "after"] {
        let private = alice.send("bob", round).await.unwrap();
        within(DEADLINE, "it is read", private.read()).await.unwrap();
        let in_team = alice.send_to_group("team", round).await.unwrap();
        within(DEADLINE, "it is sent", in_team.sent()).await.unwrap();
        let posted = posted(&control, round).await;
        let from_eve = eves.send("bob", round).await.unwrap();
        last = within(DEADLINE, "it is sent", from_eve.sent()).await.unwrap().id;
        if round == "before" {
            // From here on two of three replicas go on.
            leader_of(&cluster, "team").await.kill9().unwrap();
        }
        let place = told_who_has_it(&mut alices, round).await;
        let asked = within(DEADLINE, "the home answers", alice.group_receipts("team", place)).await.unwrap();
        assert_eq!((asked.members, asked.delivered, asked.read_by), (2, 2, vec!["bob".to_owned()]));
        assert!(asked.times.iter().all(|one| one.delivered_at_ms > 0), "{:?}", asked.times);
        match since_when.clone() {
            None => since_when = Some((place, asked.times)),
            Some((place, times)) => {
                let again =
                    within(DEADLINE, "the new leader answers", alice.group_receipts("team", place)).await.unwrap();
                assert_eq!(again.times, times, "as the one that died knew it");
            }
        }
        backends_are_told(&control, &posted, &private.id().unwrap().to_string()).await;
    }
    eves.close().await;
    let (_eves, mut events) = online(&cluster, 0, &eve, "phone").await;
    told(&mut events, "the receipts waited for her", |event| match event {
        Event::Receipt(receipt) if receipt.kind() == receipt::Kind::Read && receipt.stream == last.stream => {
            (receipt.up_to_seq >= last.seq).then_some(())
        }
        _ => None,
    })
    .await;
    tasks.iter().for_each(JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_more_than_a_thousand_the_sender_is_told_how_many_while_the_broker_that_counts_dies() {
    let cluster: LocalCluster = start().await;
    let control = control(&cluster, 0).await;
    let mut gateway = 0;
    let mut crowd = Crowd::open(&control, async |token| {
        gateway = 1 - gateway;
        online(&cluster, gateway, token, "phone").await
    })
    .await;
    crowd.comes_together().await;
    leader_of(&cluster, "team").await.kill9().unwrap();
    crowd.goes_on().await;
    crowd.is_complete(async |token| online(&cluster, 0, token, "phone").await).await;
}
