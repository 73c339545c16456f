//! Users with tokens: a sender and a recipient for each pair.

use anyhow::Result;
use tidings_proto::control::v1::tokens_client::TokensClient;
use tidings_proto::control::v1::users_client::UsersClient;
use tidings_proto::control::v1::{CreateTokenRequest, CreateUserRequest};
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;

/// One sender and who it sends to.
#[derive(Debug, Clone)]
pub struct Pair {
    pub sender_token: String,
    pub recipient: String,
    pub recipient_token: String,
}

pub struct Pairs(pub Vec<Pair>);

impl Pairs {
    pub async fn create(control_url: String, operator_key: &str, count: usize) -> Result<Self> {
        let channel = Channel::from_shared(control_url)?.connect().await?;
        let key: MetadataValue<Ascii> = format!("Bearer {operator_key}").parse()?;
        let with_key = move |mut request: Request<()>| {
            request.metadata_mut().insert("authorization", key.clone());
            Ok(request)
        };
        let mut users = UsersClient::with_interceptor(channel.clone(), with_key.clone());
        let mut tokens = TokensClient::with_interceptor(channel, with_key);
        let mut token_of = async |user: String| -> Result<String> {
            users.create_user(CreateUserRequest { id: user.clone(), ..Default::default() }).await?;
            Ok(tokens.create_token(CreateTokenRequest { user, ..Default::default() }).await?.into_inner().secret)
        };
        let mut pairs = Vec::with_capacity(count);
        for number in 0..count {
            let recipient = format!("recipient-{number}");
            pairs.push(Pair {
                sender_token: token_of(format!("sender-{number}")).await?,
                recipient_token: token_of(recipient.clone()).await?,
                recipient,
            });
        }
        Ok(Self(pairs))
    }
}
