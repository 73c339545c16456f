//! `/files/v1`: uploads by tus, and links to what was uploaded. Who asks shows a token with each request, as `Hello`
//! does.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use parking_lot::Mutex;
use serde_json::json;
use tidings_files::{FileId, Files, FilesError, Limits, NewUpload, Owner, Progress, Upload, id};
use tidings_proto::files::v1::File;
use tidings_proto::{EffectivePolicy, ErrorCode};
use tokio::time::{Duration, Instant};

use super::body::{Body, full};
use super::failure::Failure;
use super::{cors, download, tus};
use crate::cache::Cache;
use crate::core::Core;
use crate::directory::{TokenEntry, UserKey};
use crate::rate::{Bucket, Rate};

/// What everything about files is below.
pub(crate) const PREFIX: &str = "/files/v1/";
const UPLOADS: &str = "uploads";
const APP_ID: &str = "tidings-app-id";
/// Uploads that one user may begin on this gateway: so many a second, and so many at once.
const CREATED_PER_SECOND: u32 = 5;
const CREATED_BURST: u32 = 60;
/// Users whose uploads are counted.
const COUNTED_USERS: usize = 10_000;
/// How often it is looked whether whoever sends bytes still may, besides after each part.
const LOOKED_EVERY: Duration = Duration::from_secs(1);
/// What is still read of a request that is refused, so that its sender gets to read why.
const DRAINED_BYTES: u64 = 8 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The counter at which files are taken and given out.
pub(crate) struct Counter {
    core: Arc<Core>,
    files: Files,
    rate: Rate,
    created: Mutex<Cache<UserKey, Arc<Mutex<Bucket>>>>,
}

/// Who asks.
struct Caller {
    token: Arc<TokenEntry>,
    policy: Arc<EffectivePolicy>,
}

impl Caller {
    fn owner(&self) -> Owner<'_> {
        Owner { app: self.token.user.app(), user: self.token.user.user() }
    }

    fn limits(&self) -> Limits {
        Limits { max_bytes: self.policy.max_file_bytes, types: self.policy.file_types.clone() }
    }
}

impl Counter {
    pub fn new(core: Arc<Core>, files: Files) -> Self {
        let rate = Rate::new(CREATED_PER_SECOND, CREATED_BURST);
        Self { core, files, rate, created: Mutex::new(Cache::new(COUNTED_USERS)) }
    }

    /// Answers a request for a path below [`PREFIX`].
    pub async fn answer(&self, head: &Parts, mut body: Incoming) -> Response<Body> {
        let answered = self.route(head, &mut body).await;
        let is_refused = answered.is_err();
        let mut response = answered.unwrap_or_else(Failure::response);
        if is_refused {
            drain(&mut body).await;
        }
        let headers = response.headers_mut();
        if !head.uri.path().starts_with(download::PREFIX) {
            tus::mark(headers);
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        cors::allow(&self.core.config.allowed_origins, &head.headers, headers);
        response
    }

    async fn route(&self, head: &Parts, body: &mut Incoming) -> Result<Response<Body>, Failure> {
        if head.uri.path().starts_with(download::PREFIX) {
            return match head.method {
                Method::GET | Method::HEAD => {
                    download::answer(&self.files, &self.core.metrics.file_bytes_out, head).await
                }
                Method::OPTIONS => Ok(status(StatusCode::NO_CONTENT)),
                _ => Err(Failure::verb("GET, HEAD")),
            };
        }
        let rest = head.uri.path().strip_prefix(PREFIX).unwrap_or_default();
        let place: Vec<&str> = rest.split('/').collect();
        match (place.as_slice(), &method(head)) {
            (_, &Method::OPTIONS) => Ok(self.offer()),
            ([UPLOADS], &Method::POST) => self.create(head, body).await,
            ([UPLOADS], _) => Err(Failure::verb("OPTIONS, POST")),
            ([UPLOADS, id], method) => self.upload(head, body, &file_id(id)?, method).await,
            (["files", id, "link"], &Method::POST) => self.link(head, &file_id(id)?).await,
            (["files", _, "link"], _) => Err(Failure::verb("POST")),
            _ => Err(Failure::nothing_here()),
        }
    }

    async fn upload(
        &self,
        head: &Parts,
        body: &mut Incoming,
        id: &FileId,
        method: &Method,
    ) -> Result<Response<Body>, Failure> {
        let caller = self.caller(&head.headers).await?;
        if *method == Method::GET {
            let file = self.files.complete(caller.owner(), id).await?;
            return Ok(described(id, &file));
        }
        tus::check_version(&head.headers)?;
        match *method {
            Method::HEAD => {
                let progress = self.files.progress(caller.owner(), id).await?;
                Ok(told(StatusCode::OK, progress))
            }
            Method::PATCH => {
                if head.headers.get(CONTENT_TYPE).is_none_or(|value| value != tus::BYTES) {
                    let message = format!("the body is {}", tus::BYTES);
                    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                    return Err(Failure::with_status(status, ErrorCode::InvalidArgument, message));
                }
                let offset = tus::number(&head.headers, &tus::OFFSET)?;
                let upload = self.files.resume(caller.owner(), id, offset).await?;
                let progress = self.take(&caller, upload, body).await?;
                Ok(told(StatusCode::NO_CONTENT, progress))
            }
            Method::DELETE => {
                self.files.delete(caller.owner(), id).await?;
                Ok(status(StatusCode::NO_CONTENT))
            }
            _ => Err(Failure::verb("DELETE, GET, HEAD, OPTIONS, PATCH")),
        }
    }

    /// Who the token in the request speaks for, if that user may have files.
    async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Failure> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let secret = text(AUTHORIZATION.as_str()).strip_prefix("Bearer ").map(str::trim).unwrap_or_default();
        if secret.is_empty() {
            return Err(Failure::new(ErrorCode::TokenUnknown, "the header `authorization: Bearer <token>` is missing"));
        }
        let token = self.core.directory.token(secret, text(APP_ID)).await?;
        let policy = self.core.directory.user(token.user.app(), token.user.user()).await?;
        let policy = policy.ok_or_else(|| Failure::new(ErrorCode::TokenRevoked, "the user was deleted"))?;
        let policy = policy.effective();
        if !policy.files {
            return Err(Failure::new(ErrorCode::FeatureOff, "files are switched off for this user"));
        }
        Ok(Caller { token, policy })
    }

    /// Whether who sends bytes still may: the token may have been revoked, or the user's files switched off.
    async fn still_may(&self, caller: &Caller) -> Result<(), Failure> {
        let TokenEntry { secret, app_id, user, .. } = &*caller.token;
        self.core.directory.token(secret, app_id).await?;
        let policy = self.core.directory.user(user.app(), user.user()).await?;
        match policy {
            Some(policy) if policy.effective().files => Ok(()),
            _ => Err(Failure::new(ErrorCode::FeatureOff, "files are switched off for this user")),
        }
    }

    async fn create(&self, head: &Parts, body: &mut Incoming) -> Result<Response<Body>, Failure> {
        let caller = self.caller(&head.headers).await?;
        tus::check_version(&head.headers)?;
        let tus::Said { size, name, media_type } = tus::said(&head.headers)?;
        self.count(&caller)?;
        let new = NewUpload { size, name, media_type };
        let (id, mut progress) = self.files.create(caller.owner(), new, &caller.limits()).await?;
        let brings_bytes = head.headers.get(CONTENT_TYPE).is_some_and(|value| value == tus::BYTES);
        if brings_bytes && !body.is_end_stream() {
            let upload = self.files.resume(caller.owner(), &id, 0).await?;
            progress = self.take(&caller, upload, body).await?;
        }
        let mut response = told(StatusCode::CREATED, progress);
        if let Ok(location) = HeaderValue::try_from(format!("{PREFIX}{UPLOADS}/{id}")) {
            response.headers_mut().insert(LOCATION, location);
        }
        Ok(response)
    }

    fn count(&self, caller: &Caller) -> Result<(), Failure> {
        let bucket = {
            let mut created = self.created.lock();
            let user = &caller.token.user;
            created.get(user.as_str()).unwrap_or_else(|| {
                let bucket = Arc::default();
                created.insert(user.clone(), Arc::clone(&bucket));
                bucket
            })
        };
        let taken = bucket.lock().take(&self.rate, self.core.uptime(Instant::now()));
        taken.map_err(|wait| Failure::new(ErrorCode::RateLimited, "too many uploads are begun").after(wait))
    }

    /// Takes a request's bytes. Those that came before it broke off are kept; so the client goes on from there. Whoever
    /// may no longer is told within about a second of the next bytes, and what was not stored by then is not.
    async fn take(&self, caller: &Caller, mut upload: Upload, body: &mut Incoming) -> Result<Progress, Failure> {
        let idle = self.core.config.write_timeout();
        let mut looked = Instant::now();
        let failure = loop {
            let frame = match tokio::time::timeout(idle, body.frame()).await {
                Ok(None) => break None,
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => break Some(Failure::new(ErrorCode::InvalidArgument, "the body broke off")),
                Err(_) => {
                    let status = StatusCode::REQUEST_TIMEOUT;
                    break Some(Failure::with_status(status, ErrorCode::Unavailable, "no byte came for too long"));
                }
            };
            let bytes: Bytes = frame.into_data().unwrap_or_default();
            self.core.metrics.file_bytes_in.increment(bytes.len() as u64);
            if upload.push(bytes).await? || looked.elapsed() >= LOOKED_EVERY {
                self.still_may(caller).await?;
                looked = Instant::now();
            }
        };
        self.still_may(caller).await?;
        let progress = upload.finish().await?;
        failure.map_or(Ok(progress), Err)
    }

    async fn link(&self, head: &Parts, id: &FileId) -> Result<Response<Body>, Failure> {
        let caller = self.caller(&head.headers).await?;
        let app = caller.token.user.app();
        self.files.file(app, id).await?;
        let link = self.files.link(app, id);
        let answer = json!({ "url": download::url(app, id, &link), "expires_at_ms": link.expires_at_ms });
        Ok(json_answer(&answer))
    }

    fn offer(&self) -> Response<Body> {
        let mut response = status(StatusCode::NO_CONTENT);
        tus::offer(response.headers_mut(), self.files.max_bytes(u64::MAX));
        response
    }
}

/// The method, which a client behind a proxy that knows few of them names in a header.
fn method(head: &Parts) -> Method {
    let named = head.headers.get("x-http-method-override").filter(|_| head.method == Method::POST);
    match named.map(HeaderValue::as_bytes) {
        Some(b"PATCH") => Method::PATCH,
        Some(b"DELETE") => Method::DELETE,
        _ => head.method.clone(),
    }
}

fn file_id(text: &str) -> Result<FileId, Failure> {
    FileId::parse(text).ok_or_else(|| FilesError::NotFound.into())
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(""));
    *response.status_mut() = status;
    response
}

fn told(code: StatusCode, progress: Progress) -> Response<Body> {
    let mut response = status(code);
    tus::tell(response.headers_mut(), progress);
    response
}

fn described(id: &FileId, file: &File) -> Response<Body> {
    json_answer(&json!({
        "file": id.as_str(),
        "name": file.name,
        "media_type": file.media_type,
        "size": file.size,
        "sha256": id::hex(&file.sha256),
        "url": null,
    }))
}

fn json_answer(value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(full(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Reads on for a moment: a connection that is closed with unread bytes is reset, and its client never reads the
/// answer.
async fn drain(body: &mut Incoming) {
    let draining = async {
        let mut drained = 0;
        while let Some(Ok(frame)) = body.frame().await {
            drained += frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
            if drained > DRAINED_BYTES {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, draining).await;
}

impl From<FilesError> for Failure {
    fn from(error: FilesError) -> Self {
        use FilesError as E;
        let message = error.to_string();
        match error {
            E::NotFound => Self::new(ErrorCode::NotFound, message),
            E::Offset { offset } | E::Incomplete { offset, .. } => {
                let failure = Self::with_status(StatusCode::CONFLICT, ErrorCode::FailedPrecondition, message);
                failure.header(tus::OFFSET, HeaderValue::from(offset))
            }
            E::Expired | E::LinkExpired => Self::with_status(StatusCode::GONE, ErrorCode::Expired, message),
            E::TooLarge { .. } => Self::new(ErrorCode::TooLarge, message),
            E::TypeRefused(_) => {
                Self::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::RefusedByPolicy, message)
            }
            E::Lie { .. } => Self::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::InvalidArgument, message),
            E::Invalid(_) => Self::new(ErrorCode::InvalidArgument, message),
            E::Used | E::TooManyParts => {
                Self::with_status(StatusCode::CONFLICT, ErrorCode::FailedPrecondition, message)
            }
            E::Busy => Self::new(ErrorCode::Overloaded, message).after(Duration::from_secs(1)),
            E::LinkForged => Self::new(ErrorCode::PermissionDenied, message),
            E::Full => Self::with_status(StatusCode::INSUFFICIENT_STORAGE, ErrorCode::StorageFailed, message),
            E::Store(_) | E::Unusable(_) | E::Overwrites | E::Slow | E::Damaged(_) | E::Config(_) => {
                tracing::warn!(%error, "files");
                Self::new(ErrorCode::StorageFailed, "the files cannot be reached").after(Duration::from_secs(1))
            }
        }
    }
}
