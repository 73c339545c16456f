//! Files over a real node: up, with a message, and down; and what cannot go its way is refused with its reason (promise
//! 4).

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fmt::Write as _;
use std::io::Cursor;
use std::process::Command;

use tidings_proto::control::v1::CreateAppRequest;
use tidings_proto::policy::v1::Policy;
use tidings_sdk::{Attachment, Content, ErrorCode, FileError, FileInfo, Outgoing, SendError};
use tidings_tests::http::{self, Answer, request};
use tidings_tests::{DEADLINE, Node, binary, next_message, within};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

/// A picture of so many bytes, no two parts of which are the same.
fn picture(bytes: usize) -> Vec<u8> {
    let mut picture = PNG.to_vec();
    let mut state = 1u32;
    while picture.len() < bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        picture.extend_from_slice(&state.to_le_bytes());
    }
    picture.truncate(bytes);
    picture
}

fn png(name: &str) -> FileInfo {
    FileInfo { name: name.to_owned(), media_type: "image/png".to_owned() }
}

fn of_file(file: &str) -> Attachment {
    Attachment { file: file.to_owned(), ..Attachment::default() }
}

fn with(attachment: Attachment) -> Content {
    Content { text: "look".to_owned(), attachments: vec![attachment], ..Content::default() }
}

/// Requests about uploads, as somebody makes them who has read tus.
struct Tus<'a> {
    node: &'a Node,
    bearer: String,
}

impl<'a> Tus<'a> {
    fn new(node: &'a Node, token: &str) -> Self {
        Self { node, bearer: format!("Bearer {token}") }
    }

    fn headers<'b>(&'b self, more: &[(&'b str, &'b str)]) -> Vec<(&'b str, &'b str)> {
        [&[("Authorization", self.bearer.as_str()), ("Tus-Resumable", "1.0.0")], more].concat()
    }

    async fn ask(&self, method: &str, path: &str, more: &[(&str, &str)], body: &[u8]) -> Answer {
        request(self.node.gateway_address(), method, path, &self.headers(more), body).await
    }

    /// A new upload's path; `filetype` as base64.
    async fn create(&self, size: usize, filetype: &str) -> Result<String, Answer> {
        let (size, metadata) = (size.to_string(), format!("filename YS5wbmc=,filetype {filetype}"));
        let said = [("Upload-Length", size.as_str()), ("Upload-Metadata", metadata.as_str())];
        loop {
            let answer = self.ask("POST", "/files/v1/uploads", &said, b"").await;
            match answer.status {
                201 => return Ok(answer.header("location").unwrap().to_owned()),
                // A test that waits for something else asks more often than anybody may.
                429 => tokio::task::yield_now().await,
                _ => return Err(answer),
            }
        }
    }

    async fn patch(&self, path: &str, offset: usize, bytes: &[u8]) -> Answer {
        let offset = offset.to_string();
        let said = [("Upload-Offset", offset.as_str()), OFFSET_BYTES];
        self.ask("PATCH", path, &said, bytes).await
    }

    /// A connection on which so many bytes are to come, from the first one on.
    async fn begin_patch(&self, path: &str, size: usize) -> TcpStream {
        let said = self.headers(&[("Upload-Offset", "0"), OFFSET_BYTES]);
        http::begin(self.node.gateway_address(), "PATCH", path, &said, size).await
    }

    async fn offset(&self, path: &str) -> Option<usize> {
        self.ask("HEAD", path, &[], b"").await.header("upload-offset")?.parse().ok()
    }
}

const OFFSET_BYTES: (&str, &str) = ("Content-Type", "application/offset+octet-stream");
const IMAGE_PNG: &str = "aW1hZ2UvcG5n";

#[tokio::test]
async fn a_photo_goes_with_a_message_and_comes_down_as_it_was() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (alice, _events) = node.client(&alice, "phone").connect().unwrap();
    let (bob, mut events) = node.client(&bob, "phone").connect().unwrap();
    let picture = picture((9 << 20) + 5);
    let mut told = Vec::new();
    let progress = |have, of| told.push((have, of));
    let attachment = alice.files().upload(&mut Cursor::new(&picture), &png("ä b.png"), progress).await.unwrap();
    let size = picture.len() as u64;
    assert_eq!(told, [(0, size), (4 << 20, size), (8 << 20, size), (size, size)]);
    assert_eq!((attachment.size, attachment.media_type.as_str()), (size, "image/png"));

    alice.send("bob", with(attachment.clone())).await.unwrap().sent().await.unwrap();
    let message = next_message(&mut events).await;
    let came = message.content().unwrap().attachments[0].clone();
    assert_eq!(came, attachment);
    let mut down = Vec::new();
    bob.files().download(&came, &mut down, |_, _| ()).await.unwrap();
    assert!(down == picture);

    // Bob forwards it: whoever was given a file may name it.
    bob.send("alice", with(came.clone())).await.unwrap().sent().await.unwrap();
    // What a message says of a file has to be so.
    let untrue = Attachment { size: 1, ..came.clone() };
    let refused = bob.send("alice", with(untrue)).await.unwrap().sent().await;
    assert!(matches!(refused, Err(SendError::Refused { code: ErrorCode::InvalidArgument, .. })), "{refused:?}");
    let another = Attachment { sha256: vec![7; 32], ..came };
    let changed = bob.files().download(&another, &mut Vec::new(), |_, _| ()).await;
    assert!(matches!(changed, Err(FileError::Changed)), "{changed:?}");
}

#[tokio::test]
async fn a_link_is_for_one_file_and_gives_out_nothing_that_runs() {
    let node = Node::start_with(&["files.link_seconds=3600"]).await;
    let control = node.control().await;
    let alice = control.user("alice").await;
    let files = node.client(&alice, "").files().unwrap();
    let html = b"<!DOCTYPE html><html><script>alert(1)</script></html>".to_vec();
    let info = FileInfo { name: "../x\".html".to_owned(), media_type: "text/html".to_owned() };
    let page = files.upload(&mut Cursor::new(&html), &info, |_, _| ()).await.unwrap();
    let picture = picture(1000);
    let photo = files.upload(&mut Cursor::new(&picture), &png("p.png"), |_, _| ()).await.unwrap();
    let (page, photo) = (files.link(&page).await.unwrap(), files.link(&photo).await.unwrap());
    let get = async |path: &str, more: &[(&str, &str)]| request(node.gateway_address(), "GET", path, more, b"").await;

    let answer = get(&page, &[]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/octet-stream")));
    let disposition = answer.header("content-disposition").unwrap();
    assert!(
        disposition.starts_with("attachment; filename=\".._x_.html\"; filename*=UTF-8''..%2Fx%22.html"),
        "{disposition}"
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("content-security-policy"), Some("sandbox; default-src 'none'"));
    let answer = get(&photo, &[]).await;
    assert_eq!((answer.header("content-type"), answer.header("accept-ranges")), (Some("image/png"), Some("bytes")));
    assert!(answer.body == picture);
    let tag = answer.header("etag").unwrap().to_owned();

    for (range, status, body, said) in [
        ("bytes=0-0", 206, &picture[..1], Some("bytes 0-0/1000")),
        ("bytes=990-", 206, &picture[990..], Some("bytes 990-999/1000")),
        ("bytes=-5", 206, &picture[995..], Some("bytes 995-999/1000")),
        ("bytes=5-5000", 206, &picture[5..], Some("bytes 5-999/1000")),
        ("bytes=5-4", 200, &picture[..], None),
        ("bytes=0-1,5-6", 200, &picture[..], None),
    ] {
        let answer = get(&photo, &[("Range", range)]).await;
        assert_eq!((answer.status, answer.header("content-range")), (status, said), "{range}");
        assert!(answer.body == body, "{range}");
    }
    let answer = get(&photo, &[("Range", "bytes=1000-")]).await;
    assert_eq!((answer.status, answer.header("content-range")), (416, Some("bytes */1000")));
    let answer = get(&photo, &[("Range", "bytes=0-0"), ("If-Range", "\"another\"")]).await;
    assert_eq!((answer.status, answer.body.len()), (200, 1000));
    assert_eq!(get(&photo, &[("If-None-Match", &tag)]).await.status, 304);
    let head = request(node.gateway_address(), "HEAD", &photo, &[], b"").await;
    assert_eq!((head.header("content-length"), head.body.len()), (Some("1000"), 0));

    // Neither another file, nor another app, nor a later end.
    let (path, signed) = photo.split_once('?').unwrap();
    let expires = signed.split(['=', '&']).nth(1).unwrap().to_owned();
    let later = signed.replace(&expires, &(expires.parse::<u64>().unwrap() + 1).to_string());
    let other_file = page.split_once('?').unwrap().0;
    for forged in [
        format!("{path}?{later}"),
        format!("{other_file}?{signed}"),
        format!("{}?{signed}", path.replace("/default/", "/other/")),
        format!("{path}?expires={expires}&signature="),
        path.to_owned(),
    ] {
        let answer = get(&forged, &[]).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "PERMISSION_DENIED"), "{forged}");
    }
    for path in [
        "/files/v1/download/default/..",
        "/files/v1/download/../../etc/passwd",
        "/files/v1/download/default/%2e%2e%2fx",
    ] {
        assert_eq!(get(&format!("{path}?{signed}"), &[]).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_link_ends_in_its_time() {
    let node = Node::start_with(&["files.link_seconds=1"]).await;
    let alice = node.control().await.user("alice").await;
    let files = node.client(&alice, "").files().unwrap();
    let photo = files.upload(&mut Cursor::new(picture(100)), &png("p.png"), |_, _| ()).await.unwrap();
    let link = files.link(&photo).await.unwrap();
    within(DEADLINE, "the link's time is over", async {
        loop {
            let answer = request(node.gateway_address(), "GET", &link, &[], b"").await;
            match answer.status {
                200 => tokio::task::yield_now().await,
                status => return assert_eq!((status, answer.code().as_str()), (410, "EXPIRED")),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_upload_goes_on_after_a_broken_connection_and_a_killed_node() {
    let mut node = Node::start().await;
    let alice = node.control().await.user("alice").await;
    let picture = picture((6 << 20) + 1);
    let path = Tus::new(&node, &alice).create(picture.len(), IMAGE_PNG).await.unwrap();

    // The connection breaks in the middle of a request: what came is kept.
    let mut stream = Tus::new(&node, &alice).begin_patch(&path, picture.len()).await;
    stream.write_all(&picture[..(5 << 20) + 3]).await.unwrap();
    stream.flush().await.unwrap();
    drop(stream);
    let kept = within(DEADLINE, "what came is kept", async {
        loop {
            match Tus::new(&node, &alice).offset(&path).await {
                Some(offset) if offset > 4 << 20 => return offset,
                _ => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert!(kept <= (5 << 20) + 3, "{kept}");

    node.restart_after_kill9().await;
    let tus = Tus::new(&node, &alice);
    assert_eq!(tus.offset(&path).await, Some(kept), "stored is stored");
    assert_eq!(tus.ask("GET", &path, &[], b"").await.status, 409, "it is not all there");
    // From another place than where it is.
    let answer = tus.patch(&path, kept - 1, b"x").await;
    assert_eq!((answer.status, answer.header("upload-offset")), (409, Some(kept.to_string().as_str())));
    assert_eq!(tus.patch(&path, kept, &picture[kept..]).await.status, 204);
    let described = tus.ask("GET", &path, &[], b"").await.json();
    assert_eq!(described["size"], picture.len());
    let files = node.client(&alice, "").files().unwrap();
    let mut down = Vec::new();
    files.download(&of_file(described["file"].as_str().unwrap()), &mut down, |_, _| ()).await.unwrap();
    assert!(down == picture);
}

#[tokio::test]
async fn the_sdk_goes_on_where_a_killed_node_left_it() {
    let mut node = Node::start().await;
    let alice = node.control().await.user("alice").await;
    let picture = picture(9 << 20);
    let files = node.client(&alice, "").files().unwrap();
    let upload = files.begin(picture.len() as u64, &png("p.png")).await.unwrap();
    let path = format!("/files/v1/uploads/{}", upload.as_str());
    assert_eq!(Tus::new(&node, &alice).patch(&path, 0, &picture[..4 << 20]).await.status, 204);
    node.restart_after_kill9().await;
    let mut told = Vec::new();
    let attachment = files.resume(&upload, &mut Cursor::new(&picture), |have, _| told.push(have)).await.unwrap();
    assert_eq!((told.first(), attachment.size), (Some(&(4 << 20)), 9 << 20));
}

#[tokio::test]
async fn a_token_that_is_revoked_in_the_middle_ends_the_upload() {
    let node = Node::start().await;
    let control = node.control().await;
    control.user("alice").await;
    let (token, secret) = control.token("alice").await;
    let tus = Tus::new(&node, &secret);
    let size = 12 << 20;
    let path = tus.create(size, "").await.unwrap();
    let mut stream = tus.begin_patch(&path, size).await;
    let bytes = vec![1; size];
    stream.write_all(&bytes[..1 << 20]).await.unwrap();
    control.revoke(&token).await;
    within(DEADLINE, "the gateway knows", async {
        while tus.ask("HEAD", &path, &[], b"").await.status != 401 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // It may be told before all was sent.
    let _ = stream.write_all(&bytes[1 << 20..]).await;
    let answer = http::answer(&mut stream).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "TOKEN_REVOKED"));
    let (_, other) = control.token("alice").await;
    let kept = Tus::new(&node, &other).offset(&path).await.unwrap();
    assert!([0, 4 << 20].contains(&kept), "nothing after the part that was looked at last: {kept}");
}

#[tokio::test]
async fn a_slow_upload_ends_with_its_token() {
    let node = Node::start().await;
    let control = node.control().await;
    control.user("alice").await;
    let (token, secret) = control.token("alice").await;
    let tus = Tus::new(&node, &secret);
    let size = 1 << 20;
    let path = tus.create(size, "").await.unwrap();
    let mut stream = tus.begin_patch(&path, size).await;
    stream.write_all(&vec![1; size / 2]).await.unwrap();
    control.revoke(&token).await;
    // Byte by byte, and never a whole part.
    let mut sent = size / 2;
    within(DEADLINE, "it is refused", async {
        while stream.write_all(b"1").await.is_ok() && sent < size - 2 {
            sent += 1;
            let mut answer = [0; 1];
            let pause = std::time::Duration::from_millis(10);
            if tokio::time::timeout(pause, stream.peek(&mut answer)).await.is_ok() {
                break;
            }
        }
    })
    .await;
    let answer = http::answer(&mut stream).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "TOKEN_REVOKED"));
    let (_, other) = control.token("alice").await;
    assert_eq!(Tus::new(&node, &other).offset(&path).await, Some(0), "half a megabyte came, and was not kept");
}

#[tokio::test]
async fn who_may_not_is_told_why() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let tus = Tus::new(&node, &alice);
    let path = tus.create(10, "").await.unwrap();

    let nobody = request(node.gateway_address(), "POST", "/files/v1/uploads", &[("Tus-Resumable", "1.0.0")], b"").await;
    assert_eq!((nobody.status, nobody.code().as_str()), (401, "TOKEN_UNKNOWN"));
    let stranger = Tus::new(&node, "tk_nonsense").create(10, "").await.unwrap_err();
    assert_eq!((stranger.status, stranger.code().as_str()), (401, "TOKEN_UNKNOWN"));
    // Another user's upload is none.
    let bob = Tus::new(&node, &bob);
    assert_eq!((bob.offset(&path).await, bob.patch(&path, 0, b"0123456789").await.status), (None, 404));
    let bearer = [("Authorization", tus.bearer.as_str())];
    let unversioned = request(node.gateway_address(), "HEAD", &path, &bearer, b"").await;
    assert_eq!((unversioned.status, unversioned.header("tus-version")), (412, Some("1.0.0")));
    assert_eq!(tus.ask("PATCH", &path, &[("Upload-Offset", "0")], b"0123456789").await.status, 415);
    assert_eq!(tus.ask("POST", "/files/v1/uploads", &[("Upload-Length", "-1")], b"").await.status, 400);
    assert_eq!(tus.ask("POST", "/files/v1/uploads", &[("Upload-Defer-Length", "1")], b"").await.status, 400);
    let more = tus.patch(&path, 0, b"0123456789+").await;
    assert_eq!((more.status, more.code().as_str()), (413, "TOO_LARGE"));
    for path in
        ["/files/v1/uploads/..", "/files/v1/uploads/..%2f..%2foperator.key", "/files/v1/files/../link", "/files/v1/"]
    {
        assert_eq!(tus.ask("POST", path, &[], b"").await.status, 404, "{path}");
    }
    // A picture that is none, whole and in a large first part.
    for size in [100, 5 << 20] {
        let path = tus.create(size, IMAGE_PNG).await.unwrap();
        let lie = tus.patch(&path, 0, &vec![b'<'; size]).await;
        assert_eq!((lie.status, lie.code().as_str()), (415, "INVALID_ARGUMENT"), "{size}");
    }
    assert_eq!(tus.ask("DELETE", &path, &[], b"").await.status, 204);
    assert_eq!(tus.offset(&path).await, None);
    let offered = request(node.gateway_address(), "OPTIONS", "/files/v1/uploads", &[], b"").await;
    assert_eq!((offered.status, offered.header("tus-version")), (204, Some("1.0.0")));
    assert_eq!(offered.header("tus-extension"), Some("creation,creation-with-upload,expiration,termination"));
}

#[tokio::test]
async fn a_small_file_goes_with_its_creation() {
    let node = Node::start().await;
    let alice = node.control().await.user("alice").await;
    let tus = Tus::new(&node, &alice);
    let picture = picture(500);
    let said = [("Upload-Length", "500"), ("Upload-Metadata", "filetype aW1hZ2UvcG5n"), OFFSET_BYTES];
    let answer = tus.ask("POST", "/files/v1/uploads", &said, &picture).await;
    assert_eq!((answer.status, answer.header("upload-offset")), (201, Some("500")));
    let path = answer.header("location").unwrap();
    let described = tus.ask("GET", path, &[], b"").await.json();
    assert_eq!((&described["media_type"], &described["size"]), (&"image/png".into(), &500.into()));
}

#[tokio::test]
async fn policies_say_how_large_and_of_which_types() {
    let node = Node::start_with(&["files.max_file_bytes=2000"]).await;
    let control = node.control().await;
    let alice = control.user("alice").await;
    let tus = Tus::new(&node, &alice);
    assert!(tus.create(2000, "").await.is_ok());
    assert_eq!(tus.create(2001, "").await.unwrap_err().status, 413, "what the gateway takes at all");
    let policy = Policy {
        id: "small".to_owned(),
        max_file_bytes: Some(1000),
        file_types: vec!["image/*".to_owned()],
        ..Policy::default()
    };
    control.create_policy(policy).await;
    control.assign_policy("alice", "small").await;
    within(DEADLINE, "the policy holds", async {
        while tus.create(1001, IMAGE_PNG).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(tus.create(1000, IMAGE_PNG).await.is_ok());
    let refused = tus.create(10, "dGV4dC9wbGFpbg==").await.unwrap_err();
    assert_eq!((refused.status, refused.code().as_str()), (415, "REFUSED_BY_POLICY"));

    let (client, _events) = node.client(&alice, "phone").connect().unwrap();
    let photo = client.files().upload(&mut Cursor::new(picture(100)), &png("p.png"), |_, _| ()).await.unwrap();
    client.send("alice", with(photo.clone())).await.unwrap().sent().await.unwrap();
    control.set_policy(Policy { id: "small".to_owned(), files: Some(false), ..Policy::default() }, &["files"]).await;
    within(DEADLINE, "files are off", async {
        loop {
            match tus.create(10, IMAGE_PNG).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(answer) => return assert_eq!((answer.status, answer.code().as_str()), (403, "FEATURE_OFF")),
            }
        }
    })
    .await;
    let refused = client.send("alice", with(photo)).await.unwrap().sent().await;
    assert!(matches!(refused, Err(SendError::Refused { code: ErrorCode::FeatureOff, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_message_names_only_files_of_its_app() {
    let node = Node::start().await;
    let control = node.control().await;
    control.apps.clone().create_app(CreateAppRequest { id: "shop".into(), ..Default::default() }).await.unwrap();
    let shop = {
        use tidings_proto::control::v1::{CreateTokenRequest, CreateUserRequest};
        let (app, id) = ("shop".to_owned(), "alice".to_owned());
        control
            .users
            .clone()
            .create_user(CreateUserRequest { app: app.clone(), id: id.clone(), ..Default::default() })
            .await
            .unwrap();
        control.create_token(CreateTokenRequest { app, user: id, ..Default::default() }).await.1
    };
    let theirs = node.client(&shop, "").files().unwrap();
    let theirs = theirs.upload(&mut Cursor::new(picture(100)), &png("p.png"), |_, _| ()).await.unwrap();
    let (alice, _events) = node.client(&control.user("alice").await, "phone").connect().unwrap();
    control.group("team", &["alice"]).await;
    let unknown = of_file("0123456789abcdef0123456789abcdef");
    for attachment in [theirs.clone(), unknown, of_file("../../operator.key")] {
        for outgoing in
            [Outgoing::new("alice", with(attachment.clone())), Outgoing::to_group("team", with(attachment.clone()))]
        {
            let refused = alice.send_message(outgoing).await.unwrap().sent().await;
            assert!(matches!(refused, Err(SendError::Refused { code: ErrorCode::NotFound, .. })), "{refused:?}");
        }
    }
    let missing = alice.files().download(&theirs, &mut Vec::new(), |_, _| ()).await;
    assert!(matches!(missing, Err(FileError::Refused { code: ErrorCode::NotFound, .. })), "{missing:?}");
    let elsewhere = Attachment { url: "https://files.example/1".to_owned(), ..Attachment::default() };
    alice.send("alice", with(elsewhere)).await.unwrap().sent().await.unwrap();
    let script = Attachment { url: "javascript:alert(1)".to_owned(), ..Attachment::default() };
    let refused = alice.send("alice", with(script)).await.unwrap().sent().await;
    assert!(matches!(refused, Err(SendError::Refused { code: ErrorCode::InvalidArgument, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_full_disk_is_told_and_the_upload_goes_on_when_there_is_room() {
    // The signal that comes with the error would end the process; a full disk sends none.
    let node = Node::start_under(&["env", "--ignore-signal=XFSZ"], &[]).await;
    let alice = node.control().await.user("alice").await;
    let tus = Tus::new(&node, &alice);
    let picture = picture(6 << 20);
    let path = tus.create(picture.len(), IMAGE_PNG).await.unwrap();
    let limit = |bytes: &str| {
        let process = node.process_id().to_string();
        let limited = Command::new("prlimit").args(["--pid", &process, &format!("--fsize={bytes}")]).status();
        assert!(limited.unwrap().success());
    };
    // The limit on a file's size stands in for the disk. A part has 4 MiB.
    limit("3145728:unlimited");
    let full = tus.patch(&path, 0, &picture).await;
    assert_eq!((full.status, full.code().as_str()), (507, "STORAGE_FAILED"));
    assert_eq!(tus.offset(&path).await, Some(0));
    limit("unlimited");
    assert_eq!(tus.patch(&path, 0, &picture).await.status, 204);
    assert_eq!(tus.ask("GET", &path, &[], b"").await.status, 200);
}

#[tokio::test]
async fn uploads_begin_at_a_rate() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let tus = Tus::new(&node, &alice);
    let mut answers = Vec::new();
    for _ in 0..60 {
        answers.push(tus.ask("POST", "/files/v1/uploads", &[("Upload-Length", "1")], b"").await);
    }
    assert!(answers.iter().all(|answer| answer.status == 201), "so many at once");
    let refused = within(DEADLINE, "one is too many", async {
        loop {
            let answer = tus.ask("POST", "/files/v1/uploads", &[("Upload-Length", "1")], b"").await;
            if answer.status != 201 {
                return answer;
            }
        }
    })
    .await;
    assert_eq!(
        (refused.status, refused.code().as_str(), refused.header("retry-after")),
        (429, "RATE_LIMITED", Some("1"))
    );
    assert!(Tus::new(&node, &bob).create(1, "").await.is_ok(), "another user's are counted alone");
}

#[tokio::test]
async fn pages_of_other_origins_only_where_they_are_allowed() {
    let node = Node::start_with(&["gateway.allowed_origins=[\"https://app.example\"]"]).await;
    let preflight = async |origin: &str| {
        let said = [("Origin", origin), ("Access-Control-Request-Method", "PATCH")];
        request(node.gateway_address(), "OPTIONS", "/files/v1/uploads", &said, b"").await
    };
    let allowed = preflight("https://app.example").await;
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://app.example"));
    assert!(allowed.header("access-control-allow-methods").unwrap().contains("PATCH"));
    assert!(allowed.header("access-control-expose-headers").unwrap().contains("Upload-Offset"));
    assert_eq!(preflight("https://evil.example").await.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a_terminal_sends_and_downloads_files() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (up, down) = (node.scratch("photo.png"), node.scratch("came.png"));
    std::fs::write(&up, picture(5000)).unwrap();
    let run = |words: &[&str], token: &str| {
        let mut command = Command::new(binary::tidings());
        command.args(words).args(["--gateway", &node.gateway_url(), "--token", token]);
        let output = command.output().unwrap();
        let mut said = String::from_utf8(output.stdout).unwrap();
        write!(said, "{}", String::from_utf8_lossy(&output.stderr)).unwrap();
        (output.status.code(), said)
    };
    let sent = run(&["send", "--to", "bob", "look", "--file", up.to_str().unwrap()], &alice);
    assert_eq!(sent.0, Some(0), "{}", sent.1);
    let (code, history) = run(&["history", "--with", "alice"], &bob);
    assert_eq!(code, Some(0), "{history}");
    let (_, rest) = history.split_once("[photo.png, 5000 bytes: ").unwrap_or_else(|| panic!("{history}"));
    let id = rest.split_once(']').unwrap().0;
    let words = ["download", id, "--output", down.to_str().unwrap()];
    let (code, said) = run(&words, &bob);
    assert_eq!(code, Some(0), "{said}");
    assert!(std::fs::read(&down).unwrap() == picture(5000));
    let (code, _) = run(&words, &bob);
    assert_eq!(code, Some(1), "what is there is not touched");
    let (code, _) = run(&["download", "0123456789abcdef0123456789abcdef", "--output", "-"], &bob);
    assert_eq!(code, Some(5), "there is none");
}
