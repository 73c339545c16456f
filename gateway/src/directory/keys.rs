//! What the directory's caches are keyed by, and what they hold of a token.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// A user of an app in one allocation: the app's id, a zero byte (which no id holds), the user's id.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct UserKey(Arc<str>);

impl UserKey {
    pub fn new(app: &str, user: &str) -> Self {
        Self(Self::text(app, user).into())
    }

    /// The form under which a map keyed by `UserKey` is asked without making one.
    pub fn text(app: &str, user: &str) -> String {
        let mut text = String::with_capacity(app.len() + 1 + user.len());
        text.push_str(app);
        text.push('\0');
        text.push_str(user);
        text
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn app(&self) -> &str {
        self.0.split_once('\0').map_or("", |(app, _)| app)
    }

    pub fn user(&self) -> &str {
        self.0.split_once('\0').map_or("", |(_, user)| user)
    }

    /// Which of `parts` this key belongs to.
    pub fn part(&self, parts: usize) -> usize {
        let mut hasher = std::hash::DefaultHasher::new();
        self.0.hash(&mut hasher);
        (hasher.finish() % parts as u64) as usize
    }
}

impl Borrow<str> for UserKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app(), self.user())
    }
}

/// What a good token says. Shared by its sessions and the cache.
pub(crate) struct TokenEntry {
    /// Kept to ask again when the watch could not be resumed.
    pub secret: Box<str>,
    pub app_id: Box<str>,
    pub user: UserKey,
    pub token_id: Box<str>,
    /// Unix ms; 0: does not expire.
    pub expires_at_ms: i64,
    /// The id of the policy that its user went by when it was resolved.
    pub policy: Box<str>,
}

impl fmt::Debug for TokenEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenEntry({:?}, {})", self.user, self.token_id)
    }
}

impl TokenEntry {
    pub fn hash(&self) -> TokenHash {
        token_hash(&self.secret, &self.app_id)
    }

    #[cfg(test)]
    pub fn for_tests(app: &str, user: &str) -> Self {
        Self {
            secret: "secret".into(),
            app_id: "".into(),
            user: UserKey::new(app, user),
            token_id: "1".into(),
            expires_at_ms: 0,
            policy: "".into(),
        }
    }
}

/// SHA-256 of a token and the app id that was shown with it: nobody chooses their place in the map.
pub(crate) type TokenHash = [u8; 32];

pub(crate) fn token_hash(secret: &str, app_id: &str) -> TokenHash {
    let mut hash = Sha256::new();
    hash.update((secret.len() as u64).to_be_bytes());
    hash.update(secret);
    hash.update(app_id);
    hash.finalize().into()
}
