//! The Rust client of Tidings: sends messages that arrive once and in order, and shows each message to the application
//! once, across lost connections and, with a durable store, across restarts.
//!
//! - [`Client`]: the handle; sends, marks as read
//! - [`Events`]: what comes, as a typed stream
//! - [`Sending`]: one message on its way, with its status
//! - [`Change`]: what becomes of an earlier message
//! - [`files`]: files that go with messages
//! - [`content`]: mentions, places, polls, typed fields
//! - [`store`]: where a device keeps what must survive a restart
//! - [`connection`]: the state machine below all that, without clock and I/O
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tidings_sdk::{Client, Event, FileStore};
//!
//! let store = FileStore::open("state/alice-phone")?;
//! let (client, mut events) = Client::builder("ws://127.0.0.1:7700", "token").device("phone").store(store).connect()?;
//! let sending = client.send("bob", "hello").await?;
//! println!("sent at {}", sending.sent().await?.sent_at_ms);
//! while let Some(event) = events.next().await {
//!     if let Event::Message(message) = event {
//!         println!("{}: {}", message.from(), message.text());
//!         client.mark_read(&message).await?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod builder;
mod client;
pub mod connection;
pub mod content;
mod driver;
mod error;
mod events;
pub mod files;
mod gateways;
mod groups;
mod http;
mod presence;
mod receipts;
mod recipient;
mod requests;
mod scheduled;
mod sending;
mod socket;
pub mod store;
mod token;
mod wire;

pub use builder::Builder;
pub use client::{Body, Change, Client, Outgoing};
pub use connection::Sent;
pub use error::{ConnectError, RequestError, SendError, StopReason};
pub use events::{AckMode, ConnectionState, Event, Events, Message};
pub use files::{FileError, FileInfo, Files, UploadId};
pub use recipient::Recipient;
pub use requests::HistoryQuery;
pub use sending::{Sending, Status};
pub use store::{FileStore, MemoryStore, Store, StoreError};
pub use token::TokenSource;

pub use tidings_proto::ErrorCode;
pub use tidings_proto::client::v1::{
    Blocks, Conversations, Device, Devices, Durability, Found, FoundMessage, GroupReceipts, GroupState, HistoryMessage,
    HistoryPage, Members, MyGroups, ReceiptTimes, ScheduledMessages, Search, UpdateConversation, UserPresence,
    user_presence,
};
pub use tidings_proto::group::v1 as group;
pub use tidings_proto::message::v1::{
    Activity, Attachment, Block, Change as ChangeEvent, Content, Conversation, Disappearance, Failure, FieldValue,
    GroupEvent, GroupMemberReceipt, GroupMessageReceipt, GroupReceipt, Location, Mention, MessageId, MessageState,
    Poll, PollOption, Priority, Reaction, Receipt, ReceiptRequest, ScheduleUpdate, ScheduledMessage, activity, change,
    disappearance, field_value, group_event, receipt, schedule_update,
};
