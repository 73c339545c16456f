//! What stands under a mailbox, for when its user is deleted.

use super::{
    BLOCKS, CONVERSATION, CONVERSATION_ORDER, DEVICES, DRAWING, EPHEMERAL, FOUND_WORD, HISTORY, HISTORY_PLACE,
    MailboxId, POSTED, RECEIVED, SCHEDULE_SENDER, SENDER, UNREAD_DISAPPEARING, is_id, key,
};

/// Kinds of keys that begin with the mailbox and that nothing else counts or points to, once its messages are gone.
const ALONE: [u8; 13] = [
    DEVICES,
    EPHEMERAL,
    SENDER,
    HISTORY_PLACE,
    CONVERSATION,
    CONVERSATION_ORDER,
    UNREAD_DISAPPEARING,
    FOUND_WORD,
    BLOCKS,
    DRAWING,
    POSTED,
    RECEIVED,
    SCHEDULE_SENDER,
];

/// All keys of these kinds, as the ends of scans.
pub fn all_alone(mailbox: &MailboxId) -> [(Vec<u8>, Vec<u8>); ALONE.len()] {
    ALONE.map(|kind| under(kind, mailbox))
}

/// The messages of all conversations of a mailbox, as the ends of a scan.
pub fn whole_history(mailbox: &MailboxId) -> (Vec<u8>, Vec<u8>) {
    under(HISTORY, mailbox)
}

/// Conversation and place in the key of a message.
pub fn history_message(key: &[u8], mailbox: &MailboxId) -> Option<(String, u64)> {
    let (conversation, place) = key.strip_prefix(&[HISTORY])?.strip_prefix(&mailbox.0[..])?.split_last_chunk::<8>()?;
    let conversation = std::str::from_utf8(conversation.strip_suffix(&[0])?).ok().filter(|text| is_id(text))?;
    Some((conversation.to_owned(), u64::from_be_bytes(*place)))
}

fn under(kind: u8, mailbox: &MailboxId) -> (Vec<u8>, Vec<u8>) {
    // The zero byte that ends the user's id is in no id: with a one in its place the key is behind all of this mailbox,
    // and before those of others.
    let mut end = key(kind, &[&mailbox.0]);
    end.pop();
    end.push(1);
    (key(kind, &[&mailbox.0]), end)
}

#[cfg(test)]
mod tests {
    use super::super::{conversation_order, history, sender};
    use super::*;

    #[test]
    fn the_keys_of_a_mailbox_are_found_and_no_others() {
        let [alice, longer, other] = ["alice", "alice\u{1}", "alicf"].map(|user| MailboxId::new("a", user).unwrap());
        for mailbox in [&alice, &longer, &other] {
            let is_own = mailbox == &alice;
            let mut ranges = all_alone(&alice).into_iter().chain([whole_history(&alice)]);
            let mut is_found = |key: Vec<u8>| ranges.any(|(from, to)| (from..to).contains(&key));
            assert_eq!(is_found(sender(mailbox, "\u{10ffff}", 255)), is_own);
            assert_eq!(is_found(conversation_order(mailbox, 0, "bob")), is_own);
            assert_eq!(is_found(history(mailbox, "bob", u64::MAX)), is_own);
        }
        assert_eq!(history_message(&history(&alice, "bob", 258), &alice), Some(("bob".to_owned(), 258)));
        assert_eq!(history_message(&history(&longer, "bob", 258), &alice), None);
    }
}
