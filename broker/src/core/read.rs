//! `MarkRead`: a user read what came from another, up to a number of one of the sender's streams.

use tidings_proto::ErrorCode;
use tidings_proto::mailbox::v1::{MarkRead, SenderRecord};
use tidings_proto::message::v1::{Receipt, receipt};

use super::channel::Owed;
use super::keys::{self, MailboxId};
use super::limits::LAST_SLOT;
use super::records::{self, CoreError};
use super::{Applying, Reply, refused};

impl Applying<'_> {
    pub(super) fn mark_read(&mut self, mark: MarkRead) -> Result<Reply, CoreError> {
        let Some(mailbox) = MailboxId::new(&mark.app, &mark.user) else {
            return refused(ErrorCode::InvalidArgument);
        };
        if !keys::is_id(&mark.from) || mark.stream == 0 || mark.up_to_seq == 0 {
            return refused(ErrorCode::InvalidArgument);
        }
        let (from, to) = keys::senders(&mailbox, &mark.from);
        for (key, stored) in self.store.scan(&from, &to, LAST_SLOT as usize + 1) {
            let mut sender: SenderRecord = records::open("sender", stored)?;
            let Some(tell) = move_watermark(&mut sender, mark.stream, mark.up_to_seq) else { continue };
            match tell {
                // Such a message never came: nobody is told that it was read.
                Watermark::BeyondWhatCame => return refused(ErrorCode::InvalidArgument),
                Watermark::Stands => return Ok(Reply::ReadRecorded),
                Watermark::Moved { wanted } => {
                    self.store.put(key.to_vec(), records::seal(&sender));
                    self.read_message(&mailbox, mark.stream, mark.up_to_seq)?;
                    self.read_disappearing(&mailbox, mark.stream, mark.up_to_seq)?;
                    if wanted && !mark.privately {
                        self.owe_read(&mailbox, &mark)?;
                    }
                    return Ok(Reply::ReadRecorded);
                }
            }
        }
        refused(ErrorCode::InvalidArgument)
    }

    fn owe_read(&mut self, mailbox: &MailboxId, mark: &MarkRead) -> Result<(), CoreError> {
        let receipt = Receipt {
            from: mark.user.clone(),
            kind: receipt::Kind::Read.into(),
            stream: mark.stream,
            up_to_seq: mark.up_to_seq,
            at_ms: self.context.now_ms,
        };
        if mark.from != mark.user {
            return self.owe(mailbox.app(), &mark.from, Owed::Receipt(receipt));
        }
        let mut record = self.mailbox_or_new(mailbox)?;
        self.owe_from(mailbox, &mut record, &mark.from, Owed::Receipt(receipt))?;
        self.save_mailbox(mailbox, &record);
        Ok(())
    }
}

enum Watermark {
    BeyondWhatCame,
    Stands,
    /// `wanted`: some message that was not read before wants its sender to be told.
    Moved {
        wanted: bool,
    },
}

/// Moves the read watermark of a stream; `None` when the sender device never sent in it.
fn move_watermark(sender: &mut SenderRecord, stream: u64, up_to: u64) -> Option<Watermark> {
    let (highest, wants_read_to, read) = if sender.stream == stream {
        (sender.highest, sender.wants_read_to, &mut sender.read)
    } else {
        let past = sender.past.iter_mut().find(|past| past.stream == stream)?;
        (past.highest, past.wants_read_to, &mut past.read)
    };
    if up_to > highest {
        return Some(Watermark::BeyondWhatCame);
    }
    if up_to <= *read {
        return Some(Watermark::Stands);
    }
    let wanted = wants_read_to > *read;
    *read = up_to;
    Some(Watermark::Moved { wanted })
}
