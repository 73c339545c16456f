//! `POST /demo/sign-in`: signs people in by a name alone, for trying it out on one's own machine.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde::Deserialize;
use tidings_proto::ErrorCode;
use tokio::time::Instant;

use super::body::{Body, full};
use super::failure::Failure;
use super::origin;
use crate::rate::{Bucket, Rate};

/// Where people sign in.
pub(crate) const PATH: &str = "/demo/sign-in";
const MAX_BODY_BYTES: usize = 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Characters of a name, at most.
const MAX_NAME: usize = 40;

/// Who was signed in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub app: String,
    pub user: String,
    pub token: String,
}

/// Makes users and tokens for people who say nothing but a name.
pub trait Accounts: Send + Sync {
    /// The user of this name (1 to 40 characters), made where there is none, and a new token of it.
    fn sign_in(&self, name: String) -> BoxFuture<'_, Result<SignedIn, tonic::Status>>;
}

/// Sign-in without a password.
#[derive(Clone)]
pub struct Demo {
    /// Where the users are.
    pub accounts: Arc<dyn Accounts>,
    /// The app that they belong to.
    pub app: String,
    /// Also under a host name; otherwise only where the page's address is an IP address or `localhost`, so that no page
    /// whose name was made to point at this machine can sign in.
    pub any_host: bool,
}

/// The desk at which people sign in.
pub(crate) struct Desk {
    demo: Demo,
    rate: Rate,
    taken: Mutex<Bucket>,
    opened: Instant,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    name: String,
}

impl Desk {
    /// Twenty people at once, then two a second.
    pub fn new(demo: Demo) -> Self {
        Self { demo, rate: Rate::new(2, 20), taken: Mutex::default(), opened: Instant::now() }
    }

    /// The app that people are signed in to.
    pub fn app(&self) -> &str {
        &self.demo.app
    }

    /// Answers a POST.
    pub async fn answer(&self, headers: &HeaderMap, body: Incoming) -> Result<Response<Body>, Failure> {
        let refused = |message: &str| Err(Failure::new(ErrorCode::PermissionDenied, message));
        if !origin::is_same(headers) {
            return refused("only this gateway's own pages sign in");
        }
        if !self.demo.any_host && !origin::host(headers).is_some_and(origin::is_address) {
            return refused("people sign in at an IP address or localhost");
        }
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if content_type.split(';').next().map(str::trim) != Some("application/json") {
            return Err(Failure::new(ErrorCode::InvalidArgument, "the body is application/json"));
        }
        let wait = self.taken.lock().take(&self.rate, self.opened.elapsed());
        wait.map_err(|wait| Failure::new(ErrorCode::RateLimited, "too many sign in").after(wait))?;
        let name = name_in(body).await?;
        let signed_in = self.demo.accounts.sign_in(name).await?;
        let SignedIn { app, user, token } = signed_in;
        let mut response =
            Response::new(full(serde_json::json!({ "app": app, "user": user, "token": token }).to_string()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

async fn name_in(body: Incoming) -> Result<String, Failure> {
    let invalid = |message: &str| Failure::new(ErrorCode::InvalidArgument, message);
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect()).await;
    let collected = collected.map_err(|_| invalid("the body did not come in time"))?;
    let bytes = collected.map_err(|_| invalid("the body has more than 1024 bytes, or broke off"))?.to_bytes();
    let sign_in: SignIn = serde_json::from_slice(&bytes).map_err(|_| invalid("the body is {\"name\":\"…\"}"))?;
    let name = sign_in.name.trim();
    let good = (1..=MAX_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if good { Ok(name.to_owned()) } else { Err(invalid("a name has 1 to 40 characters")) }
}
