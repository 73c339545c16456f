//! REST/JSON beside gRPC on one port: the examples of docs/rest.md run as they are written, a validator takes the
//! document that the node serves, and what is no request is refused by name.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value as Json, json};
use tidings_proto::ErrorCode;
use tidings_proto::control::v1::{CreateApiKeyRequest, CreateAppRequest, GetUserRequest};
use tidings_tests::Node;
use tidings_tests::certificates::Authority;

const PAGE: &str = include_str!("../../docs/rest.md");

/// A command to its end; other tasks go on meanwhile.
async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// A request by curl; the status and the body.
async fn request(node: &Node, verb: &str, path: &str, more: &[&str]) -> (u16, Json) {
    let key = format!("Authorization: Bearer {}", node.operator_key());
    let more = [&["--header", &key], more].concat();
    curl(&[&["--request", verb, &format!("{}{path}", node.control_url())], &more[..]].concat()).await
}

async fn curl(words: &[&str]) -> (u16, Json) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "30", "--write-out", "%{http_code}"]).args(words);
    let output = run(command).await;
    assert!(output.status.success(), "{words:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.split_at(text.len() - 3);
    (status.parse().unwrap(), serde_json::from_str(body).unwrap_or(Json::Null))
}

/// The code blocks of a page: language and text.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let fenced = page.split("\n```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap()).collect()
}

/// Whether a text is the expected one, in which `…` stands for anything.
fn fits(expected: &str, text: &str) -> bool {
    let mut parts = expected.split('…');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    rest.is_empty() || last.is_some_and(|part| part.is_empty() || rest.ends_with(part))
}

#[tokio::test]
async fn the_examples_of_the_page_run_as_written() {
    let node = Node::start().await;
    let examples = blocks(PAGE);
    let mut ran = Vec::new();
    for pair in examples.chunks(2) {
        let [(language, code), ("text", expected)] = pair else {
            panic!("an example without what it prints: {pair:?}")
        };
        let program = match *language {
            "sh" => ["bash", "-euc"],
            "python" => ["python3", "-c"],
            "js" => ["node", "--eval"],
            other => panic!("who runs {other}?"),
        };
        let mut command = Command::new(program[0]);
        command.args([program[1], code]);
        command.env("TIDINGS_URL", node.control_url()).env("TIDINGS_KEY", node.operator_key());
        let output = run(command).await;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{language}: {printed}\n{}", String::from_utf8_lossy(&output.stderr));
        let (lines, wanted): (Vec<_>, Vec<_>) = (printed.lines().collect(), expected.lines().collect());
        assert_eq!(lines.len(), wanted.len(), "{language}: {printed}");
        for (line, wanted) in lines.iter().zip(wanted) {
            assert!(fits(wanted, line), "{language} printed\n{line}\nbut the page says\n{wanted}");
        }
        ran.push(*language);
    }
    assert_eq!(ran, ["sh", "python", "js"]);
}

#[tokio::test]
async fn a_validator_takes_the_document_that_the_node_serves() {
    let node = Node::start().await;
    let (status, document) = curl(&[&format!("{}/openapi.json", node.control_url())]).await;
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
    let file = node.scratch("openapi.json");
    let mut validator = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/openapi-validator"));
    validator.arg(&file);
    fs::write(&file, document.to_string()).unwrap();
    let output = run(validator).await;
    assert!(output.status.success(), "{output:?}");

    // It would not take anything else.
    let mut broken = document;
    broken["paths"]["/v1/apps"]["get"]["responses"] = json!("none");
    let mut validator = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/openapi-validator"));
    validator.arg(&file);
    fs::write(&file, broken.to_string()).unwrap();
    assert!(!run(validator).await.status.success());
}

#[tokio::test]
async fn what_one_way_writes_the_other_reads() {
    let node = Node::start().await;
    let mut control = node.control().await;
    let body = r#"{"id":"a/b c","attributes":{"k":"v"}}"#;
    let (status, created) = request(&node, "POST", "/v1/apps/default/users", &["--data", body]).await;
    assert_eq!((status, &created["active"]), (200, &json!(true)));
    let get = GetUserRequest { id: "a/b c".into(), ..GetUserRequest::default() };
    let user = control.users.get_user(get).await.unwrap().into_inner();
    assert_eq!(user.attributes["k"], "v");

    let patch = ["--data", r#"{"active":false}"#];
    let (status, updated) = request(&node, "PATCH", "/v1/apps/default/users/a%2Fb%20c", &patch).await;
    assert_eq!((status, &updated["active"], &updated["attributes"]["k"]), (200, &json!(false), &json!("v")));
}

#[tokio::test]
async fn apps_are_found_and_closed_and_users_made_with_their_policy() {
    let node = Node::start().await;
    request(&node, "POST", "/v1/apps", &["--data", r#"{"id":"shop"}"#]).await;
    let (status, found) = request(&node, "GET", "/v1/apps?filter=sh*", &[]).await;
    assert_eq!((status, &found["apps"][0]["id"], &found["apps"][1]), (200, &json!("shop"), &Json::Null));
    let (status, closed) = request(&node, "PATCH", "/v1/apps/shop", &["--data", r#"{"active":false}"#]).await;
    assert_eq!((status, &closed["active"]), (200, &json!(false)));
    request(&node, "POST", "/v1/apps/shop/policies", &["--data", r#"{"id":"guest","calls":false}"#]).await;
    let body = ["--data", r#"{"id":"gus","policy":"guest"}"#];
    let (status, made) = request(&node, "POST", "/v1/apps/shop/users", &body).await;
    assert_eq!((status, &made["policy"]), (200, &json!("guest")));
    let body = ["--data", r#"{"to":"gus","content":{"text":"hi"},"ttlMs":"0"}"#];
    let (status, sent) = request(&node, "POST", "/v1/apps/shop/messages", &body).await;
    assert_eq!((status, &sent["id"]), (200, &json!("")));
    let body = ["--data", r#"{"to":"gus","content":{"text":"hi"},"disappears":{"afterMs":"1000"}}"#];
    assert_eq!(request(&node, "POST", "/v1/apps/shop/messages", &body).await.0, 200);
}

#[tokio::test]
async fn messages_are_scheduled_listed_and_taken_back() {
    let node = Node::start().await;
    let control = node.control().await;
    control.user("bob").await;
    control.group("team", &["bob"]).await;
    let app = "/v1/apps/default";
    let body = r#"{"to":"bob","content":{"text":"later"},"requestId":"1","deliverAt":"2027-06-01T08:00:00Z"}"#;
    let (status, sent) = request(&node, "POST", &format!("{app}/messages"), &["--data", body]).await;
    assert_eq!((status, &sent["scheduled"]), (200, &json!(true)), "{sent}");
    let (status, page) = request(&node, "GET", &format!("{app}/scheduled?pageSize=10"), &[]).await;
    let waits = &page["messages"][0];
    assert_eq!((status, &waits["id"], &waits["state"]), (200, &sent["id"], &json!("PENDING")), "{page}");
    assert_eq!((&waits["content"]["text"], &waits["deliverAt"]), (&json!("later"), &json!("2027-06-01T08:00:00Z")));
    let one = format!("{app}/scheduled/{}", sent["id"].as_str().unwrap());
    assert_eq!(request(&node, "DELETE", &one, &[]).await.0, 200);
    let (status, gone) = request(&node, "GET", &one, &[]).await;
    assert_eq!((status, &gone["state"]), (200, &json!("CANCELLED")), "{gone}");
    let never = body.replace("2027", "2028");
    let (status, refused) = request(&node, "POST", &format!("{app}/messages"), &["--data", &never]).await;
    assert_eq!((status, &refused["code"]), (400, &json!("INVALID_ARGUMENT")), "{refused}");

    let body = r#"{"group":"team","content":{"text":"now"},"requestId":"notice"}"#;
    let (_, sent) = request(&node, "POST", &format!("{app}/messages"), &["--data", body]).await;
    let path = format!("{app}/groups/team/message_status?requestId=notice");
    let (status, stands) = request(&node, "GET", &path, &[]).await;
    let seen = (status, &stands["id"], &stands["members"], &stands["groupSeq"]);
    assert_eq!(seen, (200, &sent["id"], &json!(1), &json!("2")), "{stands}");
    let path = format!("{app}/groups/team/message_status?requestId=other");
    assert_eq!(request(&node, "GET", &path, &[]).await.0, 404);
}

#[tokio::test]
async fn what_is_no_request_is_refused_by_name() {
    let node = Node::start().await;
    let large = node.scratch("large.json");
    fs::write(&large, format!("{{\"id\":\"{}\"}}", "x".repeat(512 * 1024))).unwrap();
    let large = format!("@{}", large.display());
    let attributes = format!("{{\"id\":\"al\",\"attributes\":{{\"k\":\"{}\"}}}}", "v".repeat(4096));
    let users = "/v1/apps/default/users";
    for (verb, path, more, status, code, named) in [
        ("GET", "/v1/nothing", &[][..], 404, "NOT_FOUND", "/openapi.json"),
        ("GET", "/", &[], 404, "NOT_FOUND", "/openapi.json"),
        ("PUT", users, &[], 405, "INVALID_ARGUMENT", "POST, GET"),
        ("POST", users, &["--data", "{"], 400, "INVALID_ARGUMENT", "not JSON"),
        ("POST", users, &["--data", r#"{"id":"al","admin":true}"#], 400, "INVALID_ARGUMENT", "admin"),
        ("POST", users, &["--data", r#"{"id":""}"#], 400, "INVALID_ARGUMENT", "id"),
        ("POST", users, &["--data", &attributes], 400, "INVALID_ARGUMENT", "attributes"),
        ("POST", users, &["--data", &large], 413, "TOO_LARGE", "524288"),
        ("GET", "/v1/apps/default/users?pageSize=x", &[], 400, "INVALID_ARGUMENT", "pageSize"),
        ("GET", "/v1/apps/default/users/%ff", &[], 404, "NOT_FOUND", "path"),
        ("GET", users, &["--header", "Authorization:"], 401, "API_KEY_UNKNOWN", "authorization"),
        ("GET", "/v1/apps/none/users", &[], 404, "NOT_FOUND", "none"),
    ] {
        // The key that a case brings takes the place of the operator's.
        let answered = match more {
            ["--header", _] => curl(&[&format!("{}{path}", node.control_url()), more[0], more[1]]).await,
            _ => request(&node, verb, path, more).await,
        };
        let (found, error) = answered;
        assert_eq!((found, &error["code"]), (status, &json!(code)), "{verb} {path}: {error}");
        assert!(error["message"].as_str().unwrap().contains(named), "{verb} {path}: {error}");
        assert_eq!(error["retry"], json!(false));
    }

    // A key of one app reaches that app alone.
    let mut control = node.control().await;
    control.apps.create_app(CreateAppRequest { id: "red".into(), ..CreateAppRequest::default() }).await.unwrap();
    let create = CreateApiKeyRequest { app: "red".into(), ..CreateApiKeyRequest::default() };
    let key = control.keys.create_api_key(create).await.unwrap().into_inner().secret;
    let key = format!("Authorization: Bearer {key}");
    let (status, _) = curl(&["--header", &key, &format!("{}/v1/apps/red/users", node.control_url())]).await;
    assert_eq!(status, 200);
    let (status, error) = curl(&["--header", &key, &format!("{}/v1/apps/default/users", node.control_url())]).await;
    assert_eq!((status, &error["code"]), (403, &json!("PERMISSION_DENIED")));

    // gRPC that the node does not know is answered as gRPC.
    let channel = tonic::transport::Endpoint::from_shared(node.control_url()).unwrap().connect().await.unwrap();
    let mut nodes = tidings_proto::cluster::v1::nodes_client::NodesClient::new(channel);
    let refused = nodes.list_nodes(tidings_proto::cluster::v1::ListNodesRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unimplemented);
    assert_eq!(ErrorCode::of_status(&refused), ErrorCode::Internal);
}

#[tokio::test]
async fn over_tls_in_both_versions_of_http() {
    let authority = Authority::default();
    let node = Node::start_over_tls(&authority).await;
    let ca_file = node.scratch("ca.pem");
    fs::write(&ca_file, authority.pem()).unwrap();
    let url = format!("{}/v1/apps", node.control_url().replace("http:", "https:"));
    let key = format!("Authorization: Bearer {}", node.operator_key());
    for version in ["--http1.1", "--http2"] {
        let words = [version, "--cacert", ca_file.to_str().unwrap(), "--header", &key, &url];
        let (status, page) = curl(&words).await;
        assert_eq!((status, &page["apps"][0]["id"]), (200, &json!("default")), "{version}");
    }
}
