//! What one user says to another and is stored nowhere: judged by what stands between the two, and handed to the
//! sessions that are attached. What users are doing just now has a lane of its own, in which it stays in order, and
//! behind which no message waits.

use bytes::Bytes;
use tidings_proto::ErrorCode;
use tidings_proto::policy::v1::Audience;
use tokio::sync::mpsc;

use crate::core::MailboxId;
use crate::query::refusal_of;
use crate::shard::{Request, ShardHandle};

/// Activities of a link that wait to be handed out; more are dropped.
const WAITING: usize = 256;

/// Something for a user who may not want it from this other one.
pub struct Told {
    pub mailbox: MailboxId,
    pub from: String,
    /// As in [`Submit`](tidings_proto::broker::v1::Submit).
    pub audience: Audience,
    pub envelope: Bytes,
    /// As in [`Transient`](tidings_proto::broker::v1::Transient).
    pub conflates: u64,
}

impl Told {
    /// Hands it out at this leader.
    pub async fn hand_out(self, shard: &ShardHandle) -> Result<(), ErrorCode> {
        let Self { mailbox, from, audience, envelope, conflates } = self;
        let (view, to) = (shard.group.view(), mailbox.clone());
        let looked = tokio::task::spawn_blocking(move || refusal_of(&view, &to, &from, audience)).await;
        match looked {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(code))) => return Err(code),
            Ok(Err(_)) | Err(_) => return Err(ErrorCode::Internal),
        }
        let handed = shard.requests.try_send(Request::Transient { mailbox, envelope, conflates });
        handed.map_err(|_| ErrorCode::Overloaded)
    }
}

/// The lane of a link, which ends with it.
pub fn open() -> mpsc::Sender<(ShardHandle, Told)> {
    let (lane, mut waiting) = mpsc::channel::<(ShardHandle, Told)>(WAITING);
    tokio::spawn(async move {
        while let Some((shard, told)) = waiting.recv().await {
            // At most once: what may not be told, or finds no room, is dropped.
            let _ = told.hand_out(&shard).await;
        }
    });
    lane
}
