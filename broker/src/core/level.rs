//! Replicas of an earlier release apply what they do not know otherwise, or not at all, and would differ from the others
//! without noticing. So a command that came with this release, or a field that changes what a command does, stays out of the
//! log until every broker of the cluster has told that it is of this release (promise 7).

use tidings_proto::mailbox::v1::{AppendMessage, PostMessage, command::Command};

/// Up to which level this build applies commands; brokers tell it when they register. Level 1 came with groups, history and
/// changes, level 3 with large groups. Whoever adds a kind of command, or a field that changes what one does, raises it, and
/// says so in [`for_level`].
pub const LEVEL: u32 = 3;

/// The command as brokers of a level apply it: without what it only adds to. `None` when it has to wait until they are
/// upgraded.
pub fn for_level(mut command: Command, level: u32) -> Option<Command> {
    if level < 3 {
        below_3(&mut command);
    }
    if level < 1 && !below_1(&mut command) {
        return None;
    }
    Some(command)
}

/// Takes off what came with level 3: no group is a large one.
fn below_3(command: &mut Command) {
    match command {
        Command::AppendToGroup(append) => append.large_beyond = 0,
        Command::PostMessage(PostMessage { message: Some(append), .. }) => append.large_beyond = 0,
        Command::UpdateGroup(update) => update.large_beyond = 0,
        _ => {}
    }
}

/// Takes off what came with level 1; answers whether the command is one that was there before.
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
        | Command::UpdateConversation(_) => false,
    }
}

/// Takes the history off a message; answers whether it is one that earlier releases know.
fn reduce(append: &mut AppendMessage) -> bool {
    (append.retention_ms, append.sender_retention_ms, append.change_window_ms) = (0, 0, 0);
    append.change.is_none() && append.disappears.is_none()
}

#[cfg(test)]
mod tests {
    use tidings_proto::mailbox::v1::{AttachDevice, ExpandGroups, UpdateGroup};
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

        let to_group = |large_beyond| {
            let update = UpdateGroup { from_revision: 1, large_beyond, ..UpdateGroup::default() };
            let append = AppendMessage { large_beyond, ..kept() };
            [Command::AppendToGroup(append.clone()), post(append, true), Command::UpdateGroup(update)]
        };
        for (command, without) in to_group(5).into_iter().zip(to_group(0)) {
            assert_eq!(for_level(command.clone(), LEVEL), Some(command.clone()));
            assert_eq!(for_level(command, 2), Some(without));
        }

        assert_eq!(for_level(Command::AppendMessage(change.clone()), LEVEL), Some(Command::AppendMessage(change)));
    }
}
