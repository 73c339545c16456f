//! What backends send that is stored nowhere (ttl 0): handed to the devices that are online, as it is of clients.

use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{GroupTransient, PostResponse};
use tidings_proto::mailbox::v1::{AppendMessage, PostMessage};
use tidings_proto::message::v1::ReceiptRequest;

use super::seen;
use crate::core::entry::Entry;
use crate::core::envelope::MessageHead;
use crate::core::limits::BACKEND_SLOT;
use crate::core::{GroupName, MailboxId};
use crate::group_live::{self, Reach};
use crate::link::LinkContext;
use crate::link::activities::Told;
use crate::shard::ShardHandle;

/// Hands it out, also when nobody is online; else the code, and the leader to turn to (0: not known).
pub async fn hand_out(
    context: &LinkContext,
    handle: &ShardHandle,
    mailbox: MailboxId,
    post: PostMessage,
) -> Result<PostResponse, (ErrorCode, u64)> {
    let message = post.message.unwrap_or_default();
    let audience = message.audience();
    let AppendMessage { app, to, from, content, .. } = message;
    let sent_at_ms = context.clock.now_ms();
    let (user, group) = if post.to_group { ("", to.as_str()) } else { (to.as_str(), "") };
    let head = MessageHead {
        from: &from,
        to: user,
        group,
        sent_at_ms,
        from_slot: BACKEND_SLOT,
        receipts: ReceiptRequest::ReceiptsNone.into(),
        ..MessageHead::default()
    };
    let envelope = Entry::of_message(&head, &content).envelope();
    if !post.to_group {
        let told = Told { mailbox, from, audience, envelope, conflates: 0 };
        told.hand_out(handle).await.map_err(|code| (code, 0))?;
    } else {
        let name = GroupName::new(&app, &to).ok_or((ErrorCode::InvalidArgument, 0))?;
        let member = (!post.by_system).then(|| from.clone());
        let reached = seen(handle, move |view| group_live::reach(view, &name, member.as_deref())).await?;
        let Reach { shards, member_permissions } = reached.map_err(|code| (code, 0))?;
        let told = GroupTransient { app, group: to, from, envelope, conflates: 0, member_permissions };
        context.live.tell(&shards, &told);
    }
    Ok(PostResponse { sent_at_ms, ..PostResponse::default() })
}
