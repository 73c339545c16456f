//! The users of a run: made in the control plane with a token each, and deleted at the end.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidings_proto::control::v1::groups_client::GroupsClient;
use tidings_proto::control::v1::tokens_client::TokensClient;
use tidings_proto::control::v1::users_client::UsersClient;
use tidings_proto::control::v1::{CreateTokenRequest, CreateUserRequest, DeleteGroupRequest, DeleteUserRequest};
use tokio::time::{Instant, sleep};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::cluster::DEADLINE;
use crate::history::{SYSTEM, User};

/// Who the system is to those to whom a backend writes in its name.
const SYSTEM_NAME: &str = "system";

/// Calls at a time.
const CALLS: usize = 16;

/// A user, and the token that its client connects with.
#[derive(Debug, Clone)]
pub struct Person {
    /// The user's id.
    pub id: String,
    /// The token.
    pub token: String,
}

/// Which user a name stands for. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Names(Arc<HashMap<String, User>>);

impl Names {
    /// Of those who have devices, and then of those who have none.
    pub(crate) fn of(people: &[Person], crowd: &[String]) -> Self {
        let ids = people.iter().map(|person| &person.id).chain(crowd);
        Self(Arc::new((0..).zip(ids).map(|(user, id)| (id.clone(), user)).collect()))
    }

    /// A name that is none of ours is a user that was never given anything: a contradiction.
    pub(crate) fn user(&self, id: &str) -> User {
        let named = self.0.get(id).copied();
        named.unwrap_or(if id == SYSTEM_NAME { SYSTEM } else { User::MAX })
    }
}

/// Makes users of an app (empty: the key's own), named by a prefix and a number, with a token each.
pub async fn create<K>(
    service: InterceptedService<Channel, K>,
    app: &str,
    prefix: &str,
    count: u32,
) -> Result<Vec<Person>>
where
    K: Interceptor + Clone,
{
    let tokens = TokensClient::new(service.clone());
    let mut people = Vec::new();
    for id in create_crowd(service, app, prefix, count).await? {
        let made = insist(|| {
            let (app, user) = (app.to_owned(), id.clone());
            let request = CreateTokenRequest { app, user, ..CreateTokenRequest::default() };
            let mut tokens = tokens.clone();
            async move { tokens.create_token(request).await }
        });
        let token = made.await.context("making a token of the audit")?.into_inner().secret;
        people.push(Person { id, token });
    }
    Ok(people)
}

/// The same without tokens: nobody connects as one of them.
pub async fn create_crowd<K>(
    service: InterceptedService<Channel, K>,
    app: &str,
    prefix: &str,
    count: u32,
) -> Result<Vec<String>>
where
    K: Interceptor + Clone,
{
    let users = UsersClient::new(service);
    let making = (0..count).map(|number| {
        let (users, app, id) = (users.clone(), app.to_owned(), format!("{prefix}-{number}"));
        async move {
            let made = insist(|| {
                let request = CreateUserRequest { app: app.clone(), id: id.clone(), ..CreateUserRequest::default() };
                let mut users = users.clone();
                async move { users.create_user(request).await }
            });
            made.await.context("making a user of the audit")?;
            Ok(id)
        }
    });
    stream::iter(making).buffered(CALLS).try_collect().await
}

/// Deletes users, with what their mailboxes hold, and these groups, as far as there are such.
pub async fn delete<K>(
    service: InterceptedService<Channel, K>,
    app: &str,
    users: impl Iterator<Item = String>,
    groups: impl Iterator<Item = String>,
) -> Result<()>
where
    K: Interceptor + Clone,
{
    let (made, mut rooms) = (UsersClient::new(service.clone()), GroupsClient::new(service));
    for id in groups {
        gone(rooms.delete_group(DeleteGroupRequest { app: app.to_owned(), id }).await.map(drop))?;
    }
    let deleting = users.map(|id| {
        let (made, request) = (made.clone(), DeleteUserRequest { app: app.to_owned(), id });
        async move {
            let deleted = insist(|| {
                let (mut made, request) = (made.clone(), request.clone());
                async move { gone(made.delete_user(request).await.map(drop)) }
            });
            deleted.await.context("deleting a user of the audit")
        }
    });
    stream::iter(deleting).buffer_unordered(CALLS).try_collect().await
}

/// What is not there is deleted.
fn gone(deleted: Result<(), Status>) -> Result<(), Status> {
    match deleted {
        Err(status) if status.code() == Code::NotFound => Ok(()),
        other => other,
    }
}

/// Repeats a call while the control plane is away; all that are made so may be.
async fn insist<R, F: Future<Output = Result<R, Status>>>(call: impl Fn() -> F) -> Result<R> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match call().await {
            Err(status) if status.code() == Code::Unavailable && Instant::now() < deadline => {
                // Nothing tells when there is a leader again.
                sleep(Duration::from_millis(100)).await;
            }
            answer => return Ok(answer?),
        }
    }
}
