//! Files: up to a gateway before a message names them, and down from one. Both go on where they broke off, at whichever
//! gateway answers.

use std::io::SeekFrom;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tidings_proto::ErrorCode;
use tidings_proto::message::v1::Attachment;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncSeek, AsyncSeekExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::gateways::Gateways;
use crate::http::{Answer, Http, headers};
use crate::token::TokenSource;

const UPLOADS: &str = "/files/v1/uploads";
/// Bytes of one request: a part of the store, so that what arrived is kept whole.
const PIECE_BYTES: u64 = 4 << 20;
/// Attempts in a row that bring nothing forward.
const ATTEMPTS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// A download that brings no byte for so long broke off.
const IDLE: Duration = Duration::from_secs(30);

/// Why a file did not go its way.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The server will not take it, or does not have it.
    #[error("{}: {message}", code.as_str_name())]
    Refused {
        /// The reason.
        code: ErrorCode,
        /// For people.
        message: String,
    },
    /// No gateway answered as it should, several times in a row.
    #[error("the gateway cannot be reached: {0}")]
    Unreachable(String),
    /// What came is not what the message said.
    #[error("the file is not the one that the message names")]
    Changed,
    /// The file on this side cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The source of tokens has none.
    #[error("no token: {0}")]
    Token(String),
    /// The attachment names no file: the app keeps it at its own address.
    #[error("the file is kept elsewhere, at {0:?}")]
    Elsewhere(String),
}

/// What a file is to others.
#[derive(Debug, Clone, Default)]
pub struct FileInfo {
    /// At most 255 bytes.
    pub name: String,
    /// Such as `image/png`; has to be so. Empty: not known.
    pub media_type: String,
}

/// The way of a client's files. Cheap to clone.
#[derive(Clone)]
pub struct Files(Arc<Inner>);

impl std::fmt::Debug for Files {
    // Never the token itself.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Files")
    }
}

struct Inner {
    gateways: Mutex<Gateways>,
    token: TokenSource,
    app_id: String,
}

/// An upload that the server knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadId(String);

impl UploadId {
    /// The id that was written down.
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// To be written down, and gone on with after a restart.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Deserialize)]
struct Described {
    file: String,
    name: String,
    media_type: String,
    size: u64,
    sha256: String,
}

#[derive(Deserialize)]
struct Linked {
    url: String,
}

#[derive(Deserialize)]
struct Refusal {
    error: RefusalBody,
}

#[derive(Deserialize)]
struct RefusalBody {
    code: String,
    message: String,
}

/// What an attempt came to.
enum Tried<T> {
    Done(T),
    /// Some of it is done.
    Further,
    /// It may do the next time.
    Again(String),
}

impl<T> Tried<T> {
    fn and_then<U>(self, next: impl FnOnce(T) -> Result<Tried<U>, FileError>) -> Result<Tried<U>, FileError> {
        match self {
            Self::Done(done) => next(done),
            Self::Further => Ok(Tried::Further),
            Self::Again(why) => Ok(Tried::Again(why)),
        }
    }
}

impl Files {
    pub(crate) fn new(gateways: Gateways, token: TokenSource, app_id: String) -> Self {
        Self(Arc::new(Inner { gateways: Mutex::new(gateways), token, app_id }))
    }

    /// Uploads all of `source`; the attachment is for a message. `progress` is told how many bytes the server has, and
    /// of how many.
    pub async fn upload<S>(
        &self,
        source: &mut S,
        info: &FileInfo,
        progress: impl FnMut(u64, u64),
    ) -> Result<Attachment, FileError>
    where
        S: AsyncRead + AsyncSeek + Unpin,
    {
        let size = source.seek(SeekFrom::End(0)).await?;
        let upload = self.begin(size, info).await?;
        self.resume(&upload, source, progress).await
    }

    /// Announces an upload of so many bytes.
    pub async fn begin(&self, size: u64, info: &FileInfo) -> Result<UploadId, FileError> {
        let (name, media_type) = (STANDARD.encode(&info.name), STANDARD.encode(&info.media_type));
        let (length, metadata) = (size.to_string(), format!("filename {name},filetype {media_type}"));
        let said = [("upload-length", length.as_str()), ("upload-metadata", metadata.as_str())];
        self.until_done(async |http: &mut Http| {
            let answer = self.ask(http, Method::POST, UPLOADS, &said, Bytes::new()).await?;
            done(answer)?.and_then(|answer| {
                let location = answer.headers.get(http::header::LOCATION).and_then(|value| value.to_str().ok());
                let id = location.and_then(|location| location.rsplit('/').next());
                let id = id.ok_or_else(|| FileError::Unreachable("it named no upload".to_owned()))?;
                Ok(Tried::Done(UploadId(id.to_owned())))
            })
        })
        .await
    }

    /// Brings the bytes that the server does not have yet.
    pub async fn resume<S>(
        &self,
        upload: &UploadId,
        source: &mut S,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Attachment, FileError>
    where
        S: AsyncRead + AsyncSeek + Unpin,
    {
        let size = source.seek(SeekFrom::End(0)).await?;
        let path = format!("{UPLOADS}/{}", upload.0);
        // None: the server is asked.
        let mut at: Option<u64> = None;
        self.until_done(async |http: &mut Http| {
            let offset = match at {
                Some(offset) => offset,
                None => match done(self.ask(http, Method::HEAD, &path, &[], Bytes::new()).await?)? {
                    Tried::Done(answer) => offset_in(&answer)?,
                    Tried::Further => return Ok(Tried::Further),
                    Tried::Again(why) => return Ok(Tried::Again(why)),
                },
            };
            at = None;
            progress(offset, size);
            if offset >= size {
                let answer = done(self.ask(http, Method::GET, &path, &[], Bytes::new()).await?)?;
                return described(answer);
            }
            let mut piece = Vec::new();
            source.seek(SeekFrom::Start(offset)).await?;
            (&mut *source).take(PIECE_BYTES.min(size - offset)).read_to_end(&mut piece).await?;
            if piece.is_empty() {
                let shorter = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the file became shorter");
                return Err(shorter.into());
            }
            let text = offset.to_string();
            let said = [("content-type", "application/offset+octet-stream"), ("upload-offset", text.as_str())];
            let answer = self.ask(http, Method::PATCH, &path, &said, piece.into()).await?;
            if answer.status == StatusCode::CONFLICT && answer.headers.contains_key("upload-offset") {
                // An attempt whose answer was lost had come further; or somebody else did.
                return Ok(Tried::Again("the upload is elsewhere".to_owned()));
            }
            done(answer)?.and_then(|answer| {
                at = Some(offset_in(&answer)?);
                Ok(Tried::Further)
            })
        })
        .await
    }

    /// Gives an upload up.
    pub async fn cancel(&self, upload: &UploadId) -> Result<(), FileError> {
        let path = format!("{UPLOADS}/{}", upload.0);
        self.until_done(async |http: &mut Http| {
            done(self.ask(http, Method::DELETE, &path, &[], Bytes::new()).await?)?.and_then(|_| Ok(Tried::Done(())))
        })
        .await
    }

    /// A path at any gateway, with what it takes to read the file there, good for a time.
    pub async fn link(&self, attachment: &Attachment) -> Result<String, FileError> {
        if attachment.file.is_empty() {
            return Err(FileError::Elsewhere(attachment.url.clone()));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric();
        if !attachment.file.bytes().all(plain) {
            return Err(FileError::Changed);
        }
        let path = format!("/files/v1/files/{}/link", attachment.file);
        self.until_done(async |http: &mut Http| {
            let answer = done(self.ask(http, Method::POST, &path, &[], Bytes::new()).await?)?;
            parsed::<Linked>(answer)?.and_then(|linked| Ok(Tried::Done(linked.url)))
        })
        .await
    }

    /// Downloads the file of an attachment, and sees to it that it is the one that the message names. `progress` is
    /// told how many bytes came, and of how many.
    pub async fn download<W>(
        &self,
        attachment: &Attachment,
        to: &mut W,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<(), FileError>
    where
        W: AsyncWrite + Unpin,
    {
        let path = self.link(attachment).await?;
        let (mut hash, mut came) = (Sha256::new(), 0u64);
        self.until_done(async |http: &mut Http| {
            let range = format!("bytes={came}-");
            let said = if came > 0 { headers(&[("range", &range)]) } else { Ok(HeaderMap::new()) };
            let said = said.map_err(FileError::Unreachable)?;
            let response = match http.send(Method::GET, &path, said, Bytes::new()).await {
                Ok(response) => response,
                Err(why) => return Ok(Tried::Again(why)),
            };
            let (head, mut body) = response.into_parts();
            match head.status {
                StatusCode::OK if came == 0 => {}
                StatusCode::PARTIAL_CONTENT => {}
                // All of it came, and the last answer only did not end.
                StatusCode::RANGE_NOT_SATISFIABLE => return Ok(Tried::Done(())),
                status => return again_or_refused(status, &Bytes::new()),
            }
            let rest = head.headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
            let size = came + rest.and_then(|rest| rest.parse::<u64>().ok()).unwrap_or_default();
            let before = came;
            loop {
                let frame = match tokio::time::timeout(IDLE, body.frame()).await {
                    Ok(None) if came < size => Err("the download broke off".to_owned()),
                    Ok(None) => return Ok(Tried::Done(())),
                    Ok(Some(frame)) => frame.map_err(|error| error.to_string()),
                    Err(_) => Err("no byte came for too long".to_owned()),
                };
                match frame {
                    Ok(frame) => {
                        let bytes = frame.into_data().unwrap_or_default();
                        to.write_all(&bytes).await?;
                        hash.update(&bytes);
                        came += bytes.len() as u64;
                        progress(came, size);
                    }
                    Err(_) if came > before => return Ok(Tried::Further),
                    Err(why) => return Ok(Tried::Again(why)),
                }
            }
        })
        .await?;
        to.flush().await?;
        let is_it = attachment.sha256.is_empty() || hash.finalize().as_slice() == attachment.sha256;
        if is_it { Ok(()) } else { Err(FileError::Changed) }
    }

    /// Tries one step after the other, each at the gateway of the last one as long as that answers.
    async fn until_done<T>(
        &self,
        mut step: impl AsyncFnMut(&mut Http) -> Result<Tried<T>, FileError>,
    ) -> Result<T, FileError> {
        let (mut open, mut failed): (Option<Http>, u32) = (None, 0);
        loop {
            let why = match self.connection(open.take()).await {
                Err(why) => why,
                Ok(mut http) => match step(&mut http).await {
                    Ok(Tried::Done(done)) => return Ok(done),
                    Ok(Tried::Further) => {
                        failed = 0;
                        open = Some(http);
                        continue;
                    }
                    Ok(Tried::Again(why)) => why,
                    // Of the connection.
                    Err(FileError::Unreachable(why)) => why,
                    Err(error) => return Err(error),
                },
            };
            failed += 1;
            if failed >= ATTEMPTS {
                return Err(FileError::Unreachable(why));
            }
            tokio::time::sleep(pause(failed)).await;
        }
    }

    async fn connection(&self, open: Option<Http>) -> Result<Http, String> {
        if let Some(http) = open.filter(Http::is_open) {
            return Ok(http);
        }
        let address = self.0.gateways.lock().next();
        Http::open(&address).await
    }

    async fn ask(
        &self,
        http: &mut Http,
        method: Method,
        path: &str,
        said: &[(&'static str, &str)],
        body: Bytes,
    ) -> Result<Answer, FileError> {
        let token = self.0.token.token().await.map_err(FileError::Token)?;
        let bearer = format!("Bearer {token}");
        let mut all = vec![("authorization", bearer.as_str()), ("tus-resumable", "1.0.0")];
        if !self.0.app_id.is_empty() {
            all.push(("tidings-app-id", &self.0.app_id));
        }
        all.extend_from_slice(said);
        let headers = headers(&all).map_err(FileError::Token)?;
        http.ask(method, path, headers, body).await.map_err(FileError::Unreachable)
    }
}

/// Grows from attempt to attempt, and is never the same for two clients.
fn pause(failed: u32) -> Duration {
    let ceiling = (FIRST_PAUSE * 2u32.saturating_pow(failed.min(10))).min(LAST_PAUSE);
    ceiling.mul_f64(rand::random_range(0.5..1.0))
}

fn done(answer: Answer) -> Result<Tried<Answer>, FileError> {
    if answer.status.is_success() {
        return Ok(Tried::Done(answer));
    }
    again_or_refused(answer.status, &answer.body)
}

/// What the gateway will do later, and what it never will.
fn again_or_refused<T>(status: StatusCode, body: &Bytes) -> Result<Tried<T>, FileError> {
    let refusal = serde_json::from_slice::<Refusal>(body).ok().map(|refusal| refusal.error);
    let is_later = matches!(
        status,
        StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    let (code, message) = match refusal {
        Some(RefusalBody { code, message }) => (ErrorCode::from_str_name(&code), message),
        None => (None, status.to_string()),
    };
    if is_later {
        return Ok(Tried::Again(message));
    }
    let of_status = match status {
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        StatusCode::GONE => ErrorCode::Expired,
        StatusCode::FORBIDDEN => ErrorCode::PermissionDenied,
        _ => ErrorCode::FailedPrecondition,
    };
    Err(FileError::Refused { code: code.unwrap_or(of_status), message })
}

fn offset_in(answer: &Answer) -> Result<u64, FileError> {
    let offset = answer.headers.get("upload-offset").and_then(|value| value.to_str().ok()?.parse().ok());
    offset.ok_or_else(|| FileError::Unreachable("the answer says no offset".to_owned()))
}

fn parsed<T: serde::de::DeserializeOwned>(tried: Tried<Answer>) -> Result<Tried<T>, FileError> {
    tried.and_then(|answer| match serde_json::from_slice(&answer.body) {
        Ok(parsed) => Ok(Tried::Done(parsed)),
        Err(error) => Ok(Tried::Again(format!("the answer is not understood: {error}"))),
    })
}

fn described(tried: Tried<Answer>) -> Result<Tried<Attachment>, FileError> {
    parsed::<Described>(tried)?.and_then(|Described { file, name, media_type, size, sha256 }| {
        let sha256 = unhex(&sha256);
        Ok(Tried::Done(Attachment { file, name, media_type, size, sha256, ..Attachment::default() }))
    })
}

/// What is no digit is left out, and the hash is then none that a file has.
fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Vec<u8> = text.as_bytes().iter().filter_map(digit).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_what_may_do_later() {
        let body = Bytes::from_static(br#"{"error":{"code":"TOO_LARGE","message":"too large"}}"#);
        let refused = again_or_refused::<()>(StatusCode::PAYLOAD_TOO_LARGE, &body);
        assert!(matches!(refused, Err(FileError::Refused { code: ErrorCode::TooLarge, .. })));
        for later in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS] {
            assert!(matches!(again_or_refused::<()>(later, &Bytes::new()), Ok(Tried::Again(_))));
        }
        let gone = again_or_refused::<()>(StatusCode::GONE, &Bytes::new());
        assert!(matches!(gone, Err(FileError::Refused { code: ErrorCode::Expired, .. })));
    }

    #[test]
    fn hashes_are_read_and_pauses_are_bounded() {
        assert_eq!(unhex("00ff10"), [0, 255, 16]);
        assert!((1..40).map(pause).all(|pause| pause <= LAST_PAUSE && pause >= FIRST_PAUSE / 2));
    }
}
