//! The commands of operators and backends.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use serde_json::Value;
use tidings_tests::shell::Shell;
use tidings_tests::{DEADLINE, within};

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
    shell.ok(&["user", "create", "gus", "--policy", "guest"]).await;
    assert!(shell.ok(&["user", "get", "gus", "--json"]).await.contains("\"policy\":\"guest\""));
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
    let members: Vec<Value> = members.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let members: Vec<_> = members.iter().map(|it| (it["user"].as_str(), it["role"].as_str())).collect();
    assert_eq!(members, [(Some("alice"), Some("owner")), (Some("carol"), Some("admin"))]);
    shell.ok(&["group", "update", "team", "--paused", "true", "--kind", "announcement"]).await;
    let group: Value = serde_json::from_str(&shell.ok(&["group", "get", "team", "--json"]).await).unwrap();
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
    assert_eq!(shell.ok(&["app", "update", "shop", "--display-name", "The store"]).await, "shop\n");
    assert!(shell.ok(&["app", "list"]).await.contains("The store"));
    for user in ["ann", "anton", "berta"] {
        shell.ok(&["user", "create", user, "--app", "shop", "--attribute", "team=red"]).await;
    }
    let listed = shell.ok(&["user", "list", "an*", "--app", "shop", "--json"]).await;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    shell.ok(&["user", "update", "ann", "--app", "shop", "--display-name", "Ann"]).await;
    let shown = shell.ok(&["user", "get", "ann", "--app", "shop", "--json"]).await;
    let user: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((user["display_name"].as_str(), user["attributes"]["team"].as_str()), (Some("Ann"), Some("red")));

    let key = shell.ok(&["key", "create", "--app", "shop", "--display-name", "backend"]).await;
    let mine = shell.ok(&["user", "list", "--api-key", key.trim(), "--json"]).await;
    assert_eq!(mine.lines().count(), 3, "a key of one app needs no --app: {mine}");

    let created = shell.ok(&["token", "create", "ann", "--app", "shop", "--ttl", "30d", "--json"]).await;
    let token: Value = serde_json::from_str(&created).unwrap();
    assert!(token["expires_at"].is_string() && token["secret"].is_string());
    shell.ok(&["token", "revoke", "ann", token["id"].as_str().unwrap(), "--app", "shop"]).await;
    let refused = shell.run(&["send", "--token", token["secret"].as_str().unwrap(), "--to", "berta", "hi"]).await;
    assert_eq!(refused.0, 4);
    shell.ok(&["user", "deactivate", "anton", "--app", "shop"]).await;
    assert!(shell.ok(&["user", "get", "anton", "--app", "shop", "--json"]).await.contains("\"active\":false"));
    shell.ok(&["user", "activate", "anton", "--app", "shop"]).await;
    let mine_now = shell.ok(&["token", "create", "ann", "--app", "shop"]).await;
    shell.ok(&["user", "delete", "berta", "--app", "shop"]).await;
    assert_eq!(shell.run(&["user", "get", "berta", "--app", "shop"]).await.0, 5);
    shell.ok(&["app", "deactivate", "shop"]).await;
    assert_eq!(shell.run(&["send", "--token", mine_now.trim(), "--to", "anton", "hi"]).await.0, 4);
    assert!(shell.ok(&["app", "list", "sh*", "--json"]).await.contains("\"active\":false"));
    assert_eq!(shell.ok(&["app", "list", "x*"]).await.lines().count(), 1);
    shell.ok(&["app", "activate", "shop"]).await;
    assert!(shell.ok(&["app", "list", "shop", "--json"]).await.contains("\"active\":true"));
    shell.ok(&["app", "delete", "shop"]).await;
    assert_eq!(shell.run(&["user", "get", "ann", "--app", "shop"]).await.0, 5);
}

/// Waits for what a command prints.
async fn prints(shell: &Shell, words: &[&str], expected: &str) {
    let printing = async {
        while shell.ok(words).await != expected {
            tokio::task::yield_now().await;
        }
    };
    within(DEADLINE, expected, printing).await;
}

#[tokio::test]
async fn a_backend_sends_and_asks_what_became_of_it() {
    let shell = Shell::new().await;
    shell.person("alice").await;
    let bob = shell.person("bob").await;
    let send = async |more: &[&str]| shell.ok(&[&["message", "send"], more].concat()).await.trim().to_owned();
    let status = async |more: &[&str]| shell.ok(&[&["message", "status"], more].concat()).await;
    let first = send(&["--to", "bob", "--request-id", "r1", "--title", "Order", "it is on its way"]).await;
    let again = ["message", "send", "--to", "bob", "--request-id", "r1", "--json", "it is on its way"];
    let again: Value = serde_json::from_str(&shell.ok(&again).await).unwrap();
    assert_eq!((again["id"].as_str(), again["repeated"].as_bool()), (Some(first.as_str()), Some(true)));
    let second = send(&["--to", "bob", "--as", "alice", "--priority", "high", "hello"]).await;
    assert_eq!(status(&[&second, "--to", "bob", "--as", "alice"]).await, "waiting\n");
    let printed = shell.ok(&["listen", "--token", &bob, "--count", "2"]).await;
    assert_eq!(printed, "system: [Order] it is on its way\nalice: hello\n");
    for (id, sender) in [(&first, &[][..]), (&second, &["--as", "alice"])] {
        prints(&shell, &[&["message", "status", id, "--to", "bob"], sender].concat(), "delivered\n").await;
    }
    assert_eq!(shell.run(&["message", "status", &second, "--to", "bob"]).await.0, 5, "it is not the system's");

    shell.ok(&["group", "create", "team", "alice", "bob"]).await;
    let to_team = send(&["--group", "team", "--request-id", "r2", "hello, both"]).await;
    let by_request: Value =
        serde_json::from_str(&status(&["--request-id", "r2", "--group", "team", "--json"]).await).unwrap();
    assert_eq!((by_request["id"].as_str(), by_request["members"].as_u64()), (Some(to_team.as_str()), Some(2)));
    shell.ok(&["listen", "--token", &bob, "--count", "1"]).await;
    prints(&shell, &["message", "status", &to_team, "--group", "team"], "1 of 2 have it, 0 read it\n").await;
    let alone = ["message", "send", "--to", "bob", "--disappear", "1h", "--no-receipts", "--ttl"];
    assert_eq!(shell.run(&[&alone[..], &["1h", "soon gone"]].concat()).await.0, 0);
    assert_eq!(shell.run(&[&alone[..], &["0", "soon gone"]].concat()).await.0, 12, "it is stored nowhere");
    for (nonsense, code) in [
        (&["message", "send", "hello"][..], 2),
        (&["message", "send", "--to", "bob"], 2),
        (&["message", "send", "--to", "nobody", "hello"], 5),
        (&["message", "status", "--request-id", "r2", "--to", "bob"], 2),
    ] {
        assert_eq!(shell.run(nonsense).await.0, code, "{nonsense:?}");
    }
}

#[tokio::test]
async fn what_waits_is_listed_looked_at_and_taken_back() {
    let shell = Shell::new().await;
    for user in ["alice", "bob"] {
        shell.person(user).await;
    }
    let send = ["message", "send", "--to", "bob", "--at", "1h", "remember"];
    let id = shell.ok(&send).await;
    let id = id.trim();
    let of_alice = shell.ok(&[&send[..], &["--as", "alice"]].concat()).await;
    let scheduled = async |more: &[&str]| shell.ok(&[&["message", "scheduled"], more].concat()).await;
    let listed = scheduled(&["list"]).await;
    assert!(listed.lines().count() == 2 && listed.contains(id) && listed.contains("remember"), "{listed}");
    assert!(scheduled(&["list", "--as", "alice"]).await.contains(of_alice.trim()));
    let state = async |id: &str| {
        let found: Value = serde_json::from_str(&scheduled(&["get", id, "--json"]).await).unwrap();
        found["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(id).await, "pending");
    scheduled(&["cancel", id]).await;
    assert_eq!(state(id).await, "cancelled");
    assert_eq!(shell.run(&["message", "scheduled", "cancel", id, "--as", "alice"]).await.0, 5, "it is the system's");
    assert_eq!(scheduled(&["list"]).await.lines().count(), 1);
}

#[tokio::test]
async fn what_a_user_sees_is_shown() {
    let shell = Shell::new().await;
    let alice = shell.person("alice").await;
    shell.person("bob").await;
    shell.ok(&["group", "create", "team", "alice", "bob"]).await;
    let to_bob = shell.ok(&["send", "--token", &alice, "--to", "bob", "lunch at noon"]).await;
    let to_team = shell.ok(&["send", "--token", &alice, "--group", "team", "lunch for all"]).await;
    let (to_bob, to_team) = (to_bob.trim(), to_team.trim());
    let user = async |words: &[&str]| shell.ok(&[&["user"], words].concat()).await;
    let has_both = async {
        loop {
            let conversations = user(&["conversations", "bob"]).await;
            if conversations.contains("alice") && conversations.contains("#team") {
                return;
            }
        }
    };
    within(DEADLINE, "both conversations", has_both).await;
    let history = user(&["history", "bob", "--with", "alice"]).await;
    assert_eq!(history, format!("1  {to_bob}  alice: lunch at noon\n"));
    let history = user(&["history", "bob", "--group", "team", "--json"]).await;
    let kept: Value = serde_json::from_str(&history).unwrap();
    assert_eq!(
        (kept["id"].as_str(), kept["message"]["content"]["text"].as_str()),
        (Some(to_team), Some("lunch for all"))
    );
    let found = user(&["search", "bob", "lunch", "--with", "alice"]).await;
    assert_eq!(found, format!("alice  1  {to_bob}  alice: lunch at noon\n"));
    assert_eq!(user(&["search", "bob", "lunch"]).await.lines().count(), 2);
    assert_eq!(user(&["search", "bob", "lunch", "--limit", "1", "--json"]).await.lines().count(), 1);
    assert_eq!(shell.run(&["user", "history", "nobody", "--with", "alice"]).await.0, 5);
}
