//! How what happens to messages and in groups reads in a terminal.

use tidings_proto::message::v1::{Attachment, Change, Content, GroupEvent, Message, change, group_event};

/// Named before the number of the others is told instead.
const NAMED: usize = 5;

/// Who sent a message, and into which group.
pub fn sender(message: &Message) -> String {
    match message.group.as_str() {
        "" => message.from.clone(),
        group => format!("#{group} {}", message.from),
    }
}

/// What a message says, and the files that it brings.
pub fn said(content: &Content) -> String {
    let mut said = content.text.clone();
    for Attachment { file, url, name, size, .. } in &content.attachments {
        let gap = if said.is_empty() { "" } else { " " };
        let place = if file.is_empty() { url } else { file };
        said.push_str(&format!("{gap}[{name}, {size} bytes: {place}]"));
    }
    said
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
    fn a_crowd_is_told_by_its_number() {
        let users = (1..=7).map(|number| format!("user-{number}")).collect();
        let kind = group_event::Kind::Joined.into();
        let event = GroupEvent { group: "team".to_owned(), kind, users, ..GroupEvent::default() };
        let told = group_event(&event);
        assert_eq!(told, "user-1, user-2, user-3, user-4, user-5 and 2 others joined #team");
    }
}
