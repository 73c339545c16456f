//! The HTTP side of the client port: `GET /v1/connect` becomes a WebSocket; beside it are the web app, what it is told
//! of this gateway, the demo's sign-in, and files.
//!
//! - [`connect`]: the upgrade
//! - [`app`], [`demo`]: what a browser gets
//! - [`files`], [`tus`], [`download`]: files in and out
//! - [`origin`], [`cors`]: where a request comes from, and who may read the answer
//! - [`body`], [`failure`]: what answers are made of

pub(crate) mod app;
pub(crate) mod body;
pub(crate) mod connect;
mod cors;
pub(crate) mod demo;
mod download;
pub(crate) mod failure;
pub(crate) mod files;
pub(crate) mod origin;
mod tus;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tidings_proto::ErrorCode;

use app::Assets;
use body::{Body, full};
use demo::Desk;
use failure::Failure;
use files::Counter;

/// Where a page asks what there is.
const CONFIG: &str = "/config.json";

/// What a gateway serves besides WebSockets.
pub(crate) struct Web {
    pub assets: Option<Assets>,
    pub desk: Option<Desk>,
    pub counter: Option<Counter>,
}

impl Web {
    /// Answers one request that is not for [`connect::PATH`].
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let mut response = self.route(request).await.unwrap_or_else(Failure::response);
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<Body>, Failure> {
        let (head, body) = request.into_parts();
        let is_get = matches!(head.method, Method::GET | Method::HEAD);
        match head.uri.path() {
            CONFIG if is_get => Ok(self.config()),
            demo::PATH => match &self.desk {
                Some(desk) if head.method == Method::POST => desk.answer(&head.headers, body).await,
                Some(_) => Err(Failure::verb("POST")),
                None => Err(Failure::nothing_here()),
            },
            path if path.starts_with(files::PREFIX) => match &self.counter {
                Some(counter) => Ok(counter.answer(&head, body).await),
                None => Err(Failure::new(ErrorCode::NotFound, "this gateway keeps no files")),
            },
            path if is_get => app::answer(self.assets, path, &head.headers),
            _ => Err(Failure::verb("GET, HEAD")),
        }
    }

    fn config(&self) -> Response<Body> {
        let app = self.desk.as_ref().map(Desk::app);
        let config = serde_json::json!({
            "websocket": connect::PATH,
            "demo": self.desk.is_some(),
            "files": self.counter.is_some(),
            "app": app.unwrap_or_default(),
        });
        let mut response = Response::new(full(config.to_string()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
