//! What backends ask of one node of the control plane, and change through another, is the same at each of them: users,
//! groups and messages that wait.

use prost_types::{FieldMask, Timestamp};
use tidings_node::Clock;
use tidings_proto::ErrorCode;
use tidings_proto::control::v1::{
    CancelScheduledMessageRequest, DeleteUserRequest, GetGroupRequest, GetScheduledMessageRequest, GetUserRequest,
    ListMembersRequest, ListScheduledMessagesRequest, ListUserGroupsRequest, ListUsersRequest, Member,
    SendMessageRequest, UpdateMemberRequest,
};
use tidings_proto::group::v1::{Permission, Role};
use tidings_proto::message::v1::{Content, ScheduleState};
use tidings_tests::Control;
use tonic::{Response, Status};

use super::support::{control, leader_of, refusal, settled, start};

/// All pages of a list.
async fn all<T>(mut page: impl AsyncFnMut(String) -> (Vec<T>, String)) -> Vec<T> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let (found, next) = page(token).await;
        all.extend(found);
        if next.is_empty() {
            return all;
        }
        token = next;
    }
}

fn code<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> ErrorCode {
    ErrorCode::of_status(&answer.expect_err("it is refused"))
}

async fn users(node: &Control, filter: &str) -> Vec<String> {
    all(async |page_token| {
        let filter = filter.to_owned();
        let request = ListUsersRequest { filter, page_size: 2, page_token, ..ListUsersRequest::default() };
        let page = node.users.clone().list_users(request).await.unwrap().into_inner();
        (page.users.into_iter().map(|user| user.id).collect(), page.next_page_token)
    })
    .await
}

async fn members(node: &Control, group: &str) -> Vec<Member> {
    all(async |page_token| {
        let group = group.to_owned();
        let request = ListMembersRequest { group, page_size: 2, page_token, ..ListMembersRequest::default() };
        let page = node.groups.clone().list_members(request).await.unwrap().into_inner();
        (page.members, page.next_page_token)
    })
    .await
}

async fn groups(node: &Control, user: &str) -> Vec<String> {
    all(async |page_token| {
        let user = user.to_owned();
        let request = ListUserGroupsRequest { user, page_size: 1, page_token, ..ListUserGroupsRequest::default() };
        let page = node.groups.clone().list_user_groups(request).await.unwrap().into_inner();
        (page.groups.into_iter().map(|one| one.group.unwrap().id).collect(), page.next_page_token)
    })
    .await
}

/// The ids of what waits of a sender, by its texts.
async fn waiting(node: &Control, from: &str) -> Vec<(String, String)> {
    all(async |page_token| {
        let from = from.to_owned();
        let request = ListScheduledMessagesRequest { from, page_size: 2, page_token, ..Default::default() };
        let page = node.messages.clone().list_scheduled_messages(request).await.unwrap().into_inner();
        let waits = page.messages.into_iter().map(|one| (one.content.unwrap().text, one.id)).collect();
        (waits, page.next_page_token)
    })
    .await
}

async fn state(node: &Control, from: &str, id: &str) -> ScheduleState {
    let request = GetScheduledMessageRequest { from: from.to_owned(), id: id.to_owned(), ..Default::default() };
    node.messages.clone().get_scheduled_message(request).await.unwrap().into_inner().state()
}

/// Puts the nodes in another order, which begins with this one.
fn from(nodes: &[Control; 3], first: usize) -> [&Control; 3] {
    [0, 1, 2].map(|next| &nodes[(first + next) % 3])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_listed_and_deleted_through_any_node() {
    let cluster = start().await;
    let nodes = [control(&cluster, 0).await, control(&cluster, 1).await, control(&cluster, 2).await];
    for first in 0..3 {
        let [one, two, three] = from(&nodes, first);
        let names: Vec<_> = (0..3).map(|number| format!("user-{first}-{number}")).collect();
        let mut tokens = Vec::new();
        for name in &names {
            tokens.push(one.user(name).await);
        }
        one.group(&format!("team-{first}"), &[&names[1], &names[0]]).await;
        for node in [one, two, three] {
            assert_eq!(users(node, &format!("user-{first}-*")).await, names);
        }
        let request = || DeleteUserRequest { id: names[0].clone(), ..DeleteUserRequest::default() };
        two.users.clone().delete_user(request()).await.unwrap();
        for node in [one, two, three] {
            assert_eq!(users(node, &format!("user-{first}-*")).await, names[1..]);
            let get = GetUserRequest { id: names[0].clone(), ..GetUserRequest::default() };
            assert_eq!(code(node.users.clone().get_user(get).await), ErrorCode::NotFound);
            let team: Vec<_> = members(node, &format!("team-{first}")).await.into_iter().map(|one| one.user).collect();
            assert_eq!(team, names[1..2], "it is in no group any more");
        }
        assert_eq!(code(three.users.clone().delete_user(request()).await), ErrorCode::NotFound);
        for gateway in 0..2 {
            assert_eq!(refusal(&cluster, gateway, &tokens[0], "").await, Some(ErrorCode::TokenRevoked));
            assert_eq!(refusal(&cluster, gateway, &tokens[1], "").await, None);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_and_their_members_are_listed_changed_and_deleted_through_any_node() {
    let cluster = start().await;
    let nodes = [control(&cluster, 0).await, control(&cluster, 1).await, control(&cluster, 2).await];
    let names = ["alice", "bob", "carol"];
    for name in names {
        nodes[0].user(name).await;
    }
    for first in 0..3 {
        let [one, two, three] = from(&nodes, first);
        let (left, right) = (format!("left-{first}"), format!("right-{first}"));
        one.group(&left, &names).await;
        two.group(&right, &["alice"]).await;
        for node in [one, two, three] {
            let listed: Vec<_> = members(node, &left).await.into_iter().map(|member| member.user).collect();
            assert_eq!(listed, names);
            assert_eq!(groups(node, "alice").await, [left.clone(), right.clone()]);
            assert_eq!(groups(node, "bob").await, std::slice::from_ref(&left));
        }
        let deny = vec![Permission::Send.into()];
        let member = Some(Member { user: "bob".to_owned(), role: Role::Admin.into(), deny, ..Member::default() });
        let update_mask = Some(FieldMask { paths: vec!["role".to_owned(), "deny".to_owned()] });
        let request =
            UpdateMemberRequest { group: left.clone(), member, update_mask, ..UpdateMemberRequest::default() };
        let bob = two.groups.clone().update_member(request).await.unwrap().into_inner();
        assert_eq!((bob.role(), bob.deny.len(), bob.user.as_str()), (Role::Admin, 1, "bob"));
        for node in [one, two, three] {
            assert_eq!(members(node, &left).await[1], bob);
        }
        three.delete_group(&left).await;
        one.delete_group(&right).await;
        for node in [one, two, three] {
            let get = GetGroupRequest { id: left.clone(), ..GetGroupRequest::default() };
            assert_eq!(code(node.groups.clone().get_group(get).await), ErrorCode::NotFound);
            let list = ListMembersRequest { group: left.clone(), ..ListMembersRequest::default() };
            assert_eq!(code(node.groups.clone().list_members(list).await), ErrorCode::NotFound);
            assert!(groups(node, "alice").await.is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_listed_and_taken_back_through_any_node_whoever_leads() {
    let cluster = start().await;
    let nodes = [control(&cluster, 0).await, control(&cluster, 1).await, control(&cluster, 2).await];
    nodes[0].user("alice").await;
    nodes[0].user("bob").await;
    let seconds = Clock::system().now_ms() / 1000 + 3600;
    for (sender, node) in ["", "alice"].into_iter().zip(&nodes) {
        for number in 0..4 {
            let request = SendMessageRequest {
                from: sender.to_owned(),
                to: "bob".to_owned(),
                content: Some(Content { text: number.to_string(), ..Content::default() }),
                deliver_at: Some(Timestamp { seconds, nanos: 0 }),
                ..SendMessageRequest::default()
            };
            assert!(node.messages.clone().send_message(request).await.unwrap().into_inner().scheduled);
        }
    }
    for (first, dies) in [(0, None), (1, Some("alice")), (2, Some("system"))] {
        let [one, two, three] = from(&nodes, first);
        if let Some(user) = dies {
            let broker = leader_of(&cluster, user).await;
            broker.kill9().unwrap();
            broker.restart().await.unwrap();
            settled(&cluster).await;
        }
        for sender in ["", "alice"] {
            let before = waiting(one, sender).await;
            let texts: Vec<_> = before.iter().map(|(text, _)| text.clone()).collect();
            assert_eq!(texts, (first..4).map(|number| number.to_string()).collect::<Vec<_>>());
            let taken = &before[0].1;
            let request =
                CancelScheduledMessageRequest { from: sender.into(), id: taken.clone(), ..Default::default() };
            two.messages.clone().cancel_scheduled_message(request).await.unwrap();
            for node in [one, two, three] {
                assert_eq!(state(node, sender, taken).await, ScheduleState::Cancelled);
                assert_eq!(waiting(node, sender).await, before[1..]);
            }
        }
    }
}
