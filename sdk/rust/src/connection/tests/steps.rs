//! Single steps: an input, and the effects that it must have.

use std::time::Duration;

use tidings_proto::client::v1::{Accepted, Closing, Refused, Send, client_frame};
use tidings_proto::frame::decode_client;

use super::super::*;
use super::model::text_content;

const T0: Duration = Duration::from_secs(100);

fn online(window: u32) -> Connection<u32> {
    let mut client = Connection::new(Config { device: "phone".into(), ..Config::default() }, State::default());
    step(&mut client, T0, Input::Start);
    step(&mut client, T0, Input::Opened { token: "t".into() });
    step(&mut client, T0, welcome(window));
    client
}

fn welcome(send_window: u32) -> Input<u32> {
    let welcome = Welcome { stream: 4096, send_window, heartbeat_ms: 10_000, ..Welcome::default() };
    Input::Frame(server_frame::Frame::Welcome(welcome))
}

fn step(client: &mut Connection<u32>, now: Duration, input: Input<u32>) -> Vec<Effect<u32>> {
    let mut effects = Vec::new();
    client.handle(now, input, &mut effects);
    client.flush(now, &mut effects);
    effects
}

fn send(client: &mut Connection<u32>, to: &str, tag: u32) -> Vec<(u64, u64)> {
    let entry = Entry::new(UserId::new(to).unwrap().into(), text_content("hi"), None, 0, tag);
    written(&step(client, T0, Input::Send(entry)))
}

/// `seq` and `after` of the sends among the effects.
fn written(effects: &[Effect<u32>]) -> Vec<(u64, u64)> {
    let frames = effects.iter().filter_map(|effect| match effect {
        Effect::Transmit(bytes) => decode_client(bytes.clone()).ok(),
        _ => None,
    });
    frames
        .filter_map(|frame| match frame {
            client_frame::Frame::Send(Send { seq, after, .. }) => Some((seq, after)),
            _ => None,
        })
        .collect()
}

fn refused(seq: u64, code: ErrorCode, retry_after_ms: Option<u32>) -> Input<u32> {
    let refused = Refused { seq, code: code as i32, message: String::new(), retry_after_ms };
    Input::Frame(server_frame::Frame::Refused(refused))
}

fn accepted(seq: u64) -> Input<u32> {
    Input::Frame(server_frame::Frame::Accepted(Accepted { seq, sent_at_ms: 5, durability: 2 }))
}

#[test]
fn the_window_counts_from_the_oldest_unanswered() {
    let mut client = online(3);
    assert_eq!(send(&mut client, "bob", 1), [(1, 0)]);
    assert_eq!(send(&mut client, "carol", 2), [(2, 0)]);
    assert_eq!(send(&mut client, "bob", 3), [(3, 1)]);
    assert_eq!(send(&mut client, "dave", 4), []);
    assert_eq!(written(&step(&mut client, T0, accepted(2))), [], "1 is still the oldest");
    assert_eq!(written(&step(&mut client, T0, accepted(1))), [(4, 0)]);
}

#[test]
fn a_group_is_another_recipient_than_the_user_of_its_name() {
    let mut client = online(8);
    let group = |tag| {
        let bob = crate::recipient::Recipient::Group(tidings_proto::GroupId::new("bob").unwrap());
        Input::Send(Entry::new(bob, text_content("hi"), None, 0, tag))
    };
    assert_eq!(send(&mut client, "bob", 1), [(1, 0)]);
    assert_eq!(written(&step(&mut client, T0, group(2))), [(2, 0)]);
    assert_eq!(written(&step(&mut client, T0, group(3))), [(3, 2)]);
    assert_eq!(send(&mut client, "bob", 4), [(4, 1)]);
    let restored = Connection::<u32>::new(Config::default(), client.state());
    let whom: Vec<_> = restored.outbox.iter().map(|(_, entry)| entry.to.to_string()).collect();
    assert_eq!(whom, ["bob", "#bob", "#bob", "bob"]);
}

#[test]
fn after_is_recomputed_when_the_earlier_one_has_ended() {
    let mut client = online(8);
    send(&mut client, "bob", 1);
    assert_eq!(send(&mut client, "bob", 2), [(2, 1)]);
    assert_eq!(written(&step(&mut client, T0, refused(2, ErrorCode::OutOfOrder, None))), [], "1 has no answer yet");
    let effects = step(&mut client, T0, refused(1, ErrorCode::InboxFull, None));
    assert_eq!(written(&effects), [(2, 0)]);
    assert!(
        effects.iter().any(|effect| matches!(effect, Effect::Settled(Settled { tag: Some(1), result: Err(_), .. })))
    );
}

#[test]
fn what_follows_a_waiting_one_waits_and_goes_with_it() {
    let mut client = online(8);
    send(&mut client, "bob", 1);
    send(&mut client, "bob", 2);
    assert_eq!(written(&step(&mut client, T0, refused(1, ErrorCode::Overloaded, Some(40)))), []);
    assert_eq!(written(&step(&mut client, T0, refused(2, ErrorCode::OutOfOrder, None))), []);
    assert_eq!(send(&mut client, "bob", 3), []);
    assert_eq!(send(&mut client, "carol", 4), [(4, 0)], "another recipient does not wait");
    assert_eq!(client.wake_at(), Some(T0 + Duration::from_millis(40)));
    let later = T0 + Duration::from_millis(40);
    assert_eq!(written(&step(&mut client, later, Input::Tick)), [(1, 0), (2, 1), (3, 2)]);
}

#[test]
fn everything_unanswered_goes_again_in_order_on_the_next_connection() {
    let mut client = online(8);
    for tag in 1..=3 {
        send(&mut client, "bob", tag);
    }
    step(&mut client, T0, accepted(2));
    let effects = step(&mut client, T0, Input::Closed { code: Some(4063), reason: String::new() });
    assert!(matches!(effects[..], [Effect::Emit(Emit::Offline { .. })]), "{effects:?}");
    let later = client.wake_at().unwrap();
    assert_eq!(step(&mut client, later, Input::Tick), [Effect::Connect]);
    step(&mut client, later, Input::Opened { token: "t".into() });
    assert_eq!(written(&step(&mut client, later, welcome(8))), [(1, 0), (3, 1)]);
}

#[test]
fn terminal_close_codes_stop_and_all_others_come_back() {
    for (code, comes_back) in [(1001, true), (4063, true), (4499, true), (4500, false), (4503, false), (4999, false)] {
        let mut client = online(8);
        let effects = step(&mut client, T0, Input::Closed { code: Some(code), reason: String::new() });
        let stopped = effects.iter().any(|effect| matches!(effect, Effect::Stopped(_)));
        assert_eq!(stopped, !comes_back, "{code}: {effects:?}");
        assert_eq!(client.wake_at().is_some(), comes_back);
    }
}

#[test]
fn closing_says_within_what_time_to_come_back() {
    let mut client = online(8);
    let closing = Closing { code: ErrorCode::Draining as i32, message: "bye".into(), reconnect_within_ms: Some(3) };
    step(&mut client, T0, Input::Frame(server_frame::Frame::Closing(closing)));
    step(&mut client, T0, Input::Closed { code: None, reason: String::new() });
    assert!(client.wake_at().unwrap() <= T0 + Duration::from_millis(3));
}

#[test]
fn silence_and_a_missing_answer_end_the_connection() {
    let mut client = online(8);
    assert_eq!(client.wake_at(), Some(T0 + Duration::from_secs(21)));
    let effects = step(&mut client, T0 + Duration::from_secs(21), Input::Tick);
    assert!(matches!(effects[..], [Effect::Disconnect, Effect::Emit(Emit::Offline { .. })]), "{effects:?}");

    let mut client = online(8);
    send(&mut client, "bob", 1);
    for seconds in [10, 20, 29] {
        step(&mut client, T0 + Duration::from_secs(seconds), Input::Heard);
    }
    assert_eq!(client.wake_at(), Some(T0 + Duration::from_secs(30)));
    let effects = step(&mut client, T0 + Duration::from_secs(30), Input::Tick);
    assert_eq!(effects.first(), Some(&Effect::Disconnect));
}

#[test]
fn a_message_larger_than_the_gateway_takes_is_refused_here() {
    let mut client = Connection::new(Config::default(), State::default());
    step(&mut client, T0, Input::Start);
    step(&mut client, T0, Input::Opened { token: "t".into() });
    let limits = Welcome { stream: 1, send_window: 8, max_frame_bytes: 100, ..Welcome::default() };
    step(&mut client, T0, Input::Frame(server_frame::Frame::Welcome(limits)));
    let entry = Entry::new(UserId::new("bob").unwrap().into(), text_content(&"x".repeat(100)), None, 0, 1);
    let effects = step(&mut client, T0, Input::Send(entry));
    assert!(written(&effects).is_empty());
    let refused =
        |result: &Result<Sent, SendError>| matches!(result, Err(SendError::Refused { code: ErrorCode::TooLarge, .. }));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Settled(settled) if refused(&settled.result))));
    assert!(client.is_settled());
}

#[test]
fn acknowledgements_within_the_delay_go_together() {
    let mut client = online(8);
    for seq in 1..=3 {
        let deliver = tidings_proto::client::v1::Deliver { seq, after: seq - 1, envelope: None };
        step(&mut client, T0, Input::Frame(server_frame::Frame::Deliver(deliver)));
    }
    let acks = |effects: &[Effect<u32>]| effects.iter().filter(|e| matches!(e, Effect::Transmit(_))).count();
    let generation = client.inbox.generation();
    let first = step(&mut client, T0, Input::Acknowledge { generation, seq: 1 });
    assert_eq!(acks(&first), 1, "{first:?}");
    let second = step(&mut client, T0, Input::Acknowledge { generation, seq: 2 });
    let third = step(&mut client, T0, Input::Acknowledge { generation, seq: 3 });
    assert_eq!(acks(&second) + acks(&third), 0);
    let due = client.wake_at().unwrap();
    assert_eq!(due, T0 + Duration::from_millis(5));
    assert_eq!(acks(&step(&mut client, due, Input::Tick)), 1);
}

#[test]
fn a_transient_message_is_never_sent_twice() {
    let mut client = online(8);
    let transient = |tag| Entry::new(UserId::new("bob").unwrap().into(), text_content("hi"), Some(0), 0, tag);
    assert_eq!(written(&step(&mut client, T0, Input::Send(transient(1)))), [(1, 0)]);
    assert_eq!(send(&mut client, "bob", 2), [(2, 0)], "no mailbox remembers 1");
    assert_eq!(written(&step(&mut client, T0, Input::Send(transient(3)))), [(3, 2)]);
    let unknown = |tag, effects: &[Effect<u32>]| {
        effects.iter().any(|effect| matches!(effect, Effect::Settled(Settled { tag: Some(found), result: Err(SendError::Unknown), .. }) if *found == tag))
    };
    let effects = step(&mut client, T0, refused(1, ErrorCode::OutcomeUnknown, Some(1)));
    assert!(unknown(1, &effects), "{effects:?}");
    step(&mut client, T0, Input::Closed { code: None, reason: String::new() });
    let later = client.wake_at().unwrap();
    step(&mut client, later, Input::Tick);
    step(&mut client, later, Input::Opened { token: "t".into() });
    let effects = step(&mut client, later, welcome(8));
    assert_eq!(written(&effects), [(2, 0)]);
    assert!(unknown(3, &effects), "{effects:?}");
}
