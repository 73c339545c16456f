//! Every contract between two processes of Tidings: generated messages and services, typed ids, the shard hash, the
//! frame codec, and the one vocabulary of errors. No I/O.
//!
//! - [`ids`]: app, user and device ids that were validated once and cannot be mixed up
//! - [`message_id`]: the text form of a message's name
//! - [`shard`]: which shard a user's mailbox lives in
//! - [`frame`]: client frames to and from bytes and JSON text, within limits
//! - [`attachments`]: the form of files that go with messages
//! - [`values`]: typed fields of messages, and their form; [`disappearance`]: when messages disappear
//! - [`effective_policy`]: a policy with its defaults filled in, and the bounds of its fields
//! - [`permissions`]: what a member of a group may do
//! - [`error`]: what each error code means to gRPC, to a WebSocket, and for what to do next

pub mod attachments;
pub mod disappearance;
pub mod effective_policy;
pub mod error;
pub mod frame;
pub mod ids;
pub mod message_id;
pub mod permissions;
pub mod shard;
pub mod values;

pub use effective_policy::{EffectivePolicy, Towards};
pub use errors::v1::ErrorCode;
pub use ids::{AppId, DeviceId, GroupId, InvalidId, PolicyId, UserId};
pub use permissions::Permissions;

/// The protocol version that this build speaks (`Hello.version`).
pub const PROTOCOL_VERSION: u32 = 1;

/// The encoded `FileDescriptorSet` of all packages, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

macro_rules! package {
    ($(#[$doc:meta])* $name:ident $(, $json:literal)?) => {
        $(#[$doc])*
        #[allow(missing_docs, clippy::all, clippy::unwrap_used)]
        pub mod $name {
            pub mod v1 {
                include!(concat!(env!("OUT_DIR"), "/tidings.", stringify!($name), ".v1.rs"));
                $(include!(concat!(env!("OUT_DIR"), "/", $json));)?
            }
        }
    };
}

package!(/** The error codes. */ errors, "tidings.errors.v1.serde.rs");
package!(/** What users may do. */ policy, "tidings.policy.v1.serde.rs");
package!(/** Groups, their members, and what becomes of them. */ group, "tidings.group.v1.serde.rs");
package!(/** Mailbox entries. */ message, "tidings.message.v1.serde.rs");
package!(/** Frames between client and gateway. */ client, "tidings.client.v1.serde.rs");
package!(/** The stream between gateway and broker. */ broker);
package!(/** What backends call. */ control);
package!(/** What nodes ask the control plane. */ cluster);
package!(/** The shards' commands and records, as stored. */ mailbox);
package!(/** What is stored beside the bytes of files. */ files);
package!(/** Raft between the replicas of a group. */ raft);
package!(/** The control plane's commands and records, as stored. */ registry);
