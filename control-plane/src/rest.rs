//! REST/JSON for backends, on the port of gRPC and from the same contracts: the option `google.api.http` of a method
//! says its path, and the descriptors say the rest. A request becomes a call of the method in this process, so that
//! keys, limits, refusals and metrics are those of gRPC. docs/rest.md tells how it is used.
//!
//! - [`rules`], [`template`]: which method a request means
//! - [`request`], [`query`]: its parts as the method's message
//! - [`call`]: the call; [`json`], [`failure`]: what comes of it
//! - [`openapi`], [`schema`]: the document that describes all of it

pub mod call;
pub mod failure;
pub mod json;
pub mod openapi;
pub mod query;
pub mod request;
pub mod rules;
pub mod schema;
pub mod template;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use prost_reflect::DescriptorPool;
use tidings_proto::ErrorCode;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;

use crate::services::groups;
use failure::Failure;
use rules::{Found, Rules};

/// Bytes of a body, at most: in JSON a request is up to twice what it is in protobuf.
pub const MAX_BODY_BYTES: usize = 2 * groups::MAX_REQUEST_BYTES;
/// How long a body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Where the description is; the only path that takes no key.
const OPENAPI: &str = "/openapi.json";

/// What answers requests that are not gRPC. Cheap to clone.
#[derive(Clone)]
pub struct Rest {
    services: Routes,
    contract: Arc<Contract>,
}

struct Contract {
    pool: DescriptorPool,
    rules: Rules,
    openapi: Bytes,
}

impl Rest {
    /// The services, with REST/JSON beside them on one port. The error says what in the contracts cannot be served.
    pub fn beside(services: Routes) -> Result<Routes, String> {
        let rest = Self::new(services.clone())?;
        let router = services.into_axum_router().fallback(move |request| rest.clone().answer(request));
        Ok(router.into())
    }

    fn new(services: Routes) -> Result<Self, String> {
        let pool = DescriptorPool::decode(tidings_proto::DESCRIPTORS).map_err(|error| error.to_string())?;
        let rules = Rules::of(&pool)?;
        let openapi = Bytes::from(openapi::document(&pool, &rules).to_string());
        Ok(Self { services, contract: Arc::new(Contract { pool, rules, openapi }) })
    }

    async fn answer(self, request: Request) -> Response<Body> {
        let media = request.headers().get(CONTENT_TYPE);
        if media.is_some_and(|media| media.as_bytes().starts_with(b"application/grpc")) {
            return Status::unimplemented("there is no such service").into_http();
        }
        match self.outcome(request).await {
            Ok(body) => json_response(body),
            Err(failure) => failure.response(&self.contract.pool),
        }
    }

    async fn outcome(&self, request: Request) -> Result<Bytes, Failure> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        if path == OPENAPI {
            return Ok(self.contract.openapi.clone());
        }
        let (rule, places) = match self.contract.rules.find(&head.method, path) {
            Found::Rule(rule, places) => (rule, places),
            Found::OtherVerbs(verbs) => return Err(Failure::verb(&verbs)),
            Found::Nothing => {
                let message = format!("there is no such path; {OPENAPI} lists them");
                return Err(Failure::new(ErrorCode::NotFound, message));
            }
        };
        let mut metadata = MetadataMap::new();
        let key = head.headers.get(AUTHORIZATION).and_then(|key| key.as_bytes().try_into().ok());
        if let Some(key) = key {
            metadata.insert(AUTHORIZATION.as_str(), key);
        }
        let message = request::message(rule, places, head.uri.query().unwrap_or_default(), &whole(body).await?)?;
        let answer = call::unary(self.services.clone(), &rule.method, metadata, message).await?;
        let answer = json::write(&answer);
        Ok(answer.map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))?.into())
    }
}

/// A body within the limits of size and time.
async fn whole(body: Body) -> Result<Bytes, Failure> {
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = format!("the body has more than {MAX_BODY_BYTES} bytes");
            Err(Failure::with_status(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, message))
        }
        Ok(Err(error)) => Err(Failure::invalid(format!("the body broke off: {error}"))),
        Err(_) => {
            let message = format!("the body did not come within {} s", BODY_TIMEOUT.as_secs());
            Err(Failure::with_status(StatusCode::REQUEST_TIMEOUT, ErrorCode::InvalidArgument, message))
        }
    }
}

fn json_response(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(json::MEDIA_TYPE));
    response
}
