//! Numbered messages through the SDK, with both ends recorded.

use tidings_sdk::{Client, ConnectionState, Event, Events};
use tokio::task::JoinHandle;

use crate::recorder::Recorder;

/// Sends while `go_on` says so, and waits until each message has ended.
pub async fn send_while(client: &Client, to: &str, recorder: &Recorder, mut go_on: impl FnMut(u64) -> bool) {
    let mut answers = tokio::task::JoinSet::new();
    loop {
        if !go_on(recorder.sent()) {
            break;
        }
        let number = recorder.next_number();
        let sending = client.send(to, number.to_string()).await.expect("the client takes messages");
        let recorder = recorder.clone();
        answers.spawn(async move {
            let end = sending.sent().await;
            recorder.ended(number, end.is_ok());
        });
        // Keeps the set small.
        while answers.try_join_next().is_some() {}
    }
    while let Some(ended) = answers.join_next().await {
        ended.expect("a message ends once");
    }
}

/// Records what comes, until the events end.
#[allow(clippy::print_stderr)] // What a test prints is its report.
pub fn record(mut events: Events, recorder: Recorder) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event {
                Event::Message(message) => recorder.came(message.text().parse().expect("the text is a number")),
                // Whoever waits for more will run into the deadline; this says why.
                Event::Connection(ConnectionState::Stopped(reason)) => eprintln!("a recipient stopped: {reason}"),
                _ => {}
            }
        }
    })
}
