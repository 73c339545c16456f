//! Records as the contracts' messages. Hashes stay behind.

use prost_types::Timestamp;
use tidings_proto::control::v1::{ApiKey, App, Token, User};
use tidings_proto::registry::v1::{ApiKeyRecord, AppRecord, TokenRecord, UserRecord};

/// An app.
pub fn app(record: AppRecord) -> App {
    let AppRecord { id, display_name, created_at_ms, inactive, .. } = record;
    App { id, display_name, created_at: at(created_at_ms), active: !inactive }
}

/// A user.
pub fn user(record: UserRecord) -> User {
    User {
        app: record.app,
        id: record.id,
        display_name: record.display_name,
        attributes: record.attributes,
        active: record.active,
        policy: record.policy,
        created_at: at(record.created_at_ms),
        updated_at: at(record.updated_at_ms),
    }
}

/// A token, without its secret.
pub fn token(record: TokenRecord) -> Token {
    Token {
        id: record.id,
        app: record.app,
        user: record.user,
        app_id: record.app_id,
        created_at: at(record.created_at_ms),
        expires_at: unless_zero(record.expires_at_ms),
        revoked_at: unless_zero(record.revoked_at_ms),
    }
}

/// An API key, without its secret.
pub fn api_key(record: ApiKeyRecord) -> ApiKey {
    ApiKey {
        id: record.id,
        app: record.app,
        display_name: record.display_name,
        created_at: at(record.created_at_ms),
        revoked_at: unless_zero(record.revoked_at_ms),
    }
}

/// A time, where there is one.
pub fn unless_zero(ms: i64) -> Option<Timestamp> {
    if ms == 0 { None } else { at(ms) }
}

/// A time of Unix ms.
pub fn at(ms: i64) -> Option<Timestamp> {
    // The remainder is below a thousand, times a million fits.
    Some(Timestamp { seconds: ms.div_euclid(1000), nanos: (ms.rem_euclid(1000) * 1_000_000) as i32 })
}
