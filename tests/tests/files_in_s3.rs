//! Files of a node in a bucket: what holds for a folder, over a server that speaks S3; and what is said and done when
//! it is not there, refuses, or is none that can be used.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::io::Cursor;

use tidings_sdk::{Attachment, Content, FileInfo};
use tidings_tests::http::{self, Answer, request};
use tidings_tests::s3::{self, S3};
use tidings_tests::{DEADLINE, Node, next_message, within};
use tokio::io::AsyncWriteExt as _;

async fn node_with(settings: &[String]) -> Node {
    Node::start_with(&settings.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// Bytes no two parts of which are the same.
fn bytes(count: usize) -> Vec<u8> {
    (0..count as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn info() -> FileInfo {
    FileInfo { name: "notes".to_owned(), media_type: String::new() }
}

fn with(attachment: &Attachment) -> Content {
    Content { text: "look".to_owned(), attachments: vec![attachment.clone()], ..Content::default() }
}

/// The headers of a request that brings bytes of an upload.
fn brings<'a>(bearer: &'a str, offset: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("Authorization", bearer),
        ("Tus-Resumable", "1.0.0"),
        ("Upload-Offset", offset),
        ("Content-Type", "application/offset+octet-stream"),
    ]
}

async fn offset(node: &Node, path: &str, bearer: &str) -> Option<usize> {
    let said = [("Authorization", bearer), ("Tus-Resumable", "1.0.0")];
    request(node.gateway_address(), "HEAD", path, &said, b"").await.header("upload-offset")?.parse().ok()
}

/// What `/readyz` says of the files, once it says something of this sort; the node is ready all the time.
async fn files_are(node: &Node, state: &str) -> String {
    within(DEADLINE, &format!("the files are {state}"), async {
        loop {
            let answer = node.get("/readyz").unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            let report: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
            let files = &report["components"]["files"];
            if files["state"] == state {
                return files["reason"].as_str().unwrap_or_default().to_owned();
            }
            // It has to be asked.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await
}

fn unavailable(answer: &Answer) {
    assert_eq!((answer.status, answer.code().as_str()), (503, "STORAGE_FAILED"), "{}", answer.text());
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_file_goes_up_resumed_and_down_by_link_and_range() {
    let s3 = S3::seaweedfs().await;
    let settings: Vec<String> = s3.settings().into_iter().chain(["files.s3_prefix=chat".to_owned()]).collect();
    let mut node = node_with(&settings).await;
    files_are(&node, "ready").await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let content = bytes((9 << 20) + 17);
    let upload = node.client(&alice, "").files().unwrap().begin(content.len() as u64, &info()).await.unwrap();
    let path = format!("/files/v1/uploads/{}", upload.as_str());

    // The client's connection breaks in the middle, then the node is killed.
    let bearer = format!("Bearer {alice}");
    let said = brings(&bearer, "0");
    let mut stream = http::begin(node.gateway_address(), "PATCH", &path, &said, content.len()).await;
    stream.write_all(&content[..(5 << 20) + 3]).await.unwrap();
    drop(stream);
    let kept = within(DEADLINE, "what came is kept", async {
        loop {
            match offset(&node, &path, &bearer).await {
                Some(offset) if offset > 4 << 20 => return offset,
                _ => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    node.restart_after_kill9().await;
    assert_eq!(offset(&node, &path, &bearer).await, Some(kept), "stored is stored");
    let mut told = Vec::new();
    let files = node.client(&alice, "").files().unwrap();
    let attachment = files.resume(&upload, &mut Cursor::new(&content), |have, _| told.push(have)).await.unwrap();
    assert_eq!((told.first(), attachment.size), (Some(&(kept as u64)), content.len() as u64));

    let (alice, _events) = node.client(&alice, "phone").connect().unwrap();
    let (bob, mut events) = node.client(&bob, "phone").connect().unwrap();
    alice.send("bob", with(&attachment)).await.unwrap().sent().await.unwrap();
    let came = next_message(&mut events).await.content().unwrap().attachments[0].clone();
    let mut down = Vec::new();
    bob.files().download(&came, &mut down, |_, _| ()).await.unwrap();
    assert!(down == content);

    let link = bob.files().link(&came).await.unwrap();
    let part = 4 << 20;
    for range in [0..1, part - 1..part + 1, 3..content.len() - 5, content.len() - 1..content.len()] {
        let said = format!("bytes={}-{}", range.start, range.end - 1);
        let answer = request(node.gateway_address(), "GET", &link, &[("Range", said.as_str())], b"").await;
        assert!(answer.status == 206 && answer.body == content[range], "{said}");
    }
    // One that nobody sent is given up, and no longer there.
    let unsent = node.client(&bearer[7..], "").files().unwrap();
    let unsent = unsent.upload(&mut Cursor::new(&content[..100]), &info(), |_, _| ()).await.unwrap();
    let path = format!("/files/v1/uploads/{}", unsent.file);
    let said = [("Authorization", bearer.as_str()), ("Tus-Resumable", "1.0.0")];
    assert_eq!(request(node.gateway_address(), "DELETE", &path, &said, b"").await.status, 204);
    assert_eq!(offset(&node, &path, &bearer).await, None);
    assert!(!node.data().join("files").exists(), "all of it is in the bucket");
}

#[tokio::test]
async fn a_server_killed_in_the_middle_costs_a_request() {
    let mut s3 = S3::seaweedfs().await;
    let node = node_with(&s3.settings()).await;
    let control = node.control().await;
    let (token, bob) = (control.user("alice").await, control.user("bob").await);
    let bearer = format!("Bearer {token}");
    let (alice, _events) = node.client(&token, "phone").connect().unwrap();
    let (_bob, mut events) = node.client(&bob, "phone").connect().unwrap();
    let content = bytes(10 << 20);
    let upload = alice.files().begin(content.len() as u64, &info()).await.unwrap();
    let path = format!("/files/v1/uploads/{}", upload.as_str());

    let said = brings(&bearer, "0");
    let mut stream = http::begin(node.gateway_address(), "PATCH", &path, &said, content.len()).await;
    stream.write_all(&content[..5 << 20]).await.unwrap();
    within(DEADLINE, "a part is stored", async {
        while offset(&node, &path, &bearer).await != Some(4 << 20) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    s3.kill9();
    // It may be told before all was sent.
    let _ = stream.write_all(&content[5 << 20..]).await;
    unavailable(&http::answer(&mut stream).await);
    let reason = files_are(&node, "impaired").await;
    assert!(reason.starts_with("the store of files "), "{reason}");
    // The node has more to do than files.
    let text = Content { text: "hello".to_owned(), ..Content::default() };
    alice.send("bob", text).await.unwrap().sent().await.unwrap();
    assert_eq!(next_message(&mut events).await.content().unwrap().text, "hello");

    s3.launch().await;
    let mut told = Vec::new();
    let attachment =
        alice.files().resume(&upload, &mut Cursor::new(&content), |have, _| told.push(have)).await.unwrap();
    assert_eq!(told.first(), Some(&(4 << 20)), "nothing that was stored was lost");
    let mut down = Vec::new();
    alice.files().download(&attachment, &mut down, |_, _| ()).await.unwrap();
    assert!(down == content);
    files_are(&node, "ready").await;
}

#[tokio::test]
async fn what_is_wrong_with_a_bucket_is_said_where_an_operator_looks() {
    let (s3, rclone) = (S3::seaweedfs().await, S3::rclone().await);
    let wrong_secret = "a-wrong-secret-of-nobody";
    let wrong = [
        (
            &s3,
            vec![format!("files.s3_secret_access_key={wrong_secret}")],
            "the store of files refuses (SignatureDoesNotMatch",
        ),
        (&s3, vec!["files.s3_access_key_id=nobodys-key".to_owned()], "the store of files refuses (InvalidAccessKeyId"),
        (
            &s3,
            vec![
                format!("files.s3_access_key_id={}", s3::READER_ID),
                format!("files.s3_secret_access_key={}", s3::READER_SECRET),
            ],
            "the store of files refuses (AccessDenied",
        ),
        (&s3, vec!["files.s3_bucket=another".to_owned()], "there is no such bucket (NoSuchBucket"),
        (&rclone, vec![], "the bucket's server takes no notice of `If-None-Match: *`"),
    ];
    for (server, change, expected) in wrong {
        let node = node_with(&server.settings().into_iter().chain(change).collect::<Vec<_>>()).await;
        let reason = files_are(&node, "impaired").await;
        assert!(reason.starts_with(expected), "{reason}");
        let alice = node.control().await.user("alice").await;
        let bearer = format!("Bearer {alice}");
        let said = [("Authorization", bearer.as_str()), ("Tus-Resumable", "1.0.0"), ("Upload-Length", "10")];
        let refused = request(node.gateway_address(), "POST", "/files/v1/uploads", &said, b"").await;
        unavailable(&refused);
        let log = std::fs::read_to_string(node.scratch("log")).unwrap();
        assert!(log.contains("no files can be taken") && log.contains(expected), "{log}");
        for secret in [wrong_secret, s3::SECRET, s3::READER_SECRET] {
            assert!(!log.contains(secret) && !refused.text().contains(secret), "{expected}");
        }
    }
}
