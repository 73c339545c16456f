//! What a client asks for and has set, over a real connection.

// A panic is how a test fails, and what it prints is its report.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use tidings_tests::{DEADLINE, Node, within};

#[tokio::test]
async fn a_user_s_devices_are_listed_with_their_places() {
    let node = Node::start().await;
    let control = node.control().await;
    let (alice, bob) = (control.user("alice").await, control.user("bob").await);
    let (phone, _phone_events) = node.client(&bob, "phone").connect().unwrap();
    let (laptop, laptop_events) = node.client(&bob, "laptop").connect().unwrap();
    drop(laptop_events);
    within(DEADLINE, "both are online", async {
        phone.online().await.unwrap();
        laptop.online().await.unwrap();
    })
    .await;
    let (alice, _alice_events) = node.client(&alice, "phone").connect().unwrap();
    alice.send("bob", "hello").await.unwrap().sent().await.unwrap();

    let devices = within(DEADLINE, "the answer", phone.devices()).await.unwrap();
    assert_eq!(devices.tail, 1);
    let mut names: Vec<_> = devices.devices.iter().map(|device| device.device.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["laptop", "phone"]);
    assert_ne!(devices.devices[0].stream, devices.devices[1].stream);
}
