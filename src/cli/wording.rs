//! How what happens to messages and in groups reads in a terminal.

use tidings_proto::message::v1::{
    Attachment, Change, Content, GroupEvent, GroupMessageReceipt, GroupReceipt, Message, change, group_event,
};

use super::field;

/// Named before the number of the others is told instead.
const NAMED: usize = 5;

/// Who sent a message, and into which group.
pub fn sender(message: &Message) -> String {
    match message.group.as_str() {
        "" => message.from.clone(),
        group => format!("#{group} {}", message.from),
    }
}

/// What a message says, its fields, and the files that it brings.
pub fn said(content: &Content) -> String {
    let files = content.attachments.iter().map(|Attachment { file, url, name, size, .. }| {
        let place = if file.is_empty() { url } else { file };
        format!("[{name}, {size} bytes: {place}]")
    });
    let parts = [content.text.clone(), field::said(content)].into_iter().chain(files);
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

/// What changed in a group.
pub fn group_event(event: &GroupEvent) -> String {
    use group_event::Kind;
    let (group, who) = (&event.group, names(&event.users));
    let by = if event.by.is_empty() { String::new() } else { format!(" (by {})", event.by) };
    match event.kind() {
        Kind::Created => format!("#{group} was created with {who}{by}"),
        Kind::Joined => format!("{who} joined #{group}{by}"),
        Kind::Left => format!("{who} left #{group}"),
        Kind::Removed => format!("{who} was removed from #{group}{by}"),
        Kind::MembersChanged => format!("{who} may do other things in #{group}{by}"),
        Kind::Settings => format!("#{group} was changed{by}"),
        Kind::Deleted => format!("#{group} was deleted{by}"),
        Kind::Unspecified => format!("something happened in #{group}"),
    }
}

/// How far messages of this user in a group are.
pub fn group_receipt(receipt: &GroupReceipt) -> String {
    let GroupReceipt { group, delivered_to_all, read_by_all, messages, .. } = receipt;
    let of_message = |one: &GroupMessageReceipt| format!("; {}: {}", one.group_seq, counts(one));
    let of_messages: String = messages.iter().map(of_message).collect();
    format!("#{group}: all have it up to {delivered_to_all}, and read it up to {read_by_all}{of_messages}")
}

/// How many have a message of a group, and how many read it.
pub fn counts(one: &GroupMessageReceipt) -> String {
    format!("{} of {} have it, {} read it", one.delivered, one.members, one.read)
}

/// What became of a message.
pub fn change(change: &Change) -> String {
    use change::Kind;
    let (from, of) = (&change.from, change.of.unwrap_or_default());
    let undone = if change.off { " no more" } else { "" };
    match change.kind() {
        Kind::Unspecified => format!("{from} changed message {of}"),
        Kind::Edit => {
            let text = change.content.as_ref().map_or("(gone)", |content| &content.text);
            format!("{from} edited message {of}: {text}")
        }
        Kind::Recall => format!("{from} took message {of} back"),
        Kind::Wipe => format!("{from} wiped message {of}"),
        Kind::React => format!("{from} reacts {} to message {of}{undone}", change.emoji),
        Kind::Disappears => format!("message {of} will disappear"),
        Kind::Pin => format!("{from} pins message {of}{undone}"),
    }
}

fn names(users: &[String]) -> String {
    match users {
        users if users.len() > NAMED => format!("{} and {} others", users[..NAMED].join(", "), users.len() - NAMED),
        users => users.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_of_a_group_in_a_line() {
        let message = GroupMessageReceipt { group_seq: 7, members: 3, delivered: 2, read: 1 };
        let receipt = GroupReceipt {
            group: "team".to_owned(),
            delivered_to_all: 6,
            read_by_all: 5,
            messages: vec![message],
            members: Vec::new(),
        };
        let said = "#team: all have it up to 6, and read it up to 5; 7: 2 of 3 have it, 1 read it";
        assert_eq!(group_receipt(&receipt), said);
    }

    #[test]
    fn a_crowd_is_told_by_its_number() {
        let users = (1..=7).map(|number| format!("user-{number}")).collect();
        let kind = group_event::Kind::Joined.into();
        let event = GroupEvent { group: "team".to_owned(), kind, users, ..GroupEvent::default() };
        let told = group_event(&event);
        assert_eq!(told, "user-1, user-2, user-3, user-4, user-5 and 2 others joined #team");
    }
}
