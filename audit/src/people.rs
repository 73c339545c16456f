//! The users of a run: made in the control plane with a token each, and deleted at the end.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
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
    pub(crate) fn of(people: &[Person]) -> Self {
        Self(Arc::new((0..).zip(people).map(|(user, person)| (person.id.clone(), user)).collect()))
    }

    /// A name that is none of ours is a user that was never given anything: a contradiction.
    pub(crate) fn user(&self, id: &str) -> User {
        let named = self.0.get(id).copied();
        named.unwrap_or(if id == SYSTEM_NAME { SYSTEM } else { User::MAX })
    }
}

/// Makes users of an app (empty: the key's own), named by a prefix and a number.
pub async fn create<K>(
    service: InterceptedService<Channel, K>,
    app: &str,
    prefix: &str,
    count: u32,
) -> Result<Vec<Person>>
where
    K: Interceptor + Clone,
{
    let (users, tokens) = (UsersClient::new(service.clone()), TokensClient::new(service));
    let mut people = Vec::new();
    for number in 0..count {
        let id = format!("{prefix}-{number}");
        let made = insist(|| {
            let (app, id) = (app.to_owned(), id.clone());
            let request = CreateUserRequest { app, id, ..CreateUserRequest::default() };
            let mut users = users.clone();
            async move { users.create_user(request).await }
        });
        made.await.context("making a user of the audit")?;
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

/// Deletes them, with what their mailboxes hold, and these groups, as far as there are such.
pub async fn delete<K>(
    service: InterceptedService<Channel, K>,
    app: &str,
    people: &[Person],
    groups: impl Iterator<Item = String>,
) -> Result<()>
where
    K: Interceptor + Clone,
{
    let (mut users, mut made) = (UsersClient::new(service.clone()), GroupsClient::new(service));
    for id in groups {
        match made.delete_group(DeleteGroupRequest { app: app.to_owned(), id }).await {
            Err(status) if status.code() != Code::NotFound => return Err(status.into()),
            Ok(_) | Err(_) => {}
        }
    }
    for person in people {
        users.delete_user(DeleteUserRequest { app: app.to_owned(), id: person.id.clone() }).await?;
    }
    Ok(())
}

/// Repeats a call while the control plane is away; both calls here may be repeated.
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
