//! The limits of what a request may hold, checked before anything else; a refusal names the field.

pub mod groups;

use std::collections::{BTreeMap, BTreeSet};

use prost_types::FieldMask;
use tidings_proto::ids::MAX_ID_BYTES;
use tidings_proto::message::v1::{Content, Disappearance, ReceiptRequest};
use tidings_proto::policy::v1::Policy;
use tidings_proto::{AppId, PolicyId, UserId, attachments, disappearance, effective_policy, values};

use crate::registry::refusal::Refusal;

/// Bytes of a display name, at most.
pub const MAX_DISPLAY_NAME_BYTES: usize = 256;
/// Bytes of all keys and values of a user's attributes, at most.
pub const MAX_ATTRIBUTES_BYTES: usize = 4096;
/// Bytes of a filter, at most.
pub const MAX_FILTER_BYTES: usize = 128;
/// The longest life of a token that expires: ten years.
pub const MAX_TTL_SECONDS: u64 = 10 * 365 * 24 * 3600;

/// An app's id.
pub fn app_id(field: &str, text: &str) -> Result<(), Refusal> {
    AppId::new(text).map(|_| ()).map_err(|error| Refusal::invalid(field, error))
}

/// A user's id.
pub fn user_id(field: &str, text: &str) -> Result<(), Refusal> {
    UserId::new(text).map(|_| ()).map_err(|error| Refusal::invalid(field, error))
}

/// A policy's id.
pub fn policy_id(field: &str, text: &str) -> Result<(), Refusal> {
    PolicyId::new(text).map(|_| ()).map_err(|error| Refusal::invalid(field, error))
}

/// A policy's id, or none.
pub fn policy_id_or_empty(field: &str, text: &str) -> Result<(), Refusal> {
    if text.is_empty() { Ok(()) } else { policy_id(field, text) }
}

/// A policy's id and the bounds of its fields.
pub fn policy(field: &str, policy: &Policy) -> Result<(), Refusal> {
    policy_id(&format!("{field}.id"), &policy.id)?;
    effective_policy::check(policy).map_err(|(name, reason)| Refusal::invalid(&format!("{field}.{name}"), reason))
}

/// What a backend's message says. Its files are those that the app keeps itself: gateways alone can have the others
/// stay.
pub fn content(field: &str, content: &Content) -> Result<(), Refusal> {
    let invalid = |name: &str, reason: String| Refusal::invalid(&format!("{field}.{name}"), reason);
    if content.attachments.iter().any(|attachment| !attachment.file.is_empty()) {
        return Err(invalid("attachments", "names a file, where backends name a url".to_owned()));
    }
    attachments::check(content).map_err(|reason| invalid("attachments", reason))?;
    values::check(content).map_err(|reason| invalid("values", reason))
}

/// Which receipts a backend asks for: whether there are to be any.
pub fn receipts(field: &str, receipts: i32) -> Result<bool, Refusal> {
    match ReceiptRequest::try_from(receipts) {
        Ok(ReceiptRequest::ReceiptsAll) => Ok(true),
        Ok(ReceiptRequest::ReceiptsNone) => Ok(false),
        _ => Err(Refusal::invalid(field, "is neither RECEIPTS_ALL nor RECEIPTS_NONE")),
    }
}

/// After which time a message disappears.
pub fn disappears(field: &str, disappears: &Disappearance) -> Result<(), Refusal> {
    if disappearance::is_valid(disappears) {
        return Ok(());
    }
    Err(Refusal::invalid(field, "is after 1 ms to ten years, from a start that is known"))
}

/// A name for people; may be empty.
pub fn display_name(field: &str, text: &str) -> Result<(), Refusal> {
    visible(field, text, MAX_DISPLAY_NAME_BYTES)
}

/// A text that the caller chose, at most as long as an id; may be empty.
pub fn label(field: &str, text: &str) -> Result<(), Refusal> {
    visible(field, text, MAX_ID_BYTES)
}

fn visible(field: &str, text: &str, limit: usize) -> Result<(), Refusal> {
    if text.len() > limit {
        return Err(Refusal::invalid(field, format!("has {} bytes, more than {limit}", text.len())));
    }
    match text.chars().find(|character| character.is_control()) {
        Some(character) => Err(Refusal::invalid(field, format!("holds the control character {character:?}"))),
        None => Ok(()),
    }
}

/// A user's attributes.
pub fn attributes(field: &str, attributes: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let total: usize = attributes.iter().map(|(key, value)| key.len() + value.len()).sum();
    if total > MAX_ATTRIBUTES_BYTES {
        return Err(Refusal::invalid(field, format!("has {total} bytes in all, more than {MAX_ATTRIBUTES_BYTES}")));
    }
    for key in attributes.keys() {
        if key.is_empty() {
            return Err(Refusal::invalid(field, "has an empty key"));
        }
        label(field, key)?;
    }
    Ok(())
}

/// A pattern over ids.
pub fn filter(filter: &str) -> Result<(), Refusal> {
    if filter.len() > MAX_FILTER_BYTES {
        return Err(Refusal::invalid("filter", format!("has more than {MAX_FILTER_BYTES} bytes")));
    }
    Ok(())
}

/// How long a token lives.
pub fn ttl_seconds(field: &str, seconds: u64) -> Result<(), Refusal> {
    if seconds > MAX_TTL_SECONDS {
        return Err(Refusal::invalid(field, format!("is more than {MAX_TTL_SECONDS}, ten years")));
    }
    Ok(())
}

/// The paths of an update, each of which must be known. No path at all is a mistake, not a wish to change everything.
pub fn update_mask(mask: Option<FieldMask>, known: &[&str]) -> Result<BTreeSet<String>, Refusal> {
    let paths: BTreeSet<String> = mask.unwrap_or_default().paths.into_iter().collect();
    let listed = || known.join(", ");
    if paths.is_empty() {
        return Err(Refusal::invalid("update_mask", format!("names no field; there are: {}", listed())));
    }
    match paths.iter().find(|path| !known.contains(&path.as_str())) {
        Some(path) => {
            Err(Refusal::invalid("update_mask", format!("{path:?} cannot be updated; there are: {}", listed())))
        }
        None => Ok(paths),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_at_the_edge_and_name_the_field() {
        assert!(display_name("display_name", &"x".repeat(256)).is_ok());
        let refusal = display_name("display_name", &"x".repeat(257)).unwrap_err();
        assert!(refusal.message.starts_with("display_name: has 257 bytes"), "{refusal}");
        assert!(label("request_id", &"x".repeat(64)).is_err() && label("request_id", "a\nb").is_err());
        assert!(ttl_seconds("ttl_seconds", u64::MAX).is_err() && ttl_seconds("ttl_seconds", 0).is_ok());
        let after = |after_ms, from| disappears("disappears", &Disappearance { after_ms, from });
        assert!(after(1, 0).is_ok() && after(0, 0).is_err());
        assert_eq!((receipts("receipts", 0).unwrap(), receipts("receipts", 1).unwrap()), (true, false));
        assert!(receipts("receipts", 2).is_err() && receipts("receipts", 4).is_err());
        let with = |key: &str, length| BTreeMap::from([(key.to_owned(), "v".repeat(length))]);
        assert!(attributes("attributes", &with("k", 4095)).is_ok());
        assert!(attributes("attributes", &with("k", 4096)).is_err());
        assert!(attributes("attributes", &with("", 1)).is_err());
    }

    #[test]
    fn a_mask_names_known_fields_and_at_least_one() {
        let mask = |paths: &[&str]| Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
        assert_eq!(update_mask(mask(&["a", "a"]), &["a", "b"]).unwrap(), BTreeSet::from(["a".to_owned()]));
        for bad in [None, mask(&[]), mask(&["*"]), mask(&["a", "c"])] {
            assert!(update_mask(bad, &["a", "b"]).unwrap_err().message.starts_with("update_mask: "));
        }
    }
}
