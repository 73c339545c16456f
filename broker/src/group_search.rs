//! A search over everything that a user can find: the own history, which stands in the user's shard, and the groups
//! that the user is a member of, each of which is searched at its home. One page is merged of one from each home; all
//! go on behind the same position.

use std::collections::BTreeMap;

use futures_util::stream::{StreamExt as _, TryStreamExt as _};
use tidings_consensus::NodeId;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{SearchGroupsRequest, SearchGroupsResponse};
use tidings_proto::client::v1::{Found, Search};
use tidings_proto::shard::shard_of;

use crate::core::{GroupName, MailboxId};
use crate::error::{Error, code_of};
use crate::query;
use crate::relay::Relay;
use crate::shards::Shards;

/// Homes that are asked at a time for one search.
const ASKED_AT_ONCE: usize = 8;

/// Adds what is found in groups to what was found in the user's own history.
pub async fn with_groups(
    relay: &Relay,
    shards: u32,
    mailbox: &MailboxId,
    asked: &Search,
    own: Found,
    groups: Vec<GroupName>,
    ignored: Vec<String>,
) -> Result<Found, Error> {
    let mut by_home = BTreeMap::<u32, Vec<String>>::new();
    for group in groups {
        by_home.entry(shard_of(group.app(), group.group(), shards)).or_default().push(group.group().to_owned());
    }
    let requests = by_home.into_iter().map(|(shard, groups)| SearchGroupsRequest {
        shard,
        app: mailbox.app().to_owned(),
        user: mailbox.user().to_owned(),
        groups,
        search: Some(asked.clone()),
        ignored: ignored.clone(),
    });
    let searching: Vec<_> = requests.map(|request| relay.search_groups(request)).collect();
    let searching = futures_util::stream::iter(searching).buffer_unordered(ASKED_AT_ONCE);
    let mut parts: Vec<Found> = searching.try_collect().await?;
    parts.push(own);
    Ok(query::merge(parts, asked.limit))
}

/// What a user finds in groups whose home is a shard of this node, if it leads it.
pub async fn answer(shards: &Shards, node: NodeId, asked: SearchGroupsRequest) -> SearchGroupsResponse {
    let refused = |code: ErrorCode, leader_node| SearchGroupsResponse { code: code.into(), leader_node, found: None };
    let handle = match shards.led(asked.shard, node) {
        Ok(handle) => handle,
        Err(leader_node) => return refused(ErrorCode::NotLeader, leader_node),
    };
    let groups: Vec<_> = asked.groups.iter().filter_map(|group| GroupName::new(&asked.app, group)).collect();
    let (user, search, ignored) = (asked.user, asked.search.unwrap_or_default(), asked.ignored);
    match handle.read(move |view| query::search_groups(view, &user, &groups, &ignored, &search)).await {
        Ok(Ok(found)) => SearchGroupsResponse { found: Some(found), ..SearchGroupsResponse::default() },
        Ok(Err(error)) => {
            tracing::error!(shard = asked.shard, %error, "groups could not be searched");
            refused(ErrorCode::StorageFailed, 0)
        }
        Err(error) => {
            let (code, leader_node) = code_of(&error);
            refused(code, leader_node)
        }
    }
}
