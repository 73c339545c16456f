//! A help desk, each of whose calls goes to one of those who answer, in turn; and a radio, whose listeners hear
//! everything that anybody says and the others nothing.

use tidings_proto::control::v1::{CreateGroupRequest, Group, Member};
use tidings_proto::group::v1::{Kind, Permission, Role};
use tidings_sdk::{Client, ErrorCode, Events, SendError};

use crate::group_view::{GroupView, Place, What};
use crate::{Control, DEADLINE, within};

/// Who answers at the desk and listens to the radio, by the permission that is given them.
const ANSWERING: [&str; 3] = ["dora", "emil", "fred"];
/// Who calls, and nobody tells anything.
const CALLING: [&str; 2] = ["yves", "zoe"];
/// Calls of each before, and after something happened.
const CALLS: usize = 3;

/// The people of both groups, online.
pub struct DeskAndRadio {
    /// Those who answer, then those who call.
    clients: Vec<Client>,
    answering: Vec<GroupView>,
    calling: Vec<GroupView>,
    said: Vec<String>,
}

impl DeskAndRadio {
    /// Makes the people and the groups. `client` opens a client, online, for a token.
    pub async fn open(control: &Control, mut client: impl AsyncFnMut(&str) -> (Client, Events)) -> Self {
        let members: Vec<_> = ANSWERING.into_iter().map(receives).chain(CALLING.into_iter().map(calls)).collect();
        let (mut answering, mut calling) = (Vec::new(), Vec::new());
        let mut clients = Vec::new();
        for (users, views) in [(&ANSWERING[..], &mut answering), (&CALLING[..], &mut calling)] {
            for user in users {
                let (client, events) = client(&control.user(user).await).await;
                views.push(GroupView::of(events));
                clients.push(client);
            }
        }
        for (id, kind) in [("desk", Kind::Hunt), ("radio", Kind::Listeners)] {
            let group = Some(Group { id: id.to_owned(), kind: kind.into(), ..Group::default() });
            let request = CreateGroupRequest { group, members: members.clone() };
            control.groups.clone().create_group(request).await.expect("a group is created");
        }
        Self { clients, answering, calling, said: Vec::new() }
    }

    /// Whoever may calls the desk and speaks on the radio: each call comes to one, in turn, and all who listen hear the
    /// radio.
    pub async fn calls_and_speaks(&mut self) {
        for _ in 0..CALLS {
            for caller in &self.clients[ANSWERING.len()..] {
                let text = format!("number {}", self.said.len());
                for group in ["desk", "radio"] {
                    let sending = caller.send_to_group(group, format!("{group} {text}")).await.unwrap();
                    within(DEADLINE, "it is sent", sending.sent()).await.unwrap();
                }
                self.said.push(text);
            }
        }
        let radio: Vec<_> = self.said.iter().map(|text| format!("radio {text}")).collect();
        for view in &self.answering {
            view.until_said(radio.last().unwrap()).await;
            let heard: Vec<_> = view.texts().into_iter().filter(|text| text.starts_with("radio")).collect();
            assert_eq!(heard, radio, "the whole order, once");
        }
        within(DEADLINE, "each call came to somebody", async {
            while self.answered().iter().map(Vec::len).sum::<usize>() < self.said.len() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        // The first call is for the first of them by name, and so on.
        for (turn, answered) in self.answered().into_iter().enumerate() {
            let calls = self.said.iter().skip(turn).step_by(ANSWERING.len());
            assert_eq!(answered, calls.map(|text| format!("desk {text}")).collect::<Vec<_>>(), "{}", ANSWERING[turn]);
        }
        for (user, view) in CALLING.iter().zip(&self.calling) {
            let of_others = |place: &Place| matches!(&place.what, What::Said(from, _) if from != user);
            assert!(!view.places().iter().any(of_others), "{user} was told {:?}", view.places());
        }
    }

    /// From those who answer the permission to send was taken.
    pub async fn who_may_not_send_is_refused(&self) {
        let sending = self.clients[0].send_to_group("desk", "me too").await.unwrap();
        let refused = within(DEADLINE, "it is answered", sending.sent()).await;
        assert!(matches!(refused, Err(SendError::Refused { code: ErrorCode::PermissionDenied, .. })), "{refused:?}");
    }

    fn answered(&self) -> Vec<Vec<String>> {
        let calls = |view: &GroupView| view.texts().into_iter().filter(|text| text.starts_with("desk")).collect();
        self.answering.iter().map(calls).collect()
    }
}

fn receives(user: &str) -> Member {
    let (allow, deny) = (vec![Permission::Receive.into()], vec![Permission::Send.into()]);
    Member { user: user.to_owned(), role: Role::Member.into(), allow, deny, ..Member::default() }
}

fn calls(user: &str) -> Member {
    Member { user: user.to_owned(), ..Member::default() }
}
