//! Frames that are wrong, too large or too many end their own connection, or are refused; nobody else notices.

use prost::Message as _;
use tidings_gateway::GatewayConfig;
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{ClientFrame, Ping, Read, Send, client_frame, server_frame};
use tidings_proto::frame::encode_client;
use tidings_proto::message::v1::{Content, MessageId};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{RawClient, World, config, hello, until};

fn binary(bytes: Vec<u8>) -> Message {
    Message::Binary(bytes.into())
}

fn text_send(seq: u64, text: String) -> client_frame::Frame {
    let content = Some(Content { text, ..Content::default() });
    client_frame::Frame::Send(Send { seq, to: "bob".to_owned(), content, ..Send::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_frame_closes_its_connection_alone_with_its_code() {
    let world = World::start().await;
    let mut bystander = world.session("bob", "phone").await;
    let ping = ClientFrame { frame: Some(client_frame::Frame::Ping(Ping { nonce: 300 })) }.encode_to_vec();
    let truncated = encode_client(text_send(1, "cut short".to_owned()));
    let truncated = truncated[..truncated.len() - 3].to_vec();
    let hello_again = encode_client(client_frame::Frame::Hello(hello("alice", "d"))).to_vec();
    let ack = encode_client(client_frame::Frame::Ack(tidings_proto::client::v1::Ack { cursor: 1 })).to_vec();
    let cases = [
        (binary(vec![0xff; 40]), ErrorCode::FrameMalformed),
        (binary(Vec::new()), ErrorCode::FrameMalformed),
        (binary(ping[..ping.len() - 1].to_vec()), ErrorCode::FrameMalformed),
        (binary(truncated), ErrorCode::FrameMalformed),
        (binary(encode_client(text_send(0, String::new())).to_vec()), ErrorCode::FrameMalformed),
        (binary(vec![0; 80_000]), ErrorCode::FrameTooLarge),
        (Message::Text("{\"ping\":{}}".into()), ErrorCode::FrameWrongEncoding),
        (binary(hello_again), ErrorCode::FrameUnexpected),
        (binary(ack), ErrorCode::FrameUnexpected),
    ];
    for (message, code) in cases {
        let mut client = world.session("alice", "d").await;
        client.raw(message).await;
        client.expect_closed(code).await;
        bystander.expect_alive().await;
    }
    until("only the bystander is left", || world.cluster.sessions() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_websocket_close_the_connection_alone() {
    let world = World::start().await;
    let mut bystander = world.session("bob", "phone").await;
    let greeting = RawClient::masked(2, &encode_client(client_frame::Frame::Hello(hello("alice", "d"))));
    let unmasked = vec![0x82, 1, 0];
    let reserved = RawClient::masked(3, b"");
    let huge = [&[0x82, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
    let codes = [
        (unmasked, ErrorCode::FrameMalformed),
        (reserved, ErrorCode::FrameMalformed),
        (huge, ErrorCode::FrameTooLarge),
    ];
    for (bytes, code) in codes {
        let mut client = RawClient::connect(&world.address).await;
        client.write(&greeting).await;
        client.frame().await;
        client.write(&bytes).await;
        assert_eq!(client.close_code().await, code.close_code());
        bystander.expect_alive().await;
    }
    // A connection that ends in the middle of a frame takes its session with it.
    let mut client = RawClient::connect(&world.address).await;
    client.write(&greeting[..10]).await;
    drop(client);
    let mut client = RawClient::connect(&world.address).await;
    client.write(&greeting).await;
    client.frame().await;
    client.write(&[0x82, 0xfe, 1]).await;
    drop(client);
    until("only the bystander is left", || world.cluster.sessions() == 1).await;
    // A frame in many pieces is a frame.
    let mut client = RawClient::connect(&world.address).await;
    for byte in &greeting {
        client.write(&[*byte]).await;
    }
    client.frame().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_ends_its_connection_alone() {
    let world = World::with(GatewayConfig { frames_per_second: 10, frames_burst: 50, ..config() }).await;
    let mut bystander = world.session("bob", "phone").await;
    let mut client = world.session("alice", "d").await;
    for nonce in 0..200 {
        client.send(client_frame::Frame::Ping(Ping { nonce })).await;
    }
    client.expect_closed(ErrorCode::Flood).await;
    bystander.expect_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_refused_and_the_connection_stays() {
    let world = World::start().await;
    let mut client = world.session("alice", "d").await;
    client.send_text(1, 0, "nobody", "x").await;
    assert_eq!(client.expect_refused(1, ErrorCode::RecipientUnknown).await, None);
    client.send_text(2, 0, &"n".repeat(64), "x").await;
    client.expect_refused(2, ErrorCode::InvalidArgument).await;
    client.send(client_frame::Frame::Send(Send { seq: 3, to: "bob".to_owned(), ..Send::default() })).await;
    client.expect_refused(3, ErrorCode::InvalidArgument).await;
    client.send(text_send(4, "x".repeat(64 * 1024 + 1))).await;
    client.expect_refused(4, ErrorCode::TooLarge).await;
    world.directory.set_active("bob", false);
    client.send(text_send(5, "x".repeat(64 * 1024 - 10))).await;
    client.expect_accepted(5).await;
    client
        .send(client_frame::Frame::Read(Read { from: "nobody".to_owned(), id: Some(MessageId { stream: 1, seq: 1 }) }))
        .await;
    match client.receive().await {
        server_frame::Frame::ReadRecorded(recorded) => assert_eq!(recorded.code(), ErrorCode::NotFound),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_messages_are_refused_with_the_time_to_wait() {
    let world = World::with(GatewayConfig { sends_per_second: 1, sends_burst: 2, ..config() }).await;
    let mut client = world.session("alice", "d").await;
    for seq in 1..=2 {
        client.send_text(seq, 0, "bob", "x").await;
        client.expect_accepted(seq).await;
    }
    client.send_text(3, 0, "bob", "x").await;
    let wait = client.expect_refused(3, ErrorCode::RateLimited).await.unwrap();
    assert!((1..=1000).contains(&wait));
    client.expect_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_send_window_holds_and_one_more_ends_the_connection() {
    let world = World::with(GatewayConfig { send_window: 4, ..config() }).await;
    let mut client = world.session("alice", "d").await;
    // Nothing is answered, so that the window stays full.
    world.cluster.lose_answers.store(true, std::sync::atomic::Ordering::SeqCst);
    for seq in 1..=4 {
        client.send_text(seq, seq - 1, "bob", "x").await;
    }
    client.expect_alive().await;
    client.send_text(4, 3, "bob", "again: it will be answered").await;
    client.expect_alive().await;
    client.send_text(5, 4, "bob", "x").await;
    client.expect_closed(ErrorCode::SendWindowExceeded).await;
    assert_eq!(world.cluster.texts("bob").len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_exactly_the_largest_size_is_taken_and_one_above_is_not() {
    let world = World::start().await;
    for (above, code) in [(0, ErrorCode::FrameMalformed), (1, ErrorCode::FrameTooLarge)] {
        let mut client = world.connect().await;
        let largest = client.welcome("alice", "d").await.max_frame_bytes as usize;
        // No frame, but that is found out only of what is taken.
        client.raw(binary(vec![0; largest + above])).await;
        client.expect_closed(code).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_reads_may_be_unanswered_and_no_more() {
    let world = World::start().await;
    let mut client = world.session("alice", "d").await;
    world.cluster.lose_answers.store(true, std::sync::atomic::Ordering::SeqCst);
    let read = |seq| Read { from: "bob".to_owned(), id: Some(MessageId { stream: 1, seq }) };
    for seq in 1..=64 {
        client.send(client_frame::Frame::Read(read(seq))).await;
    }
    client.expect_alive().await;
    client.send(client_frame::Frame::Read(read(65))).await;
    match client.receive().await {
        server_frame::Frame::ReadRecorded(answer) => {
            assert_eq!((answer.id.unwrap().seq, answer.code()), (65, ErrorCode::Overloaded));
        }
        other => panic!("{other:?}"),
    }
}
