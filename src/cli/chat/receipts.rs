//! How far what was said to groups has come.

use std::collections::VecDeque;

use tidings_sdk::{GroupReceipt, Message};

use crate::cli::wording;

/// Messages to groups that are remembered; of older ones nothing is shown any more.
const REMEMBERED: usize = 256;

/// What was said here to groups, the oldest first.
#[derive(Debug, Default)]
pub struct Said(VecDeque<SaidOnce>);

#[derive(Debug)]
struct SaidOnce {
    group: String,
    place: u64,
    text: String,
    /// What was shown of it last.
    shown: String,
}

impl Said {
    /// A message came back with its place in a group.
    pub fn placed(&mut self, message: &Message) {
        let Some(group) = message.group() else { return };
        self.place(group, message.group_seq(), message.text());
    }

    fn place(&mut self, group: &str, place: u64, text: &str) {
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(SaidOnce { group: group.to_owned(), place, text: text.to_owned(), shown: String::new() });
    }

    /// What is to be shown, now that this is known.
    pub fn told(&mut self, receipt: &GroupReceipt) -> Vec<String> {
        let mut lines = Vec::new();
        self.0.retain_mut(|said| {
            if said.group != receipt.group {
                return true;
            }
            let is_read = said.place <= receipt.read_by_all;
            let counts = receipt.messages.iter().find(|one| one.group_seq == said.place);
            let shows = match counts {
                _ if is_read => "read by all".to_owned(),
                Some(one) if one.delivered > 0 => wording::counts(one),
                _ => return true,
            };
            if shows != said.shown {
                lines.push(format!("✓✓ {shows}: {}", said.text));
                said.shown = shows;
            }
            !is_read
        });
        lines
    }
}

#[cfg(test)]
mod tests {
    use tidings_sdk::GroupMessageReceipt;

    use super::*;

    #[test]
    fn each_change_is_shown_once_until_all_read_it() {
        let mut said = Said::default();
        said.place("team", 7, "hi");
        said.place("other", 7, "hello");
        let receipt = |delivered, read_by_all| GroupReceipt {
            group: "team".to_owned(),
            read_by_all,
            messages: vec![GroupMessageReceipt { group_seq: 7, members: 2, delivered, read: 0 }],
            ..GroupReceipt::default()
        };
        assert!(said.told(&receipt(0, 6)).is_empty());
        assert_eq!(said.told(&receipt(1, 6)), ["✓✓ 1 of 2 have it, 0 read it: hi"]);
        assert!(said.told(&receipt(1, 6)).is_empty());
        assert_eq!(said.told(&receipt(2, 7)), ["✓✓ read by all: hi"]);
        assert!(said.told(&receipt(2, 7)).is_empty());
    }

    #[test]
    fn so_many_are_remembered() {
        let mut said = Said::default();
        (0..REMEMBERED as u64 + 5).for_each(|place| said.place("team", place, "hi"));
        assert_eq!((said.0.len(), said.0[0].place), (REMEMBERED, 5));
    }
}
