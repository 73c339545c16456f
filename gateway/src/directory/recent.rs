//! The latest changes that the watch told, so that an answer that is older than a change is not taken for the truth.

use std::collections::{HashSet, VecDeque};

use super::UserKey;

const KEPT: usize = 4096;

/// What was touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Touched {
    Token { user: UserKey, id: Box<str> },
    User(UserKey),
    App(Box<str>),
}

/// Many at once.
#[derive(Debug, Default)]
pub(crate) struct TouchedSet {
    tokens: HashSet<(UserKey, Box<str>)>,
    users: HashSet<UserKey>,
    pub apps: HashSet<Box<str>>,
}

impl TouchedSet {
    pub fn add(&mut self, touched: Touched) {
        match touched {
            Touched::Token { user, id } => {
                self.tokens.insert((user, id));
            }
            Touched::User(user) => {
                self.users.insert(user);
            }
            Touched::App(app) => {
                self.apps.insert(app);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.users.is_empty() && self.apps.is_empty()
    }

    /// Whether a token of this user is touched, by itself, its user or its app.
    pub fn holds_token(&self, user: &UserKey, token_id: &str) -> bool {
        self.users.contains(user)
            || self.apps.contains(user.app())
            || (!self.tokens.is_empty() && self.tokens.contains(&(user.clone(), token_id.into())))
    }
}

/// A bounded memory of changes.
#[derive(Debug, Default)]
pub(crate) struct RecentChanges {
    changes: VecDeque<(u64, Touched)>,
    noted: u64,
}

/// How many changes had been noted when a question was asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked(u64);

impl RecentChanges {
    pub fn note(&mut self, revision: u64, touched: Touched) {
        if self.changes.len() == KEPT {
            self.changes.pop_front();
        }
        self.changes.push_back((revision, touched));
        self.noted += 1;
    }

    /// Forgets all; questions under way must be asked again.
    pub fn reset(&mut self) {
        self.changes.clear();
        self.noted += KEPT as u64 + 1;
    }

    pub fn asked(&self) -> Asked {
        Asked(self.noted)
    }

    /// Whether an answer as of `revision` may be older than a change of the user or the token.
    pub fn may_be_stale(&self, asked: Asked, revision: u64, user: &UserKey, token_id: Option<&str>) -> bool {
        if self.noted - asked.0 > KEPT as u64 {
            return true;
        }
        self.changes.iter().rev().filter(|(changed, _)| *changed > revision).any(|(_, touched)| match touched {
            Touched::Token { user: of, id } => of == user && token_id == Some(&**id),
            Touched::User(changed) => changed == user,
            Touched::App(app) => **app == *user.app(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_later_change_of_the_same_thing_makes_an_answer_stale() {
        let user = UserKey::new("app", "alice");
        let mut recent = RecentChanges::default();
        let asked = recent.asked();
        recent.note(7, Touched::Token { user: user.clone(), id: "t1".into() });
        recent.note(8, Touched::User(UserKey::new("app", "bob")));
        assert!(recent.may_be_stale(asked, 6, &user, Some("t1")));
        assert!(!recent.may_be_stale(asked, 7, &user, Some("t1")));
        assert!(!recent.may_be_stale(asked, 6, &user, Some("t2")));
        recent.note(9, Touched::App("app".into()));
        assert!(recent.may_be_stale(asked, 8, &user, None));
    }

    #[test]
    fn an_answer_that_was_overtaken_by_more_than_is_remembered_is_stale() {
        let user = UserKey::new("app", "alice");
        let mut recent = RecentChanges::default();
        let before = recent.asked();
        recent.reset();
        assert!(recent.may_be_stale(before, u64::MAX, &user, None));
        assert!(!recent.may_be_stale(recent.asked(), 0, &user, None));
    }
}
