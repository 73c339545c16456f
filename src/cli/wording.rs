//! How what happens to messages and in groups reads in a terminal.

use tidings_proto::message::v1::{
    Attachment, Change, Content, GroupEvent, GroupMessageReceipt, GroupReceipt, Message, change, group_event,
};

use super::{content, field, output};

/// Named before the number of the others is told instead.
const NAMED: usize = 5;

/// Who sent a message, and into which group.
pub fn sender(message: &Message) -> String {
    match message.group.as_str() {
        "" => message.from.clone(),
        group => format!("#{group} {}", message.from),
    }
}

/// What a message says, what stands beside that, its fields, and the files that it brings.
pub fn said(content: &Content) -> String {
    let files = content.attachments.iter().map(|Attachment { file, url, name, size, .. }| {
        let place = if file.is_empty() { url } else { file };
        format!("[{name}, {size} bytes: {place}]")
    });
    let parts = [content.text.clone()].into_iter().chain(content::beside(content));
    let parts = parts.chain([field::said(content)]).chain(files);
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

/// A message of a history at its place, in a line.
pub fn kept(place: u64, message: &Message) -> String {
    let gone = if message.recalled_at_ms != 0 { "(taken back)" } else { "(wiped)" };
    let text = message.content.as_ref().map_or(gone.to_owned(), said);
    let edited = if message.edited_at_ms == 0 { "" } else { " (edited)" };
    let reactions: Vec<_> = message.reactions.iter().map(|reaction| reaction.emoji.as_str()).collect();
    let (id, from) = (message.id.unwrap_or_default(), &message.from);
    let line = format!("{place}  {id}  {from}: {text}{edited} {}", reactions.join(" "));
    output::printable(line.trim_end())
}

/// A message that was found in the conversation with a user, or in a group, in a line.
pub fn found(with: &str, group: &str, place: u64, message: &Message) -> String {
    let with = if group.is_empty() { with } else { &format!("#{group}") };
    let text = message.content.as_ref().map_or("", |content| &content.text);
    let (id, from) = (message.id.unwrap_or_default(), &message.from);
    output::printable(&format!("{with}  {place}  {id}  {from}: {text}"))
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
