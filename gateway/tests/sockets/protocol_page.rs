//! docs/protocol.md shows what the codec writes.

use tidings_proto::client::v1::{ClientFrame, ServerFrame};

const PAGE: &str = include_str!("../../../docs/protocol.md");

fn encoded_again(line: &str) -> Result<String, String> {
    let client = serde_json::from_str::<ClientFrame>(line).map(|frame| serde_json::to_string(&frame));
    let server = || serde_json::from_str::<ServerFrame>(line).map(|frame| serde_json::to_string(&frame));
    let either = client.or_else(|_| server()).map_err(|error| error.to_string())?;
    either.map_err(|error| error.to_string())
}

#[test]
fn every_json_example_is_a_frame_as_the_codec_writes_it() {
    let blocks = PAGE.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut wrong = Vec::new();
    let mut examples = 0;
    for line in blocks.flat_map(str::lines) {
        examples += 1;
        match encoded_again(line) {
            Ok(again) if again == line => {}
            Ok(again) => wrong.push(format!("page:  {line}\ncodec: {again}")),
            Err(error) => wrong.push(format!("page:  {line}\nerror: {error}")),
        }
    }
    assert!(examples > 10, "{examples} examples");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}

#[test]
fn the_limits_table_has_the_defaults() {
    let config = tidings_gateway::GatewayConfig::default();
    let rows = [
        ("max_content_bytes", config.max_content_bytes),
        ("send_window", config.send_window),
        ("delivery_window", config.delivery_window),
        ("delivery_window_bytes", config.delivery_window_bytes),
        ("handshake_timeout_ms", config.handshake_timeout_ms),
        ("heartbeat_ms", config.heartbeat_ms),
        ("write_timeout_ms", config.write_timeout_ms),
        ("max_connections_per_user", config.max_connections_per_user),
        ("frames_per_second", config.frames_per_second),
        ("frames_burst", config.frames_burst),
        ("sends_per_second", config.sends_per_second),
        ("sends_burst", config.sends_burst),
        ("presence_watched", config.presence_watched),
        ("presence_lease_ms", config.presence_lease_ms),
        ("presence_interval_ms", config.presence_interval_ms),
        ("activities_per_second", config.activities_per_second),
        ("activities_burst", config.activities_burst),
        ("retry_ms", config.retry_ms),
        ("outcome_unknown_ms", config.outcome_unknown_ms),
        ("drain_reconnect_within_ms", config.drain_reconnect_within_ms),
    ];
    for (key, value) in rows {
        assert!(PAGE.contains(&format!("| `{key}` | {value} |")), "docs/protocol.md lacks `{key}` | {value}");
    }
}
