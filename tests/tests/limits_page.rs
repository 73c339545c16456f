//! The page of limits, docs/reference/limits.md, says what holds: the defaults are those of the code, and every test
//! that a row names is there.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use tidings_proto::EffectivePolicy;

const PAGE: &str = include_str!("../../docs/reference/limits.md");
/// Compared with the structs of the sections where those are (`src/server/config_check.rs`).
const CONFIGURATION: &str = include_str!("../../docs/reference/configuration.md");

/// A limit: what it is of, how much, where it is set, what happens beyond it, and the tests.
struct Row([&'static str; 5]);

impl Row {
    fn what(&self) -> &'static str {
        self.0[0]
    }

    /// Whether it is a field of a policy or a node's setting, and not fixed.
    fn is_set(&self) -> bool {
        let set_by = self.0[2];
        set_by.contains('[') || set_by.contains("policy `") || set_by.contains("policy of the sender")
    }
}

fn rows() -> Vec<Row> {
    let lines = PAGE.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| What |"));
    let cells = |line: &'static str| line.trim_matches(['|', ' ']).split(" | ").map(str::trim).collect::<Vec<_>>();
    lines.map(|line| Row(cells(line).try_into().unwrap_or_else(|_| panic!("not five cells: {line}")))).collect()
}

/// The default of a node's setting.
fn setting(section: &str, key: &str) -> u64 {
    let header = format!("[{section}]");
    let mut of_section = CONFIGURATION.lines().skip_while(|line| !line.starts_with(&header)).skip(1);
    let line = of_section.by_ref().take_while(|line| !line.starts_with('[')).find_map(|line| {
        let (name, value) = line.split_once(" = ")?;
        (name == key).then(|| value.split([' ', '#']).next().unwrap())
    });
    line.unwrap_or_else(|| panic!("[{section}] {key} is not on the page of settings")).parse().unwrap()
}

fn gateway(key: &str) -> u64 {
    setting("gateway", key)
}

/// As the page writes numbers.
fn written(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// What the page should say of every limit that can be set.
fn expected() -> Vec<(&'static str, String)> {
    let policy = EffectivePolicy::default();
    let nothing = |is_nothing: bool| if is_nothing { "none" } else { "some" }.to_owned();
    let bytes = |count: u64| format!("{} bytes", written(count));
    let seconds = |seconds: u64| format!("{} s", written(seconds));
    let of_ms = |key: &str| seconds(gateway(key) / 1000);
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let days = |seconds: u64| format!("{} days", seconds / (24 * 3600));
    let rate = |per_second: &str, burst: &str| {
        format!("{} per second, {} at once", written(gateway(per_second)), written(gateway(burst)))
    };
    let per_second = |interval_ms: u64| format!("{} per second", 1000 / interval_ms);
    assert_eq!(u64::from(policy.max_message_bytes), gateway("max_content_bytes"), "the gateway's is the policy's");
    assert_eq!(policy.edit_window_seconds, policy.recall_window_seconds, "one row is of both");
    assert!(policy.file_types.is_empty() && policy.max_file_bytes <= setting("files", "max_file_bytes"));
    let window = format!("{}, and {}", written(gateway("delivery_window")), mib(gateway("delivery_window_bytes")));
    vec![
        ("Content of a message, encoded", bytes(policy.max_message_bytes.into())),
        ("Messages of a user, all devices", nothing(policy.message_rates.is_empty())),
        ("Messages of an app", nothing(policy.app_message_rates.is_empty())),
        ("Messages of one connection", rate("sends_per_second", "sends_burst")),
        ("Frames of one connection", rate("frames_per_second", "frames_burst")),
        ("Unanswered sends", written(gateway("send_window"))),
        ("Unacknowledged deliveries", window),
        ("Connections of a user at a gateway", written(gateway("max_connections_per_user"))),
        ("Connections of a gateway", written(gateway("max_connections"))),
        ("Connections from one address", nothing(gateway("max_connections_per_address") == 0)),
        ("Time for `Hello`", of_ms("handshake_timeout_ms")),
        ("A client that does not read", of_ms("write_timeout_ms")),
        ("A file", bytes(policy.max_file_bytes)),
        ("Types of files", "all".to_owned()),
        ("Uploads that bring bytes at a moment, at a gateway", written(setting("files", "max_uploads"))),
        ("Time for an upload, and for a message to name it", seconds(setting("files", "upload_seconds"))),
        ("A link", seconds(setting("files", "link_seconds"))),
        ("A body that brings no byte, a reader that takes none", of_ms("write_timeout_ms")),
        ("Entries that wait for a user", format!("{}, and 256 MiB", written(policy.inbox_entries))),
        ("Time to edit, recall or wipe a message", seconds(policy.edit_window_seconds.into())),
        ("A message in the history", days(policy.history_seconds)),
        ("A message in a group's history", format!("{}, not longer than its `ttlMs`", days(policy.history_seconds))),
        ("Devices of a user", written(policy.max_devices)),
        (
            "Members of a group that is not a large one",
            format!("{}; 2 to 100,000; small again at nine tenths", written(policy.large_group_members)),
        ),
        ("Users watched through a gateway", written(gateway("presence_watched"))),
        ("Users of a shard who are watched", written(setting("broker", "presence_watched"))),
        ("Users of a shard of whom it is remembered when they left", written(setting("broker", "presence_last_seen"))),
        ("Changes of a user, told to a gateway", per_second(setting("broker", "presence_interval_ms"))),
        ("Frames of presence to a client", per_second(gateway("presence_interval_ms"))),
        ("A watch that is not repeated", of_ms("presence_lease_ms")),
        ("Activities of one connection", rate("activities_per_second", "activities_burst")),
    ]
}

/// Whose limits are no defaults: an upper end, or what another row says.
const WITHOUT_A_DEFAULT: [&str; 1] = ["Shards; replicas of each"];

#[test]
fn the_defaults_are_those_of_the_code() {
    let (rows, expected) = (rows(), expected());
    for (what, limit) in &expected {
        let row = rows.iter().find(|row| row.what() == *what).unwrap_or_else(|| panic!("no row {what:?}"));
        assert_eq!(row.0[1], limit, "{what}");
    }
    for row in rows.iter().filter(|row| row.is_set() && !WITHOUT_A_DEFAULT.contains(&row.what())) {
        assert!(
            expected.iter().any(|(what, _)| *what == row.what()),
            "the default of {:?} is not compared",
            row.what()
        );
    }
}

#[test]
fn every_test_that_a_row_names_is_there() {
    for row in rows() {
        let (mut code, mut named) = (None, 0);
        // Quoted: a file, and one test of it or more; and so on.
        for quoted in row.0[4].split('`').skip(1).step_by(2) {
            let is_rust = |path: &str| Path::new(path).extension().is_some_and(|extension| extension == "rs");
            if is_rust(quoted) || quoted.ends_with(".ts") {
                assert!(code.is_none() || named > 0, "{}: a file without a test", row.what());
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(quoted);
                let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{quoted}: {error}"));
                (code, named) = (Some((quoted, text)), 0);
                continue;
            }
            let (file, text) = code.as_ref().unwrap_or_else(|| panic!("{}: a test without a file", row.what()));
            let beginning = if is_rust(file) { format!("fn {quoted}(") } else { format!("test('{quoted}'") };
            assert!(text.contains(&beginning), "{file} has no test {quoted}");
            named += 1;
        }
        assert!(named > 0, "{}: no test is named", row.what());
    }
}
