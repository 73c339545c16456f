//! The operator of what is under measurement: makes its users and groups, and watches where its shards are.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use tidings_audit::LocalCluster;
use tidings_audit::operator::{self, Service};
use tidings_audit::people::Person;
use tidings_proto::control::v1::cluster_client::ClusterClient;
use tidings_proto::control::v1::groups_client::GroupsClient;
use tidings_proto::control::v1::tokens_client::TokensClient;
use tidings_proto::control::v1::users_client::UsersClient;
use tidings_proto::control::v1::{
    AddMembersRequest, ClusterStatus, CreateGroupRequest, CreateTokenRequest, CreateUserRequest, GetClusterRequest,
    Group, Member,
};
use tidings_proto::group::v1::Role;
use tokio::time::{Instant, sleep};

/// How long shards may take to settle.
const LIMIT: Duration = Duration::from_secs(300);
/// Members of one call.
const MEMBERS_AT_ONCE: usize = 1_000;
/// The cluster says where its shards are only when it is asked.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Calls a control-plane node with the operator's key.
#[derive(Debug, Clone)]
pub struct Operator {
    users: UsersClient<Service>,
    tokens: TokensClient<Service>,
    groups: GroupsClient<Service>,
    cluster: ClusterClient<Service>,
}

impl Operator {
    /// At one of the cluster's control-plane nodes.
    pub async fn of(cluster: &LocalCluster, index: usize) -> Result<Self> {
        Self::at(&cluster.control_plane(index).control_url(), &cluster.operator_key()?).await
    }

    /// At a control-plane node's address, with a key.
    pub async fn at(url: &str, key: &str) -> Result<Self> {
        let service = operator::connect(url, key).await?;
        Ok(Self {
            users: UsersClient::new(service.clone()),
            tokens: TokensClient::new(service.clone()),
            groups: GroupsClient::new(service.clone()),
            cluster: ClusterClient::new(service),
        })
    }

    /// A new user, and a token for it. Asked for again where nobody could say whether it was made: both calls may be
    /// repeated.
    pub async fn person(&self, id: String) -> Result<Person> {
        let user = CreateUserRequest { id: id.clone(), ..CreateUserRequest::default() };
        repeated(async || self.users.clone().create_user(user.clone()).await).await.context("making a user")?;
        let token = CreateTokenRequest { user: id.clone(), request_id: id.clone(), ..CreateTokenRequest::default() };
        let made = repeated(async || self.tokens.clone().create_token(token.clone()).await).await;
        Ok(Person { id, token: made.context("making a token")?.into_inner().secret })
    }

    /// Users named by a prefix and a number, made by so many calls at a time; `made` is told of each.
    pub async fn people(
        &self,
        prefix: &str,
        numbers: std::ops::Range<usize>,
        at_once: usize,
        mut made: impl FnMut(Person),
    ) -> Result<()> {
        let calls = futures_util::stream::iter(numbers.map(|number| self.person(format!("{prefix}-{number}"))));
        let mut calls = calls.buffer_unordered(at_once);
        while let Some(person) = calls.next().await {
            made(person?);
        }
        Ok(())
    }

    /// A group of which all of these are members, the first one its owner.
    pub async fn group(&self, id: &str, users: &[String]) -> Result<()> {
        let member = |user: &String| Member { user: user.clone(), ..Member::default() };
        let mut members = users.iter().map(member);
        let first = members.next().context("a group has an owner")?;
        let group = Some(Group { id: id.to_owned(), ..Group::default() });
        let made = CreateGroupRequest { group, members: vec![Member { role: Role::Owner.into(), ..first }] };
        self.groups.clone().create_group(made).await.context("making a group")?;
        let others: Vec<_> = members.collect();
        for members in others.chunks(MEMBERS_AT_ONCE).map(<[Member]>::to_vec) {
            let request = AddMembersRequest { group: id.to_owned(), members, ..AddMembersRequest::default() };
            self.groups.clone().add_members(request).await.context("adding members")?;
        }
        Ok(())
    }

    /// What the cluster says of itself.
    pub async fn status(&self) -> Result<ClusterStatus> {
        Ok(self.cluster.clone().get_cluster(GetClusterRequest {}).await?.into_inner())
    }

    /// Waits until every shard is where it is wanted and led by the broker that it prefers.
    pub async fn settled(&self) -> Result<ClusterStatus> {
        self.until("the shards settle", |_| true).await
    }

    /// As [`settled`](Self::settled), and that the cluster says what is wanted.
    pub async fn until(&self, what: &str, is_so: impl Fn(&ClusterStatus) -> bool) -> Result<ClusterStatus> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let asked = self.status().await;
            if let Ok(status) = &asked
                && is_settled(status)
                && is_so(status)
            {
                return Ok(status.clone());
            }
            // A node that has just lost its leader refuses for a moment.
            ensure!(Instant::now() < deadline, "not within {LIMIT:?}: {what}; the cluster says {asked:?}");
            sleep(ASK_EVERY).await;
        }
    }
}

/// Calls until there is an answer that would stay the same.
async fn repeated<T>(call: impl AsyncFn() -> Result<T, tonic::Status>) -> Result<T, tonic::Status> {
    let deadline = Instant::now() + LIMIT;
    loop {
        match call().await {
            Err(status) if status.code() == tonic::Code::Unavailable && Instant::now() < deadline => {
                sleep(ASK_EVERY).await;
            }
            answer => return answer,
        }
    }
}

fn is_settled(status: &ClusterStatus) -> bool {
    status.shards.iter().all(|shard| shard.settled && shard.wanted.first() == Some(&shard.leader))
}

/// The shards that a node leads.
pub fn led_by(status: &ClusterStatus, node: u64) -> BTreeSet<u32> {
    status.shards.iter().filter(|shard| shard.leader == node).map(|shard| shard.shard).collect()
}
