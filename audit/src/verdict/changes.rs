//! What the changes of a message leave of it: edits follow one another; a recall and a wipe take the text away, after
//! which there is nothing to edit.

use std::collections::HashMap;

use super::messages::{Answer, Messages, Name, Named, findings_of};
use super::{Findings, Verdict};
use crate::history::{Change, Client, Kept};

/// One of a message's changes.
#[derive(Debug)]
struct Made {
    number: u64,
    kind: Change,
    answer: Option<Answer>,
}

impl Made {
    fn is_accepted(&self) -> bool {
        matches!(self.answer, Some(Answer::Accepted { .. }))
    }

    /// Whether it may have been made.
    fn may_be(&self) -> bool {
        self.answer != Some(Answer::Refused)
    }
}

/// The changes of each message, in the order in which they were given.
#[derive(Debug, Default)]
pub(super) struct Changes(HashMap<Name, Vec<Made>>);

impl Changes {
    /// What a change took away is not edited after that.
    pub(super) fn of(messages: &Messages, verdict: &mut Verdict) -> Self {
        let mut changes = Self::default();
        for ((from, number), message) in messages.iter() {
            let Some(change) = message.change else { continue };
            let before = changes.0.entry((from, change.number)).or_default();
            let made = Made { number, kind: change.kind, answer: message.answer };
            let is_gone = before.iter().any(|earlier| earlier.kind != Change::Edit && earlier.is_accepted());
            if made.kind == Change::Edit && made.is_accepted() && is_gone {
                findings_of(verdict, message).contradiction(|| {
                    format!("{} edited {}, whose text was gone", Named((from, number)), Named((from, change.number)))
                });
            }
            before.push(made);
        }
        changes
    }

    fn of_message(&self, name: Name) -> &[Made] {
        self.0.get(&name).map_or(&[], Vec::as_slice)
    }

    /// A device was shown a message without its text.
    pub(super) fn text_gone(&self, client: Client, name: Name, findings: &mut Findings) {
        let is_taken = |made: &Made| made.kind != Change::Edit && made.may_be();
        if !self.of_message(name).iter().any(is_taken) {
            findings.contradiction(|| format!("{client} was shown {} without its text", Named(name)));
        }
    }

    /// Whether a message may stand so.
    pub(super) fn may_stand(&self, name: Name, kept: &Kept) -> bool {
        let gone = kept.gone.unwrap_or_default();
        let is_so = |kind, is_made| self.may_be_made(name, kind, is_made);
        is_so(Change::Recall, gone.recalled)
            && is_so(Change::Wipe, gone.wiped)
            && match kept.gone {
                Some(gone) => gone.recalled || gone.wiped,
                None => self.may_be_edited(name, kept.edit),
            }
    }

    /// Whether changes of a kind, which all do the same, may have been made, or none of them.
    fn may_be_made(&self, name: Name, kind: Change, is_made: bool) -> bool {
        let mut alike = self.of_message(name).iter().filter(|made| made.kind == kind);
        if is_made { alike.any(Made::may_be) } else { !alike.any(Made::is_accepted) }
    }

    /// Whether a message may stand as this edit left it: the last that was accepted, or a later one of which that is
    /// not known.
    fn may_be_edited(&self, name: Name, edit: Option<u64>) -> bool {
        let edits = || self.of_message(name).iter().filter(|made| made.kind == Change::Edit);
        let last = edits().filter(|made| made.is_accepted()).map(|made| made.number).max();
        edit == last || edit > last && edits().any(|made| Some(made.number) == edit && made.may_be())
    }
}
