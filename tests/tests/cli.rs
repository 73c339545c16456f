//! The commands of the README, as a person types them.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::process::Stdio;

use serde_json::{Value, json};
use tidings_tests::shell::Shell;

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
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((value["from"].as_str(), value["text"].as_str()), (Some("alice"), Some("from stdin\n")));

    // Fields of the application's own.
    let fields = ["--field", "lang=en", "--value", "seats=integer:5", "--value", "price=number:0.5", "--value"];
    let send = [&["send", "--token", alice, "--to", "bob"][..], &fields, &["at=time:2027-01-01T08:00:00Z"]].concat();
    shell.ok(&send).await;
    let printed = shell.ok(&["listen", "--token", bob, "--count", "1", "--no-ack"]).await;
    assert_eq!(printed, "alice: {lang: en, at: 2027-01-01T08:00:00Z, price: 0.5, seats: 5}\n");
    let json = shell.ok(&["listen", "--token", bob, "--count", "1", "--json"]).await;
    let value: Value = serde_json::from_str(&json).unwrap();
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
    let value: Value = serde_json::from_str(&set).unwrap();
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
    let (alice, bob) = (shell.person("alice").await, shell.person("bob").await);
    let (alice, bob) = (alice.as_str(), bob.as_str());
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
    let (alice, bob) = (shell.person("alice").await, shell.person("bob").await);
    let (alice, bob) = (alice.as_str(), bob.as_str());
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
    let (alice, bob) = (shell.person("alice").await, shell.person("bob").await);
    let (alice, bob) = (alice.as_str(), bob.as_str());
    let mut listening = shell.command(&["listen", "--token", bob]).stdout(Stdio::null()).spawn().unwrap();
    let online = shell.ok(&["presence", "--token", alice, "bob", "--json"]).await;
    let value: Value = serde_json::from_str(&online).unwrap();
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

/// What the first of a user's messages says, as JSON.
async fn came(shell: &Shell, token: &str) -> Value {
    let json = shell.ok(&["listen", "--token", token, "--count", "1", "--json"]).await;
    serde_json::from_str(&json).unwrap()
}

#[tokio::test]
async fn all_that_a_message_can_say_is_said() {
    let shell = Shell::new().await;
    let (alice, bob) = (shell.person("alice").await, shell.person("bob").await);
    let send = async |more: &[&str]| {
        let id = shell.ok(&[&["send", "--token", &alice, "--to", "bob"], more].concat()).await;
        id.trim().to_owned()
    };
    let first = send(&["first"]).await;
    assert_eq!(came(&shell, &bob).await["text"], "first");

    let file = shell.scratch("bytes");
    std::fs::write(&file, [0, 1, 254, 255]).unwrap();
    let file = file.to_str().unwrap();
    let all = [
        &["@bob look", "--type", "7", "--title", "News", "--data", file, "--reply-to", &first, "--thread", "t1"][..],
        &["--forwarded", "--mention", "bob", "--priority", "urgent", "--receipts", "none"],
    ];
    send(&all.concat()).await;
    let content = came(&shell, &bob).await["content"].take();
    let (stream, seq) = first.split_once('.').unwrap();
    let mention = json!({ "user": "bob", "length": 4 });
    for (field, value) in [
        ("type", json!(7)),
        ("title", json!("News")),
        ("data", json!("AAH+/w==")),
        ("replyTo", json!({ "stream": stream, "seq": seq })),
        ("thread", json!("t1")),
        ("forwarded", json!(true)),
        ("mentions", json!([mention])),
        ("priority", json!("URGENT")),
    ] {
        assert_eq!(content[field], value, "{field} in {content}");
    }

    send(&["--location", "-33.8568,151.2153", "--live-until", "15m"]).await;
    let place = came(&shell, &bob).await["content"]["location"].take();
    assert_eq!((&place["latitudeE7"], &place["longitudeE7"]), (&json!(-338_568_000), &json!(1_512_153_000)));
    assert!(place["liveUntilMs"].is_string(), "{place}");
    let poll = send(&["--poll", "Lunch?", "--option", "noon", "--option", "one", "--closes", "1h"]).await;
    let printed = shell.ok(&["listen", "--token", &bob, "--count", "1"]).await;
    assert_eq!(printed, "alice: [Lunch? 1: noon, 2: one]\n");
    shell.ok(&["change", "react", "--token", &bob, "--to", "alice", &poll, "2"]).await;

    // Of nowhere, without answers, and without anything to say.
    for nonsense in [&["--location", "91,0"][..], &["--poll", "Lunch?"], &["--priority", "high"]] {
        let words = [&["send", "--token", &alice, "--to", "bob"], nonsense].concat();
        assert_eq!(shell.run(&words).await.0, 2, "{nonsense:?}");
    }
    let devices = shell.ok(&["devices", "--token", &bob]).await;
    assert_eq!(devices.lines().nth(1).and_then(|line| line.split(' ').next()), Some("cli"), "{devices}");
}

#[tokio::test]
async fn a_key_of_conflation_is_for_what_is_stored_nowhere() {
    let shell = Shell::new().await;
    let alice = shell.person("alice").await;
    let price = ["send", "--token", &alice, "--to", "alice", "--conflation-key", "gold", "--json", "1999", "--ttl"];
    let sent: Value = serde_json::from_str(&shell.ok(&[&price[..], &["0"]].concat()).await).unwrap();
    assert_eq!(sent["durability"], "transient");
    assert_eq!(shell.run(&[&price[..], &["1h"]].concat()).await.0, 12);
}

#[tokio::test]
async fn a_group_is_run_in_a_chat() {
    let shell = Shell::new().await;
    let (alice, bob) = (shell.person("alice").await, shell.person("bob").await);
    let chat = async |token: &str, input: &str| {
        let output = shell.run_with(&["chat", "--token", token], input).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    shell.person("carol").await;
    let hers = "/create club bob carol\n/name The club\n/kind announcement\n/role carol admin\n\
                /permit bob send,add\n/remove carol\n/members\n/pause\n/nonsense\n";
    let hers = chat(&alice, hers).await;
    for expected in ["— you are in #club now", "— #club: alice (owner), bob\n", "/nonsense is no command"] {
        assert!(hers.contains(expected), "{expected:?} is missing in:\n{hers}");
    }
    assert_eq!(hers.matches("— done in #club").count(), 6, "{hers}");
    let group: Value = serde_json::from_str(&shell.ok(&["group", "get", "club", "--json"]).await).unwrap();
    assert_eq!((&group["display_name"], &group["kind"]), (&json!("The club"), &json!("announcement")));
    assert_eq!((&group["paused"], &group["members"]), (&json!(true), &json!(2)));
    let members = shell.ok(&["group", "members", "club", "--json"]).await;
    assert!(members.lines().any(|line| line.contains("\"bob\"") && line.contains("send,add")), "{members}");

    // He may add, and neither manage nor end it.
    let his = chat(&bob, "#club\n/add carol\n/resume\n/delete\n").await;
    assert_eq!((his.matches("— done in #club").count(), his.matches("PERMISSION_DENIED").count()), (1, 2), "{his}");
    let hers = chat(&alice, "/add bob\n#club\n/resume\n/delete\n").await;
    assert!(hers.contains("in which group?") && hers.matches("— done in #club").count() == 2, "{hers}");
    assert_eq!(shell.run(&["group", "get", "club"]).await.0, 5);
}
