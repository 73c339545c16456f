//! The vectors that all SDKs are held to (`sdk/vectors`, its README says what they hold). With `TIDINGS_WRITE_VECTORS`
//! set, what this core does is written to the scenarios; otherwise it has to be what stands there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use serde_json::{Map, Value, json};
use tidings_proto::client::v1::{ClientFrame, Request, Response, ServerFrame};
use tidings_proto::error::{Next, reconnects};
use tidings_proto::frame::{decode_client, encode_client};
use tidings_proto::message::v1::{Activity, Content};
use tidings_proto::{GroupId, UserId};

use super::super::*;
use crate::store::StoredSend;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors"))
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_core_does_what_the_scenarios_say() {
    let write = std::env::var_os("TIDINGS_WRITE_VECTORS").is_some();
    let mut count = 0;
    for file in fs::read_dir(folder().join("connection")).unwrap() {
        let path = file.unwrap().path();
        let expected = read(&path);
        let mut found = expected.clone();
        play(&mut found);
        if write {
            fs::write(&path, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
        } else {
            let steps = |scenario: &Value| scenario["steps"].as_array().unwrap().clone();
            for (index, (found, expected)) in steps(&found).iter().zip(steps(&expected)).enumerate() {
                assert_eq!(*found, expected, "{}, step {index}", path.display());
            }
        }
        count += 1;
    }
    assert!(count > 0, "there are scenarios");
}

#[test]
fn ceilings_of_the_back_off() {
    for case in read(&folder().join("backoff.json")).as_array().unwrap() {
        let mut backoff = Backoff::new(ms(&case["firstMs"]), ms(&case["lastMs"]));
        let mut rng = SmallRng::seed_from_u64(1);
        for ceiling in case["ceilingsMs"].as_array().unwrap() {
            assert_eq!(backoff.ceiling(), ms(ceiling));
            assert!(backoff.next(&mut rng) <= ms(ceiling));
        }
    }
}

#[test]
fn what_codes_ask_for() {
    let vectors = read(&folder().join("codes.json"));
    let codes = vectors["errors"].as_object().unwrap();
    for number in 1..=200 {
        let Ok(code) = ErrorCode::try_from(number) else { continue };
        let row = codes.get(code.as_str_name()).unwrap_or_else(|| panic!("codes.json lacks {}", code.as_str_name()));
        let next = match code.next() {
            Next::Retry => "retry",
            Next::Reconnect => "reconnect",
            Next::Stop => "stop",
        };
        assert_eq!(*row, json!({ "code": number, "closeCode": code.close_code(), "next": next }), "{code:?}");
    }
    for case in vectors["closeCodes"].as_array().unwrap() {
        let code = u16::try_from(case["closeCode"].as_u64().unwrap()).unwrap();
        let error = ErrorCode::of_close_code(code).map(|code| code.as_str_name());
        assert_eq!(
            (reconnects(code), error),
            (case["reconnects"].as_bool().unwrap(), case["error"].as_str()),
            "{code}"
        );
    }
}

#[test]
fn message_ids() {
    let vectors = read(&folder().join("message-ids.json"));
    for text in vectors["valid"].as_array().unwrap() {
        let text = text.as_str().unwrap();
        assert_eq!(text.parse::<MessageId>().unwrap().to_string(), text);
    }
    for text in vectors["invalid"].as_array().unwrap() {
        assert!(text.as_str().unwrap().parse::<MessageId>().is_err(), "{text}");
    }
}

#[test]
fn frames_of_sends() {
    for case in read(&folder().join("sends.json")).as_array().unwrap() {
        let bytes = bytes_of_hex(case["hex"].as_str().unwrap());
        let frame: ClientFrame = serde_json::from_value(case["frame"].clone()).unwrap();
        let frame = frame.frame.unwrap();
        assert_eq!(decode_client(bytes.clone()).unwrap(), frame);
        assert_eq!(encode_client(frame), bytes);
    }
}

fn bytes_of_hex(hex: &str) -> Bytes {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn ms(value: &Value) -> Duration {
    Duration::from_millis(value.as_u64().unwrap_or_else(|| panic!("{value} is no time")))
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

/// Runs a scenario's inputs, and puts in what comes out.
fn play(scenario: &mut Value) {
    // Without jitter: its range is what `backoff.json` is about.
    let config = Config {
        device: "phone".into(),
        agent: "vectors".into(),
        first_backoff: Duration::ZERO,
        last_backoff: Duration::ZERO,
        resend_unknown: scenario["resendUnknown"] == json!(true),
        ..Config::default()
    };
    let mut core = Connection::new(config, stored_state(&scenario["state"]));
    for step in scenario["steps"].as_array_mut().unwrap() {
        let now = ms(&step["at"]);
        let mut effects = Vec::new();
        let input = input(step["input"].as_object().unwrap());
        core.handle(now, input, &mut effects);
        core.flush(now, &mut effects);
        step["effects"] = effects.iter().map(rendered).collect();
        step["wakeAt"] = core.wake_at().map_or(Value::Null, |at| json!(whole_ms(at)));
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn recipient(value: &Value) -> Recipient {
    match text(value, "group") {
        "" => Recipient::User(UserId::new(text(value, "to")).unwrap()),
        group => Recipient::Group(GroupId::new(group).unwrap()),
    }
}

fn content(value: &Value) -> Bytes {
    Content { text: text(value, "text").to_owned(), ..Content::default() }.encode_to_vec().into()
}

fn stored_state(value: &Value) -> State {
    if value.is_null() {
        return State::default();
    }
    let number = |key: &str| value[key].as_u64().unwrap();
    let send = |send: &Value| StoredSend {
        seq: send["seq"].as_u64().unwrap(),
        to: text(send, "to").to_owned(),
        group: text(send, "group").to_owned(),
        content: content(send),
        ttl_ms: send["ttlMs"].as_u64(),
        ..StoredSend::default()
    };
    State {
        identity: Some(Identity { app: "default".into(), user: "alice".into(), device: "phone".into() }),
        mailbox_epoch: number("mailboxEpoch"),
        stream: number("stream"),
        next_seq: number("nextSeq"),
        cursor: number("cursor"),
        outbox: value["outbox"].as_array().unwrap().iter().map(send).collect(),
    }
}

fn input(input: &Map<String, Value>) -> Input<String> {
    let (name, value) = input.iter().next().unwrap();
    match name.as_str() {
        "start" => Input::Start,
        "opened" => Input::Opened { token: text(value, "token").to_owned() },
        "closed" => {
            let code = value["code"].as_u64().map(|code| u16::try_from(code).unwrap());
            Input::Closed { code, reason: text(value, "reason").to_owned() }
        }
        "frame" => {
            let frame: ServerFrame = serde_json::from_value(value.clone()).unwrap();
            Input::Frame(frame.frame.unwrap())
        }
        "send" => {
            let ttl_ms = value["ttlMs"].as_u64();
            Input::Send(Entry::new(recipient(value), content(value), ttl_ms, 0, text(value, "key").to_owned()))
        }
        "acknowledge" => Input::Acknowledge {
            generation: u32::try_from(value["generation"].as_u64().unwrap()).unwrap(),
            seq: value["seq"].as_u64().unwrap(),
        },
        "read" => {
            Input::Read { from: UserId::new(text(value, "from")).unwrap(), id: text(value, "id").parse().unwrap() }
        }
        "request" => {
            let request: Request = serde_json::from_value(value.clone()).unwrap();
            Input::Request { id: request.id, request: request.request.unwrap() }
        }
        "activity" => Input::Activity(serde_json::from_value::<Activity>(value.clone()).unwrap()),
        "tick" => Input::Tick,
        "stop" => Input::Stop,
        unknown => panic!("{unknown} is no input"),
    }
}

fn rendered(effect: &Effect<String>) -> Value {
    match effect {
        Effect::Persist(change) => json!({ "persist": change_of(change) }),
        Effect::Connect => json!({ "connect": {} }),
        Effect::Transmit(bytes) => {
            let frame = ClientFrame { frame: Some(decode_client(bytes.clone()).unwrap()) };
            json!({ "transmit": frame })
        }
        Effect::Disconnect => json!({ "disconnect": {} }),
        Effect::Numbered { tag, id } => json!({ "numbered": { "key": tag, "id": id.to_string() } }),
        Effect::Settled(settled) => {
            let mut told = BTreeMap::from([
                ("key", json!(settled.tag)),
                ("to", json!(settled.to.user())),
                ("group", json!(settled.to.group())),
            ]);
            match &settled.result {
                Ok(sent) => {
                    let durability = sent.durability.as_str_name();
                    let id = sent.id.to_string();
                    told.insert("sent", json!({ "id": id, "sentAtMs": sent.sent_at_ms, "durability": durability }));
                }
                Err(error) => {
                    told.insert("failed", send_failure(error));
                }
            }
            json!({ "settled": told })
        }
        Effect::Answered { id, answer: Ok(answer) } => {
            let response = Response { id: *id, response: Some(answer.clone()), ..Response::default() };
            json!({ "answered": response })
        }
        Effect::Answered { id, answer: Err(error) } => {
            json!({ "unanswered": { "id": id.to_string(), "failed": request_failure(error) } })
        }
        Effect::Emit(emit) => json!({ "emit": emitted(emit) }),
        Effect::Stopped(reason) => json!({ "stopped": stop_reason(reason) }),
    }
}

fn change_of(change: &Change) -> Value {
    match change {
        Change::Reset(state) => {
            let outbox: Vec<_> = state.outbox.iter().map(|send| send.seq).collect();
            json!({ "reset": {
                "mailboxEpoch": state.mailbox_epoch, "stream": state.stream, "nextSeq": state.next_seq, "cursor": state.cursor,
                "outbox": outbox,
            } })
        }
        Change::Enqueued(send) => json!({ "enqueued": send.seq }),
        Change::Answered(seq) => json!({ "answered": seq }),
        Change::Cursor(cursor) => json!({ "cursor": cursor }),
    }
}

fn emitted(emit: &Emit) -> Value {
    match emit {
        Emit::Online(welcome) => json!({ "online": { "user": welcome.user } }),
        Emit::Offline { retry_in, .. } => json!({ "offline": { "retryInMs": whole_ms(*retry_in) } }),
        Emit::Delivery { generation, seq, envelope } => {
            json!({ "delivery": { "generation": generation, "seq": seq, "envelope": envelope } })
        }
        Emit::Transient(envelope) => json!({ "transient": envelope }),
        Emit::Presence(users) => json!({ "presence": users }),
        Emit::UnknownRange(from, to) => json!({ "unknownRange": [from, to] }),
        Emit::CaughtUp => json!({ "caughtUp": {} }),
        Emit::NewStream(stream) => json!({ "newStream": stream }),
    }
}

fn send_failure(error: &SendError) -> Value {
    match error {
        SendError::Refused { code, .. } => json!({ "kind": "refused", "code": code.as_str_name() }),
        SendError::Unknown => json!({ "kind": "unknown" }),
        SendError::Stopped(_) => json!({ "kind": "stopped" }),
        other => panic!("the core does not say {other}"),
    }
}

fn request_failure(error: &RequestError) -> Value {
    match error {
        RequestError::Refused { code, .. } => json!({ "kind": "refused", "code": code.as_str_name() }),
        RequestError::UnknownAnswer => json!({ "kind": "unknown-answer" }),
        RequestError::TooMany => json!({ "kind": "full" }),
        RequestError::Stopped(_) => json!({ "kind": "stopped" }),
    }
}

fn stop_reason(reason: &StopReason) -> Value {
    match reason {
        StopReason::Closed => json!({ "kind": "closed" }),
        StopReason::Refused { code, .. } => json!({ "kind": "refused", "code": code.as_str_name() }),
        StopReason::CloseCode(_) => json!({ "kind": "refused" }),
        StopReason::StateOfAnother { .. } => json!({ "kind": "state-of-another" }),
        StopReason::Store(_) => json!({ "kind": "store" }),
        StopReason::Token(_) => json!({ "kind": "token" }),
    }
}
