//! Replicas of an earlier release apply what they do not know otherwise, or not at all, and would differ from the
//! others without noticing. So a command that came with this release, or a field that changes what a command does,
//! stays out of the log until every broker of the cluster has told that it is of this release (promise 7).

use tidings_proto::mailbox::v1::{AppendMessage, command::Command};

/// Up to which level this build applies commands; brokers tell it when they register. Level 1 came with groups, history
/// and changes, level 3 with scheduled messages, groups among a user's conversations and large groups (2 is no level of
/// a log), level 4 with contacts, level 5 with users who are erased, what senders were told, reading privately, and
/// tallies, level 6 with receipts for users in whose names backends send. Whoever adds a kind of command, or a field
/// that changes what one does, raises it, and says so in [`for_level`]. What a known command does more than before
/// hangs on the level that the command carries (`Applying::level`).
pub const LEVEL: u32 = 6;

/// The command as brokers of a level apply it: without what it only adds to. `None` when it has to wait until they are
/// upgraded.
pub fn for_level(mut command: Command, level: u32) -> Option<Command> {
    if level < 5 {
        match &mut command {
            Command::EraseMailbox(_) => return None,
            // Brokers of before tell the senders.
            Command::MarkRead(mark) => mark.privately = false,
            _ => {}
        }
    }
    if level < 4 && sets_contact(&command) {
        return None;
    }
    if level < 3 && !below_3(&mut command) {
        return None;
    }
    if level < 1 && !below_1(&mut command) {
        return None;
    }
    Some(command)
}

/// What came with level 4. (Policies by which messages are for contacts alone are not made before, so that there are no
/// such messages.)
fn sets_contact(command: &Command) -> bool {
    let Command::UpdateConversation(asked) = command else { return false };
    asked.update.as_ref().is_some_and(|update| update.contact.is_some())
}

/// Takes off what came with level 3; answers whether the command is one that was there before.
fn below_3(command: &mut Command) -> bool {
    match command {
        Command::PostMessage(post) => {
            post.in_full = false;
            if let Some(message) = &mut post.message {
                // The copy of it would be told to other devices than before.
                message.sender_retention_ms = 0;
                message.large_beyond = 0;
            }
            !post.to_group || post.message.as_ref().is_none_or(|message| message.disappears.is_none())
        }
        Command::ScheduleMessage(_)
        | Command::CancelScheduled(_)
        | Command::ReleaseScheduled(_)
        | Command::AdoptGroups(_) => false,
        Command::AppendToGroup(append) => {
            append.large_beyond = 0;
            append.disappears.is_none()
        }
        Command::UpdateGroup(update) => {
            update.large_beyond = 0;
            true
        }
        Command::MarkGroupRead(mark) => !mark.privately,
        Command::UpdateConversation(asked) => asked.update.as_ref().is_none_or(|update| update.group.is_empty()),
        _ => true,
    }
}

/// The same for level 1.
fn below_1(command: &mut Command) -> bool {
    match command {
        Command::AppendMessage(append) => reduce(append),
        Command::PostMessage(post) => !post.to_group && post.message.as_mut().is_none_or(reduce),
        Command::AttachDevice(attach) => {
            (attach.max_devices, attach.withholds_delivered) = (0, false);
            true
        }
        Command::MoveCursor(moved) => {
            moved.withholds_delivered = false;
            true
        }
        Command::MarkRead(_) | Command::ChannelDeliver(_) | Command::ChannelTrim(_) | Command::ExpireDue(_) => true,
        Command::AppendToGroup(_)
        | Command::UpdateGroup(_)
        | Command::ExpandGroups(_)
        | Command::MarkGroupRead(_)
        | Command::TellGroupReceipts(_)
        | Command::UpdateConversation(_)
        | Command::AdoptGroups(_)
        | Command::ScheduleMessage(_)
        | Command::CancelScheduled(_)
        | Command::ReleaseScheduled(_)
        | Command::EraseMailbox(_) => false,
    }
}

/// Takes the history off a message; answers whether it is one that earlier releases know.
fn reduce(append: &mut AppendMessage) -> bool {
    (append.retention_ms, append.sender_retention_ms, append.change_window_ms) = (0, 0, 0);
    append.change.is_none() && append.disappears.is_none()
}

#[cfg(test)]
mod tests {
    use tidings_proto::client::v1::UpdateConversation as Update;
    use tidings_proto::mailbox::v1::{
        AdoptGroups, AttachDevice, EraseMailbox, ExpandGroups, MarkGroupRead, MarkRead, PostMessage, ScheduleMessage,
        UpdateConversation, UpdateGroup,
    };
    use tidings_proto::message::v1::Change;

    use super::*;

    fn kept() -> AppendMessage {
        AppendMessage {
            seq: 1,
            retention_ms: 2,
            sender_retention_ms: 3,
            change_window_ms: 4,
            ..AppendMessage::default()
        }
    }

    #[test]
    fn what_is_new_waits_or_is_left_off() {
        let plain = AppendMessage { seq: 1, ..AppendMessage::default() };
        assert_eq!(for_level(Command::AppendMessage(kept()), 0), Some(Command::AppendMessage(plain.clone())));
        let change = AppendMessage { change: Some(Change::default()), ..kept() };
        assert_eq!(for_level(Command::AppendMessage(change.clone()), 0), None);
        let attach = AttachDevice { nonce: 5, max_devices: 64, withholds_delivered: true, ..AttachDevice::default() };
        let reduced = AttachDevice { nonce: 5, ..AttachDevice::default() };
        assert_eq!(for_level(Command::AttachDevice(attach), 0), Some(Command::AttachDevice(reduced)));
        let post = |message, to_group| {
            Command::PostMessage(PostMessage { message: Some(message), to_group, ..PostMessage::default() })
        };
        assert_eq!(for_level(post(kept(), false), 0), Some(post(plain, false)));
        assert_eq!(for_level(post(kept(), true), 0), None);
        assert_eq!(for_level(Command::ExpandGroups(ExpandGroups {}), 0), None);

        assert_eq!(for_level(Command::AppendMessage(change.clone()), 1), Some(Command::AppendMessage(change)));
    }

    #[test]
    fn what_came_with_level_3_waits_for_it() {
        let mark = |privately| Command::MarkGroupRead(MarkGroupRead { privately, ..MarkGroupRead::default() });
        let update = |group: &str| {
            let update = Some(Update { group: group.to_owned(), ..Update::default() });
            Command::UpdateConversation(UpdateConversation { update, ..UpdateConversation::default() })
        };
        let burns = Command::AppendToGroup(AppendMessage { disappears: Some(Default::default()), ..kept() });
        for new in [Command::AdoptGroups(AdoptGroups {}), mark(true), update("team"), burns] {
            assert_eq!((for_level(new.clone(), 1), for_level(new.clone(), LEVEL)), (None, Some(new)));
        }
        for known in [mark(false), update("")] {
            assert_eq!(for_level(known.clone(), 1), Some(known));
        }
    }

    #[test]
    fn who_reads_privately_is_told_of_below_level_5() {
        let read = |privately| Command::MarkRead(MarkRead { privately, ..MarkRead::default() });
        assert_eq!(for_level(read(true), 4), Some(read(false)));
        assert_eq!(for_level(read(true), LEVEL), Some(read(true)));
    }

    #[test]
    fn contacts_wait_for_level_4() {
        let update = |contact| {
            let update = Some(Update { contact, ..Update::default() });
            Command::UpdateConversation(UpdateConversation { update, ..UpdateConversation::default() })
        };
        let (sets, leaves) = (update(Some(false)), update(None));
        assert_eq!((for_level(sets.clone(), 3), for_level(sets.clone(), LEVEL)), (None, Some(sets)));
        assert_eq!(for_level(leaves.clone(), 3), Some(leaves));
    }

    #[test]
    fn erasing_waits_for_level_5() {
        let erase = Command::EraseMailbox(EraseMailbox::default());
        assert_eq!((for_level(erase.clone(), 4), for_level(erase.clone(), LEVEL)), (None, Some(erase)));
    }

    #[test]
    fn what_is_scheduled_waits_for_level_3_and_posts_do_less() {
        let post = |in_full, sender_retention_ms| {
            let message = Some(AppendMessage { sender_retention_ms, ..kept() });
            Command::PostMessage(PostMessage { message, in_full, to_group: true, ..PostMessage::default() })
        };
        let schedule = Command::ScheduleMessage(ScheduleMessage::default());
        for below in [1, 2] {
            assert_eq!(for_level(post(true, 3), below), Some(post(false, 0)));
            assert_eq!(for_level(schedule.clone(), below), None);
            assert_eq!(for_level(Command::AppendMessage(kept()), below), Some(Command::AppendMessage(kept())));
        }
        assert_eq!(for_level(post(true, 3), 3), Some(post(true, 3)));
        assert_eq!(for_level(schedule.clone(), 3), Some(schedule));

        let to_group = |large_beyond| {
            let update = UpdateGroup { from_revision: 1, large_beyond, ..UpdateGroup::default() };
            [Command::AppendToGroup(AppendMessage { large_beyond, ..kept() }), Command::UpdateGroup(update)]
        };
        for (command, without) in to_group(5).into_iter().zip(to_group(0)) {
            assert_eq!(for_level(command.clone(), LEVEL), Some(command.clone()));
            assert_eq!(for_level(command, 2), Some(without));
        }
    }
}
