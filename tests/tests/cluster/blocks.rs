//! What a user has blocked stays blocked while leaders die: of the user's own shard, and of the group's home.

use tidings_proto::client::v1::user_presence::State;
use tidings_proto::message::v1::Block;
use tidings_sdk::{Event, Events, HistoryQuery};
use tidings_tests::group_view::GroupView;
use tidings_tests::settings::block;
use tidings_tests::{DEADLINE, within};

use super::support::{control, leader_of, online, settled, start};

async fn presence(events: &mut Events) -> State {
    within(DEADLINE, "the watcher is told", async {
        loop {
            if let Event::Presence(user) = events.next().await.expect("the client goes on") {
                return user.state();
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_blocked_stays_so_while_leaders_die() {
    let cluster = start().await;
    let control = control(&cluster, 0).await;
    let tokens = [control.user("bob").await, control.user("eve").await, control.user("carol").await];
    control.group("team", &["bob", "eve", "carol"]).await;
    let (bob, events) = online(&cluster, 0, &tokens[0], "phone").await;
    let bob_sees = GroupView::of(events);
    let (eve, _eves) = online(&cluster, 1, &tokens[1], "phone").await;
    let (carol, events) = online(&cluster, 1, &tokens[2], "phone").await;
    let carol_sees = GroupView::of(events);
    block(&bob, "eve", &[Block::GroupMessages, Block::Profile]).await;

    let mut expected = Vec::new();
    for (round, dies) in ["bob", "team"].into_iter().enumerate() {
        let broker = leader_of(&cluster, dies).await;
        broker.kill9().unwrap();
        for (client, name) in [(&eve, "eve"), (&carol, "carol")] {
            let text = format!("{name} {round}");
            let sending = async { client.send_to_group("team", text.clone()).await.unwrap().sent().await };
            within(DEADLINE, "it is sent", sending).await.unwrap();
            expected.push(text);
        }
        for view in [&bob_sees, &carol_sees] {
            view.until_said(&format!("carol {round}")).await;
        }
        broker.restart().await.unwrap();
        settled(&cluster).await;
    }
    assert_eq!(carol_sees.texts(), expected);
    let of_carol: Vec<_> = expected.into_iter().filter(|text| text.starts_with("carol")).collect();
    assert_eq!(bob_sees.texts(), of_carol);
    let page = within(DEADLINE, "a page", bob.group_history("team", HistoryQuery::default())).await.unwrap();
    let read: Vec<_> = page.messages.into_iter().map(|one| one.message.unwrap().content.unwrap().text).collect();
    assert_eq!(read, of_carol);

    // On gateways that ask for the first time.
    for (name, token, expected) in [("eve", &tokens[1], State::Unknown), ("carol", &tokens[2], State::Online)] {
        let (watcher, mut events) = online(&cluster, 0, token, "laptop").await;
        watcher.watch_presence(["bob"]).await.unwrap();
        assert_eq!(presence(&mut events).await, expected, "{name}");
    }
}
