//! A policy with every field filled in: what gateways and brokers go by. The defaults and the bounds are those of
//! `policy.proto`.

use crate::ErrorCode;
use crate::message::v1::ReceiptRequest;
use crate::policy::v1::{Audience, Policy, RateLimit};

/// The id of the policy that users without one go by.
pub const DEFAULT_POLICY: &str = "default";

/// The default of [`Policy::max_message_bytes`].
pub const MAX_MESSAGE_BYTES: u32 = 64 * 1024;
/// The default of [`Policy::history_seconds`]: 30 days.
pub const HISTORY_SECONDS: u64 = 30 * 24 * 3600;
/// The default of [`Policy::inbox_entries`].
pub const INBOX_ENTRIES: u32 = 100_000;
/// The default of [`Policy::edit_window_seconds`] and [`Policy::recall_window_seconds`].
pub const WINDOW_SECONDS: u32 = 3600;
/// The default of [`Policy::last_seen_round_seconds`].
pub const LAST_SEEN_ROUND_SECONDS: u32 = 60;
/// The default of [`Policy::max_devices`].
pub const MAX_DEVICES: u32 = 8;
/// The default of [`Policy::large_group_members`].
pub const LARGE_GROUP_MEMBERS: u32 = 10_000;

/// The default of [`Policy::max_file_bytes`]: 100 MiB.
pub const MAX_FILE_BYTES: u64 = 100 << 20;
/// The most that [`Policy::max_file_bytes`] may be: 5 GiB.
pub const LARGEST_FILE_BYTES: u64 = 5 << 30;
/// Types in [`Policy::file_types`], at most.
pub const MAX_FILE_TYPES: usize = 32;
/// Bytes of one of them, at most.
const MAX_FILE_TYPE_BYTES: usize = 127;

/// Windows of a rate, at most.
pub const MAX_RATE_WINDOWS: usize = 8;
/// The longest window of a rate, and the coarsest step of a last time seen: a day.
const DAY_SECONDS: u32 = 24 * 3600;
const TEN_YEARS_SECONDS: u32 = 10 * 365 * DAY_SECONDS;

/// What a user may do. See `policy.proto` for each field.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // They are those of `Policy`.
pub struct EffectivePolicy {
    pub messages: bool,
    pub groups: bool,
    pub calls: bool,
    pub files: bool,
    pub audience: Audience,
    pub max_message_bytes: u32,
    pub message_rates: Vec<RateLimit>,
    pub app_message_rates: Vec<RateLimit>,
    pub history_seconds: u64,
    pub inbox_entries: u32,
    pub delivered_receipts: bool,
    pub read_receipts: bool,
    pub edit_window_seconds: u32,
    pub recall_window_seconds: u32,
    pub presence_audience: Audience,
    pub edit_contacts: bool,
    pub last_seen_round_seconds: u32,
    pub max_devices: u32,
    pub large_group_members: u32,
    pub max_file_bytes: u64,
    pub file_types: Vec<String>,
}

impl Default for EffectivePolicy {
    fn default() -> Self {
        Self::from(&Policy::default())
    }
}

impl From<&Policy> for EffectivePolicy {
    fn from(policy: &Policy) -> Self {
        let or_all = |audience| if audience == Audience::Unspecified { Audience::All } else { audience };
        Self {
            messages: policy.messages.unwrap_or(true),
            groups: policy.groups.unwrap_or(true),
            calls: policy.calls.unwrap_or(true),
            files: policy.files.unwrap_or(true),
            audience: or_all(policy.audience()),
            max_message_bytes: policy.max_message_bytes.unwrap_or(MAX_MESSAGE_BYTES),
            message_rates: policy.message_rates.clone(),
            app_message_rates: policy.app_message_rates.clone(),
            history_seconds: policy.history_seconds.unwrap_or(HISTORY_SECONDS),
            inbox_entries: policy.inbox_entries.unwrap_or(INBOX_ENTRIES),
            delivered_receipts: policy.delivered_receipts.unwrap_or(true),
            read_receipts: policy.read_receipts.unwrap_or(true),
            edit_window_seconds: policy.edit_window_seconds.unwrap_or(WINDOW_SECONDS),
            recall_window_seconds: policy.recall_window_seconds.unwrap_or(WINDOW_SECONDS),
            presence_audience: or_all(policy.presence_audience()),
            edit_contacts: policy.edit_contacts.unwrap_or(true),
            last_seen_round_seconds: policy.last_seen_round_seconds.unwrap_or(LAST_SEEN_ROUND_SECONDS),
            max_devices: policy.max_devices.unwrap_or(MAX_DEVICES),
            large_group_members: policy.large_group_members.unwrap_or(LARGE_GROUP_MEMBERS),
            max_file_bytes: policy.max_file_bytes.unwrap_or(MAX_FILE_BYTES),
            file_types: policy.file_types.clone(),
        }
    }
}

/// To whom somebody writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Towards {
    /// Other devices of the same user.
    Oneself,
    /// Another user.
    Another,
    /// A group, whose members have a say of their own.
    Group,
}

impl Towards {
    /// Where what `from` writes goes.
    pub fn of(from: &str, to: &str, group: &str) -> Self {
        match (group.is_empty(), from == to) {
            (false, _) => Self::Group,
            (true, true) => Self::Oneself,
            (true, false) => Self::Another,
        }
    }
}

impl EffectivePolicy {
    /// Whether whoever goes by this may write there; else the reason, also for people.
    pub fn may_write(&self, towards: Towards) -> Result<(), (ErrorCode, &'static str)> {
        match towards {
            Towards::Group if !self.groups => Err((ErrorCode::FeatureOff, "groups are switched off for this user")),
            Towards::Group => Ok(()),
            _ if !self.messages => Err((ErrorCode::FeatureOff, "messages to users are switched off for this user")),
            Towards::Another if self.audience == Audience::Nobody => {
                Err((ErrorCode::RefusedByPolicy, "this user may send to nobody else"))
            }
            _ => Ok(()),
        }
    }

    /// Which of the receipts that a sender asked for whoever goes by this lets out.
    pub fn receipts_of(&self, requested: i32) -> i32 {
        use ReceiptRequest::{ReceiptsAll, ReceiptsDelivered, ReceiptsNone, ReceiptsRead};
        let requested = ReceiptRequest::try_from(requested).unwrap_or(ReceiptsAll);
        let delivered = self.delivered_receipts && matches!(requested, ReceiptsAll | ReceiptsDelivered);
        let read = self.read_receipts && matches!(requested, ReceiptsAll | ReceiptsRead);
        let left = match (delivered, read) {
            (true, true) => ReceiptsAll,
            (true, false) => ReceiptsDelivered,
            (false, true) => ReceiptsRead,
            (false, false) => ReceiptsNone,
        };
        left as i32
    }

    /// Among whom a recipient has to be, for the recipient's shard to look at; `Unspecified`: there is nothing to look
    /// at, as in groups, where the members are the audience.
    pub fn restriction(&self, to_group: bool) -> Audience {
        match self.audience {
            _ if to_group => Audience::Unspecified,
            // Of nobody [`may_write`](Self::may_write) says everything.
            Audience::All | Audience::Nobody | Audience::Unspecified => Audience::Unspecified,
            narrower => narrower,
        }
    }

    /// As a policy in which every field is set, for showing it.
    pub fn to_policy(&self) -> Policy {
        Policy {
            messages: Some(self.messages),
            groups: Some(self.groups),
            calls: Some(self.calls),
            files: Some(self.files),
            audience: self.audience.into(),
            max_message_bytes: Some(self.max_message_bytes),
            message_rates: self.message_rates.clone(),
            app_message_rates: self.app_message_rates.clone(),
            history_seconds: Some(self.history_seconds),
            inbox_entries: Some(self.inbox_entries),
            delivered_receipts: Some(self.delivered_receipts),
            read_receipts: Some(self.read_receipts),
            edit_window_seconds: Some(self.edit_window_seconds),
            recall_window_seconds: Some(self.recall_window_seconds),
            presence_audience: self.presence_audience.into(),
            edit_contacts: Some(self.edit_contacts),
            last_seen_round_seconds: Some(self.last_seen_round_seconds),
            max_devices: Some(self.max_devices),
            large_group_members: Some(self.large_group_members),
            max_file_bytes: Some(self.max_file_bytes),
            file_types: self.file_types.clone(),
            ..Policy::default()
        }
    }
}

/// Checks the bounds of the fields that are set; an error names the field and what it may be.
pub fn check(policy: &Policy) -> Result<(), (&'static str, String)> {
    for (field, value) in [("audience", policy.audience), ("presence_audience", policy.presence_audience)] {
        if Audience::try_from(value).is_err() {
            return Err((field, format!("{value} is no audience that is known")));
        }
    }
    rates("message_rates", &policy.message_rates)?;
    rates("app_message_rates", &policy.app_message_rates)?;
    if policy.max_file_bytes.is_some_and(|bytes| !(1..=LARGEST_FILE_BYTES).contains(&bytes)) {
        return Err(("max_file_bytes", format!("must be 1 to {LARGEST_FILE_BYTES}")));
    }
    file_types(&policy.file_types)?;
    let history = policy.history_seconds.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
    for (field, value, least, most) in [
        ("max_message_bytes", policy.max_message_bytes, 1, 1 << 20),
        ("history_seconds", history, 0, TEN_YEARS_SECONDS),
        ("inbox_entries", policy.inbox_entries, 1, 1_000_000),
        ("edit_window_seconds", policy.edit_window_seconds, 0, TEN_YEARS_SECONDS),
        ("recall_window_seconds", policy.recall_window_seconds, 0, TEN_YEARS_SECONDS),
        ("last_seen_round_seconds", policy.last_seen_round_seconds, 1, DAY_SECONDS),
        ("max_devices", policy.max_devices, 1, 64),
        ("large_group_members", policy.large_group_members, 2, 100_000),
    ] {
        if value.is_some_and(|value| !(least..=most).contains(&value)) {
            return Err((field, format!("must be {least} to {most}")));
        }
    }
    Ok(())
}

fn file_types(types: &[String]) -> Result<(), (&'static str, String)> {
    let part =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
    let is_type = |text: &str| {
        let parts = text.split_once('/');
        text.len() <= MAX_FILE_TYPE_BYTES
            && parts.is_some_and(|(kind, name)| (part(kind) && (name == "*" || part(name))) || text == "*/*")
    };
    match types.iter().find(|text| !is_type(text)) {
        _ if types.len() > MAX_FILE_TYPES => {
            Err(("file_types", format!("has {} types, more than {MAX_FILE_TYPES}", types.len())))
        }
        Some(text) => {
            Err(("file_types", format!("holds {text:?}, which is neither a type such as image/png nor image/*")))
        }
        None => Ok(()),
    }
}

fn rates(field: &'static str, rates: &[RateLimit]) -> Result<(), (&'static str, String)> {
    if rates.len() > MAX_RATE_WINDOWS {
        return Err((field, format!("has {} windows, more than {MAX_RATE_WINDOWS}", rates.len())));
    }
    if rates.iter().any(|rate| rate.count == 0 || rate.seconds == 0 || rate.seconds > DAY_SECONDS) {
        return Err((field, format!("must have counts of 1 or more in 1 to {DAY_SECONDS} seconds")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_has_its_default_and_zero_is_a_value() {
        let plain = EffectivePolicy::default();
        assert!(plain.messages && plain.read_receipts && plain.audience == Audience::All);
        assert_eq!((plain.max_message_bytes, plain.history_seconds, plain.max_devices), (65_536, 2_592_000, 8));
        assert!(plain.message_rates.is_empty() && plain.app_message_rates.is_empty());
        let strict = Policy { history_seconds: Some(0), calls: Some(false), ..Policy::default() };
        let strict = EffectivePolicy::from(&strict);
        assert!((strict.history_seconds, strict.calls, strict.files) == (0, false, true));
        assert_eq!(EffectivePolicy::from(&strict.to_policy()), strict);
    }

    #[test]
    fn bounds_hold_at_the_edge_and_one_beyond() {
        let with = |change: fn(&mut Policy, u32), value| {
            let mut policy = Policy::default();
            change(&mut policy, value);
            check(&policy).map_err(|(field, _)| field)
        };
        type Case = (fn(&mut Policy, u32), &'static str, u32, u32);
        let cases: [Case; 8] = [
            (|policy, value| policy.max_message_bytes = Some(value), "max_message_bytes", 1, 1_048_576),
            (|policy, value| policy.inbox_entries = Some(value), "inbox_entries", 1, 1_000_000),
            (|policy, value| policy.max_devices = Some(value), "max_devices", 1, 64),
            (|policy, value| policy.large_group_members = Some(value), "large_group_members", 2, 100_000),
            (|policy, value| policy.last_seen_round_seconds = Some(value), "last_seen_round_seconds", 1, 86_400),
            (|policy, value| policy.edit_window_seconds = Some(value), "edit_window_seconds", 0, 315_360_000),
            (|policy, value| policy.recall_window_seconds = Some(value), "recall_window_seconds", 0, 315_360_000),
            (|policy, value| policy.history_seconds = Some(value.into()), "history_seconds", 0, 315_360_000),
        ];
        for (change, field, least, most) in cases {
            assert_eq!((with(change, least), with(change, most)), (Ok(()), Ok(())), "{field}");
            assert_eq!(with(change, most + 1), Err(field));
            if least > 0 {
                assert_eq!(with(change, least - 1), Err(field));
            }
        }
        let rate = |count, seconds| vec![RateLimit { count, seconds }];
        for (rates, good) in [
            (rate(1, 86_400), true),
            (rate(0, 1), false),
            (rate(1, 0), false),
            (rate(1, 86_401), false),
            (rate(1, 1).repeat(8), true),
            (rate(1, 1).repeat(9), false),
        ] {
            let policy = Policy { message_rates: rates.clone(), ..Policy::default() };
            assert_eq!(check(&policy).is_ok(), good, "{rates:?}");
            let policy = Policy { app_message_rates: rates.clone(), ..Policy::default() };
            assert_eq!(check(&policy).is_ok(), good, "{rates:?}");
        }
        let far = Policy { history_seconds: Some(u64::MAX), ..Policy::default() };
        assert_eq!(check(&far).unwrap_err().0, "history_seconds");
        for (bytes, good) in [(0, false), (1, true), (5_368_709_120, true), (5_368_709_121, false)] {
            let policy = Policy { max_file_bytes: Some(bytes), ..Policy::default() };
            assert_eq!(check(&policy).is_ok(), good, "{bytes}");
        }
        let of = |types: &[&str]| types.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (types, good) in [
            (of(&["image/*", "application/pdf", "*/*"]), true),
            (of(&["image"]), false),
            (of(&["*/png"]), false),
            (of(&["image/a b"]), false),
            (of(&["image/png"; 32]), true),
            (of(&["image/png"; 33]), false),
        ] {
            let policy = Policy { file_types: types.clone(), ..Policy::default() };
            assert_eq!(check(&policy).is_ok(), good, "{types:?}");
        }
        let restrictions =
            [Audience::Unspecified, Audience::All, Audience::Contacts, Audience::Nobody].map(|audience| {
                let policy = EffectivePolicy::from(&Policy { audience: audience.into(), ..Policy::default() });
                [false, true].map(|to_group| policy.restriction(to_group))
            });
        let nothing = Audience::Unspecified;
        let to_users = [nothing, nothing, Audience::Contacts, nothing];
        assert_eq!(restrictions, to_users.map(|to_user| [to_user, nothing]));
        let unknown = Policy { presence_audience: 77, ..Policy::default() };
        assert_eq!(check(&unknown).unwrap_err().0, "presence_audience");
    }
    #[test]
    fn a_receipt_needs_both_who_asks_for_it_and_who_lets_it_out() {
        use ReceiptRequest::{ReceiptsAll, ReceiptsDelivered, ReceiptsNone, ReceiptsRead};
        let all = EffectivePolicy::default();
        let unread = EffectivePolicy { read_receipts: false, ..all.clone() };
        let silent = EffectivePolicy { delivered_receipts: false, ..unread.clone() };
        for (requested, policy, left) in [
            (ReceiptsAll, &all, ReceiptsAll),
            (ReceiptsRead, &all, ReceiptsRead),
            (ReceiptsAll, &unread, ReceiptsDelivered),
            (ReceiptsRead, &unread, ReceiptsNone),
            (ReceiptsDelivered, &unread, ReceiptsDelivered),
            (ReceiptsAll, &silent, ReceiptsNone),
            (ReceiptsNone, &all, ReceiptsNone),
        ] {
            assert_eq!(policy.receipts_of(requested as i32), left as i32, "{requested:?}");
        }
        assert_eq!(all.receipts_of(99), ReceiptsAll as i32);
    }
}
