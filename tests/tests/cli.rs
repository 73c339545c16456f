//! The commands of the README, as a person types them.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tidings_tests::{Node, binary};

struct Shell {
    node: Node,
    state: PathBuf,
}

impl Shell {
    async fn new() -> Self {
        let node = Node::start().await;
        let state = node.scratch("state");
        Self { node, state }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary::tidings());
        command.args(words);
        command.env("TIDINGS_CONTROL", self.node.control_url()).env("TIDINGS_GATEWAY", self.node.gateway_url());
        command.env("TIDINGS_API_KEY_FILE", self.node.data().join("operator.key"));
        command.env("XDG_STATE_HOME", &self.state).env_remove("TIDINGS_TOKEN").env_remove("TIDINGS_API_KEY");
        command
    }

    /// Runs a command with this input; other tasks go on meanwhile.
    async fn run_with(&self, words: &[&str], input: &str) -> Output {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut stdin = process.stdin.take().unwrap();
        // A command that reads nothing may have closed it.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        tokio::task::spawn_blocking(move || process.wait_with_output().unwrap()).await.unwrap()
    }

    async fn run(&self, words: &[&str]) -> (i32, String) {
        let output = self.run_with(words, "").await;
        let code = output.status.code().unwrap();
        if code != 0 {
            println!("{words:?}: {code}: {}", String::from_utf8_lossy(&output.stderr));
        }
        (code, String::from_utf8(output.stdout).unwrap())
    }

    async fn ok(&self, words: &[&str]) -> String {
        let (code, stdout) = self.run(words).await;
        assert_eq!(code, 0, "{words:?}");
        stdout
    }
}

#[tokio::test]
async fn the_first_chat_of_the_readme() {
    let shell = Shell::new().await;
    assert_eq!(shell.ok(&["user", "create", "alice"]).await, "alice\n");
    shell.ok(&["user", "create", "bob"]).await;
    let alice = shell.ok(&["token", "create", "alice"]).await;
    let bob = shell.ok(&["token", "create", "bob"]).await;
    assert_eq!(alice.lines().count(), 1, "the token stands alone on stdout");
    let (alice, bob) = (alice.trim(), bob.trim());

    let id = shell.ok(&["send", "--token", alice, "--to", "bob", "hello"]).await;
    id.trim().parse::<tidings_sdk::MessageId>().unwrap();
    assert_eq!(shell.ok(&["listen", "--token", bob, "--count", "1"]).await, "alice: hello\n");

    // What was printed was acknowledged.
    let output = shell.run_with(&["send", "--token", alice, "--to", "bob", "-"], "from stdin\n").await;
    assert!(output.status.success());
    let json = shell.ok(&["listen", "--token", bob, "--count", "1", "--json"]).await;
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((value["from"].as_str(), value["text"].as_str()), (Some("alice"), Some("from stdin\n")));

    // Fields of the application's own.
    let fields = ["--field", "lang=en", "--value", "seats=integer:5", "--value", "price=number:0.5", "--value"];
    let send = [&["send", "--token", alice, "--to", "bob"][..], &fields, &["at=time:2027-01-01T08:00:00Z"]].concat();
    shell.ok(&send).await;
    let printed = shell.ok(&["listen", "--token", bob, "--count", "1", "--no-ack"]).await;
    assert_eq!(printed, "alice: {lang: en, at: 2027-01-01T08:00:00Z, price: 0.5, seats: 5}\n");
    let json = shell.ok(&["listen", "--token", bob, "--count", "1", "--json"]).await;
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["content"]["values"]["seats"]["integer"], "5");
    let nonsense = shell.run(&["send", "--token", alice, "--to", "bob", "--value", "seats=integer:many"]).await;
    assert_eq!(nonsense.0, 2, "{}", nonsense.1);

    // What was not acknowledged comes again.
    shell.ok(&["send", "--token", alice, "--to", "bob", "third"]).await;
    for _ in 0..2 {
        let printed = shell.ok(&["listen", "--token", bob, "--count", "1", "--no-ack"]).await;
        assert_eq!(printed, "alice: third\n");
    }
    let (code, _) = shell.run(&["listen", "--token", bob, "--count", "2", "--timeout", "1s"]).await;
    assert_eq!(code, 3, "one has come, the second not in time");

    shell.ok(&["group", "create", "team", "alice", "bob"]).await;
    shell.ok(&["send", "--token", alice, "--group", "team", "hello, both"]).await;
    let printed = shell.ok(&["listen", "--token", bob, "--count", "1"]).await;
    assert_eq!(printed, "#team alice: hello, both\n");
    // Its place is behind that of the group's creation. Whether bob's acknowledgement is told yet, nobody knows.
    let receipts = shell.ok(&["group", "receipts", "team", "2", "--token", alice]).await;
    assert!(receipts.starts_with("of 1 members "), "{receipts}");
    let told = shell.ok(&["group", "receipts", "team", "--token", alice, "--count", "1"]).await;
    assert!(told.starts_with("#team: all have it up to "), "{told}");
    let history = shell.ok(&["history", "--token", alice, "--with", "bob"]).await;
    for said in ["hello", "from stdin", "third"] {
        assert!(history.contains(said), "{history}");
    }
    let conversations = shell.ok(&["conversations", "--token", bob]).await;
    assert!(conversations.contains("alice") && conversations.contains("#team"), "{conversations}");

    let about_alice = ["conversation", "--token", bob, "--with", "alice"];
    let set = shell.ok(&[&about_alice[..], &["--favourite", "true", "--block", "messages,profile"]].concat()).await;
    assert!(set.contains("favourite,blocked"), "{set}");
    let (code, _) = shell.run(&["send", "--token", alice, "--to", "bob", "still there?"]).await;
    assert_eq!(code, 8, "she is blocked");
    let set = shell.ok(&[&about_alice[..], &["--block", "none", "--json"]].concat()).await;
    let value: serde_json::Value = serde_json::from_str(&set).unwrap();
    assert_eq!((value["favourite"].as_bool(), value.get("blocks")), (Some(true), None), "{set}");
    shell.ok(&["send", "--token", alice, "--to", "bob", "still there?"]).await;
    assert_eq!(shell.run(&about_alice).await.0, 12, "nothing to change");
    let seen = shell.ok(&["user", "presence", "bob", "alice"]).await;
    let users: Vec<_> = seen.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(users, ["bob", "alice"], "{seen}");
}

#[tokio::test]
async fn a_chat_in_pipes_shows_sent_delivered_and_read() {
    let shell = Shell::new().await;
    for user in ["alice", "bob"] {
        shell.ok(&["user", "create", user]).await;
    }
    let (alice, bob) = (shell.ok(&["token", "create", "alice"]).await, shell.ok(&["token", "create", "bob"]).await);
    let (alice, bob) = (alice.trim(), bob.trim());
    let alices = ["chat", "--token", alice, "--linger", "8s"];
    let bobs = ["chat", "--token", bob, "--linger", "6s"];
    let (hers, his) = tokio::join!(
        shell.run_with(&alices, "@bob hi\nhow are you?\n/nonsense\n"),
        shell.run_with(&bobs, "@alice well\n/quit\n"),
    );
    assert!(hers.status.success() && his.status.success(), "{hers:?} {his:?}");
    let (hers, his) = (String::from_utf8(hers.stdout).unwrap(), String::from_utf8(his.stdout).unwrap());
    for expected in [
        "— online as alice",
        "✓ sent: hi",
        "✓✓ read: hi",
        "✓✓ read: how are you?",
        "bob: well",
        "/nonsense is no command",
        "— bob online",
    ] {
        assert!(hers.contains(expected), "{expected:?} is missing in:\n{hers}");
    }
    for expected in ["alice: hi", "alice: how are you?", "✓✓ read: well"] {
        assert!(his.contains(expected), "{expected:?} is missing in:\n{his}");
    }
}

#[tokio::test]
async fn what_was_said_is_changed() {
    let shell = Shell::new().await;
    for user in ["alice", "bob"] {
        shell.ok(&["user", "create", user]).await;
    }
    let (alice, bob) = (shell.ok(&["token", "create", "alice"]).await, shell.ok(&["token", "create", "bob"]).await);
    let (alice, bob) = (alice.trim(), bob.trim());
    let id = shell.ok(&["send", "--token", alice, "--to", "bob", "draft"]).await;
    let id = id.trim();
    let change = async |kind: &str, token: &str, to: &str, more: &[&str]| {
        shell.run(&[&["change", kind, "--token", token, "--to", to, id], more].concat()).await.0
    };
    let shown = async || shell.ok(&["history", "--token", bob, "--with", "alice"]).await;
    assert_eq!(change("edit", alice, "bob", &["final"]).await, 0);
    assert_eq!(change("react", bob, "alice", &["+1"]).await, 0);
    assert_eq!(change("pin", bob, "alice", &[]).await, 0);
    assert_eq!(shown().await, format!("1  {id}  alice: final (edited) +1\n"));
    assert_eq!(change("react", bob, "alice", &["+1", "--off"]).await, 0);
    assert_eq!(change("edit", bob, "alice", &["not his"]).await, 4);
    assert_eq!(change("wipe", alice, "bob", &[]).await, 0);
    assert_eq!(shown().await, format!("1  {id}  alice: (wiped) (edited)\n"));
    assert_eq!(change("recall", alice, "bob", &[]).await, 0);
    assert_eq!(shown().await, format!("1  {id}  alice: (taken back) (edited)\n"));
    assert_eq!(change("edit", alice, "bob", &["too late"]).await, 5);

    // In a group, for all its members.
    shell.ok(&["group", "create", "team", "alice", "bob"]).await;
    let id = shell.ok(&["send", "--token", alice, "--group", "team", "first draft"]).await;
    let id = id.trim();
    let change = async |kind: &str, token: &str, more: &[&str]| {
        shell.run(&[&["change", kind, "--token", token, "--group", "team", id], more].concat()).await.0
    };
    assert_eq!(change("edit", alice, &["second draft"]).await, 0);
    assert_eq!(change("react", bob, &["+1"]).await, 0);
    assert_eq!(change("edit", bob, &["not his"]).await, 4);
    let in_team = shell.ok(&["history", "--token", bob, "--group", "team"]).await;
    assert_eq!(in_team, format!("2  {id}  alice: second draft (edited) +1\n"));
    let found = shell.ok(&["search", "--token", bob, "--group", "team", "draft"]).await;
    assert_eq!(found, format!("#team  2  {id}  alice: second draft\n"));
    assert!(shell.ok(&["search", "--token", bob, "second"]).await.starts_with("#team"));
    assert_eq!(change("recall", alice, &[]).await, 0);
    assert_eq!(shell.ok(&["search", "--token", bob, "draft"]).await, "");
    let in_chat = shell.run_with(&["chat", "--token", alice], "#team rough\n/edit polished\n").await;
    let in_chat = String::from_utf8(in_chat.stdout).unwrap();
    assert!(in_chat.contains("✓ sent: /edit polished"), "{in_chat}");

    // In a chat, of what was said last.
    let hers = shell.run_with(&["chat", "--token", alice], "/edit nothing\n@bob rough\n/edit polished\n").await;
    let hers = String::from_utf8(hers.stdout).unwrap();
    for expected in ["there is no message here", "✓ sent: /edit polished"] {
        assert!(hers.contains(expected), "{expected:?} is missing in:\n{hers}");
    }
    assert!(shown().await.contains("alice: polished (edited)"));
    shell.run_with(&["chat", "--token", alice], "@bob oops\n/recall\n").await;
    assert!(shown().await.trim_end().ends_with("alice: (taken back)"), "{}", shown().await);
}

#[tokio::test]
async fn who_is_online_is_told_in_words_and_in_json() {
    let shell = Shell::new().await;
    for user in ["alice", "bob"] {
        shell.ok(&["user", "create", user]).await;
    }
    let (alice, bob) = (shell.ok(&["token", "create", "alice"]).await, shell.ok(&["token", "create", "bob"]).await);
    let (alice, bob) = (alice.trim(), bob.trim());
    let mut listening = shell.command(&["listen", "--token", bob]).stdout(Stdio::null()).spawn().unwrap();
    let online = shell.ok(&["presence", "--token", alice, "bob", "--json"]).await;
    let value: serde_json::Value = serde_json::from_str(&online).unwrap();
    assert_eq!((value["user"].as_str(), value["last_seen"].is_null()), (Some("bob"), true), "{online}");
    listening.kill().unwrap();
    listening.wait().unwrap();
    let told = shell.ok(&["presence", "--token", alice, "nobody"]).await;
    assert_eq!(told, "nobody offline\n");
    let too_many: Vec<String> = (0..201).map(|number| format!("user-{number}")).collect();
    let words: Vec<&str> =
        ["presence", "--token", alice].into_iter().chain(too_many.iter().map(String::as_str)).collect();
    assert_eq!(shell.run(&words).await.0, 12);
}

#[tokio::test]
async fn exit_codes_tell_what_happened() {
    let shell = Shell::new().await;
    shell.ok(&["user", "create", "alice"]).await;
    let alice = shell.ok(&["token", "create", "alice"]).await;
    let alice = alice.trim();
    let code = async |words: &[&str]| shell.run(words).await.0;
    assert_eq!(code(&["send", "--token", alice, "--to", "nobody", "hello"]).await, 5);
    assert_eq!(code(&["send", "--token", "wrong", "--to", "alice", "hello"]).await, 4);
    assert_eq!(code(&["send", "--token", alice, "--to", "", "hello"]).await, 12);
    let large = "x".repeat(70_000);
    assert_eq!(code(&["send", "--token", alice, "--to", "alice", &large]).await, 9);
    let nowhere =
        ["send", "--token", alice, "--to", "alice", "hello", "--gateway", "ws://127.0.0.1:9", "--timeout", "1s"];
    assert_eq!(code(&nowhere).await, 3);
    assert_eq!(code(&["user", "get", "nobody"]).await, 5);
    assert_eq!(code(&["user", "create", "alice", "--display-name", "Other"]).await, 11);
    assert_eq!(code(&["user", "list", "--api-key", "wrong"]).await, 4);
    assert_eq!(code(&["user", "list", "--server", "http://127.0.0.1:9"]).await, 3);
    assert_eq!(code(&["no-such-command"]).await, 2);
    assert_eq!(code(&["listen", "--token", "wrong"]).await, 4);
}

#[tokio::test]
async fn operators_manage_policies_and_groups() {
    let shell = Shell::new().await;
    for user in ["alice", "bob", "carol"] {
        shell.ok(&["user", "create", user]).await;
    }
    shell.ok(&["policy", "create", "guest", "calls=false", "message_rates=30/60,60/600", "audience=nobody"]).await;
    shell.ok(&["user", "update", "carol", "--policy", "guest"]).await;
    assert!(shell.ok(&["user", "get", "carol", "--json"]).await.contains("\"policy\":\"guest\""));
    assert_eq!(shell.run(&["policy", "delete", "guest"]).await.0, 12, "it is carol's");
    shell.ok(&["policy", "update", "guest", "audience=", "max_devices=1"]).await;
    let shown = shell.ok(&["policy", "get", "guest"]).await;
    let shown: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [
        ["message_rates", "30/60,60/600", "set"],
        ["audience", "all", "default"],
        ["max_devices", "1", "set"],
        ["history_seconds", "2592000", "default"],
    ] {
        assert!(shown.iter().any(|line| line.as_slice() == row), "{row:?} is missing in {shown:?}");
    }
    assert_eq!(shell.run(&["policy", "update", "guest", "max_devices=65"]).await.0, 12);

    shell.ok(&["group", "create", "team", "alice", "bob", "--display-name", "The team"]).await;
    shell.ok(&["group", "member", "team", "alice", "--role", "owner"]).await;
    shell.ok(&["group", "member", "team", "bob", "--deny", "send"]).await;
    let code = shell.ok(&["group", "invite", "team", "--max-uses", "1", "--expires-in", "7d"]).await;
    assert!(shell.ok(&["group", "invites", "team"]).await.contains(code.trim()));
    shell.ok(&["group", "uninvite", "team", code.trim()]).await;
    shell.ok(&["group", "add", "team", "carol", "--role", "admin"]).await;
    shell.ok(&["group", "remove", "team", "bob"]).await;
    let members = shell.ok(&["group", "members", "team", "--json"]).await;
    let members: Vec<serde_json::Value> = members.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let members: Vec<_> = members.iter().map(|it| (it["user"].as_str(), it["role"].as_str())).collect();
    assert_eq!(members, [(Some("alice"), Some("owner")), (Some("carol"), Some("admin"))]);
    shell.ok(&["group", "update", "team", "--paused", "true", "--kind", "announcement"]).await;
    let group: serde_json::Value = serde_json::from_str(&shell.ok(&["group", "get", "team", "--json"]).await).unwrap();
    assert_eq!((group["paused"].as_bool(), group["kind"].as_str()), (Some(true), Some("announcement")));
    assert_eq!(group["display_name"].as_str(), Some("The team"));
    assert!(shell.ok(&["group", "of", "carol"]).await.contains("The team"));
    assert!(shell.ok(&["group", "list", "te*"]).await.contains("The team"));
    shell.ok(&["group", "delete", "team"]).await;
    assert_eq!(shell.run(&["group", "get", "team"]).await.0, 5);
}

#[tokio::test]
async fn operators_manage_apps_users_tokens_and_keys() {
    let shell = Shell::new().await;
    shell.ok(&["app", "create", "shop", "--display-name", "The shop"]).await;
    assert!(shell.ok(&["app", "list"]).await.contains("The shop"));
    for user in ["ann", "anton", "berta"] {
        shell.ok(&["user", "create", user, "--app", "shop", "--attribute", "team=red"]).await;
    }
    let listed = shell.ok(&["user", "list", "an*", "--app", "shop", "--json"]).await;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    shell.ok(&["user", "update", "ann", "--app", "shop", "--display-name", "Ann"]).await;
    let shown = shell.ok(&["user", "get", "ann", "--app", "shop", "--json"]).await;
    let user: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((user["display_name"].as_str(), user["attributes"]["team"].as_str()), (Some("Ann"), Some("red")));

    let key = shell.ok(&["key", "create", "--app", "shop", "--display-name", "backend"]).await;
    let mine = shell.ok(&["user", "list", "--api-key", key.trim(), "--json"]).await;
    assert_eq!(mine.lines().count(), 3, "a key of one app needs no --app: {mine}");

    let created = shell.ok(&["token", "create", "ann", "--app", "shop", "--ttl", "30d", "--json"]).await;
    let token: serde_json::Value = serde_json::from_str(&created).unwrap();
    assert!(token["expires_at"].is_string() && token["secret"].is_string());
    shell.ok(&["token", "revoke", "ann", token["id"].as_str().unwrap(), "--app", "shop"]).await;
    let refused = shell.run(&["send", "--token", token["secret"].as_str().unwrap(), "--to", "berta", "hi"]).await;
    assert_eq!(refused.0, 4);
    shell.ok(&["user", "deactivate", "anton", "--app", "shop"]).await;
    assert!(shell.ok(&["user", "get", "anton", "--app", "shop", "--json"]).await.contains("\"active\":false"));
    shell.ok(&["user", "activate", "anton", "--app", "shop"]).await;
    shell.ok(&["user", "delete", "berta", "--app", "shop"]).await;
    assert_eq!(shell.run(&["user", "get", "berta", "--app", "shop"]).await.0, 5);
    shell.ok(&["app", "delete", "shop"]).await;
    assert_eq!(shell.run(&["user", "get", "ann", "--app", "shop"]).await.0, 5);
}
