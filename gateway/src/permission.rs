//! What a policy says to a message, before it is counted. Pure.

use prost::Message as _;
use tidings_proto::attachments::check as check_attachments;
use tidings_proto::client::v1::Send;
use tidings_proto::message::v1::{Change, Content, change};
use tidings_proto::policy::v1::Audience;
use tidings_proto::values::check as check_values;
use tidings_proto::{EffectivePolicy, ErrorCode, Towards, disappearance};

/// Bytes of what tells that a message takes the place of an earlier one.
const MAX_CONFLATION_KEY: usize = 64;

/// Why a message is refused for good.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Forbidden {
    pub code: ErrorCode,
    pub message: String,
}

/// Whether `user`, who goes by `policy`, may send this through a gateway that takes `max_content_bytes`.
pub(crate) fn to_send(
    policy: &EffectivePolicy,
    user: &str,
    send: &Send,
    max_content_bytes: u32,
) -> Result<(), Forbidden> {
    let forbidden = |code, message: &str| Err(Forbidden { code, message: message.to_owned() });
    if let Err((code, message)) = policy.may_write(Towards::of(user, &send.to, &send.group)) {
        return forbidden(code, message);
    }
    if let Some(content) = content_of(send) {
        attachments(policy, content)?;
        check_values(content).map_err(|message| Forbidden { code: ErrorCode::InvalidArgument, message })?;
    }
    let size = match (&send.content, &send.change) {
        (Some(content), None) => content.encoded_len(),
        (None, Some(change)) if send.ttl_ms.is_none() => change.encoded_len(),
        _ => return forbidden(ErrorCode::InvalidArgument, "a Send has content, or a change and no ttl_ms"),
    };
    let is_plain = send.change.is_none() && send.ttl_ms != Some(0);
    if send.deliver_at_ms < 0 || (send.deliver_at_ms > 0 && !is_plain) {
        return forbidden(ErrorCode::InvalidArgument, "a message that is stored is scheduled, for a time after 1970");
    }
    if let Some(disappears) = &send.disappears {
        let is_stored = send.change.is_none() && send.ttl_ms != Some(0);
        if !is_stored || !disappearance::is_valid(disappears) {
            let message = "a stored message disappears, after 1 ms to ten years, from a start that is known";
            return forbidden(ErrorCode::InvalidArgument, message);
        }
    }
    if !send.conflation_key.is_empty() && (send.ttl_ms != Some(0) || send.conflation_key.len() > MAX_CONFLATION_KEY) {
        let message = "a conflation_key has at most 64 bytes, and goes with a ttl_ms of 0";
        return forbidden(ErrorCode::InvalidArgument, message);
    }
    let most = max_content_bytes.min(policy.max_message_bytes);
    if size > most as usize {
        let message = format!("the content has {size} bytes, at most {most} are taken");
        return Err(Forbidden { code: ErrorCode::TooLarge, message });
    }
    Ok(())
}

/// What a send says, or an edit says in the place of what was said.
pub(crate) fn content_of(send: &Send) -> Option<&Content> {
    send.content.as_ref().or_else(|| send.change.as_ref()?.content.as_ref())
}

fn attachments(policy: &EffectivePolicy, content: &Content) -> Result<(), Forbidden> {
    if let Err(message) = check_attachments(content) {
        return Err(Forbidden { code: ErrorCode::InvalidArgument, message });
    }
    if !policy.files && !content.attachments.is_empty() {
        let message = "files are switched off for this user".to_owned();
        return Err(Forbidden { code: ErrorCode::FeatureOff, message });
    }
    Ok(())
}

/// How long a message is kept, and how long after it its sender may change it, in ms; and for whom it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// In the recipient's history.
    pub retention_ms: u64,
    /// In the sender's.
    pub sender_retention_ms: u64,
    pub change_window_ms: u64,
    /// Among whom the recipient has to be for the sender.
    pub audience: Audience,
}

/// What the policies of both say to a message, or to a change of one; without a recipient it is for a group.
pub(crate) fn terms(sender: &EffectivePolicy, recipient: Option<&EffectivePolicy>, change: Option<&Change>) -> Terms {
    let window_seconds = match change.map(Change::kind) {
        None => 0,
        Some(change::Kind::Edit) => sender.edit_window_seconds,
        Some(_) => sender.recall_window_seconds,
    };
    Terms {
        retention_ms: recipient.unwrap_or(sender).history_seconds.saturating_mul(1000),
        sender_retention_ms: sender.history_seconds.saturating_mul(1000),
        change_window_ms: u64::from(window_seconds) * 1000,
        audience: sender.restriction(recipient.is_none()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_proto::message::v1::{Attachment, Disappearance};

    fn send(text_bytes: usize) -> Send {
        let content = Some(Content { text: "x".repeat(text_bytes), ..Content::default() });
        Send { content, ..Send::default() }
    }

    fn refusal(policy: &EffectivePolicy, send: &Send) -> Option<ErrorCode> {
        to_send(policy, "alice", send, 1_000).err().map(|forbidden| forbidden.code)
    }

    #[test]
    fn each_refusal_has_its_reason() {
        let all = EffectivePolicy::default();
        assert_eq!(refusal(&all, &send(5)), None);
        assert_eq!(refusal(&all, &Send::default()), Some(ErrorCode::InvalidArgument));
        let to_group = Send { group: "team".to_owned(), ..send(5) };
        let no_groups = EffectivePolicy { groups: false, ..all.clone() };
        assert_eq!(refusal(&no_groups, &to_group), Some(ErrorCode::FeatureOff));
        assert_eq!((refusal(&no_groups, &send(5)), refusal(&all, &to_group)), (None, None));
        let note = Send { to: "alice".to_owned(), ..send(5) };
        let off = EffectivePolicy { messages: false, ..all.clone() };
        let refusals = [&send(5), &note, &to_group].map(|send| refusal(&off, send));
        assert_eq!(refusals, [Some(ErrorCode::FeatureOff), Some(ErrorCode::FeatureOff), None]);
        let silent = EffectivePolicy { audience: Audience::Nobody, ..all };
        let refusals = [&send(5), &note, &to_group].map(|send| refusal(&silent, send));
        assert_eq!(refusals, [Some(ErrorCode::RefusedByPolicy), None, None]);
    }

    #[test]
    fn a_change_stands_in_place_of_content_and_is_stored() {
        let all = EffectivePolicy::default();
        let change = Send { change: Some(Change::default()), ..Send::default() };
        assert_eq!(refusal(&all, &change), None);
        for nonsense in [Send { ttl_ms: Some(0), ..change.clone() }, Send { change: change.change.clone(), ..send(5) }]
        {
            assert_eq!(refusal(&all, &nonsense), Some(ErrorCode::InvalidArgument));
        }
        let content = Some(Content { text: "x".repeat(1_000), ..Content::default() });
        let large = Send { change: Some(Change { content, ..Change::default() }), ..Send::default() };
        assert_eq!(refusal(&all, &large), Some(ErrorCode::TooLarge));
    }

    #[test]
    fn attachments_need_the_feature_and_their_form() {
        let all = EffectivePolicy::default();
        let attachments = vec![Attachment { url: "https://files.example/1".to_owned(), ..Attachment::default() }];
        let photo = Content { attachments, ..Content::default() };
        let send = Send { content: Some(photo.clone()), ..Send::default() };
        let edit = Send { change: Some(Change { content: Some(photo), ..Change::default() }), ..Send::default() };
        let off = EffectivePolicy { files: false, ..all.clone() };
        for send in [&send, &edit] {
            assert_eq!((refusal(&all, send), refusal(&off, send)), (None, Some(ErrorCode::FeatureOff)));
        }
        let content = Some(Content { attachments: vec![Attachment::default()], ..Content::default() });
        assert_eq!(refusal(&all, &Send { content, ..Send::default() }), Some(ErrorCode::InvalidArgument));
    }

    #[test]
    fn typed_fields_have_their_form_in_messages_and_in_edits() {
        let all = EffectivePolicy::default();
        for (number, outcome) in [(0.5, None), (f64::NAN, Some(ErrorCode::InvalidArgument))] {
            let values = [("n".to_owned(), number.into())].into();
            let content = Some(Content { values, ..Content::default() });
            let edit = Some(Change { content: content.clone(), ..Change::default() });
            for send in [Send { content, ..Send::default() }, Send { change: edit, ..Send::default() }] {
                assert_eq!(refusal(&all, &send), outcome);
            }
        }
    }

    #[test]
    fn what_disappears_is_a_stored_message_and_has_a_time() {
        let all = EffectivePolicy::default();
        let after =
            |after_ms| Send { disappears: Some(Disappearance { after_ms, ..Disappearance::default() }), ..send(5) };
        let most = disappearance::MAX_AFTER_MS;
        let edges = [0, 1, most, most + 1].map(|ms| refusal(&all, &after(ms)));
        assert_eq!(edges, [Some(ErrorCode::InvalidArgument), None, None, Some(ErrorCode::InvalidArgument)]);
        assert_eq!(refusal(&all, &Send { group: "team".to_owned(), ..after(1) }), None);
        let change = Send { change: Some(Change::default()), content: None, ..after(1) };
        for nonsense in [change, Send { ttl_ms: Some(0), ..after(1) }] {
            assert_eq!(refusal(&all, &nonsense), Some(ErrorCode::InvalidArgument));
        }
    }

    #[test]
    fn only_what_is_stored_nowhere_is_conflated_by_a_short_key() {
        let all = EffectivePolicy::default();
        let keyed = |bytes, ttl_ms| Send { conflation_key: "k".repeat(bytes), ttl_ms, ..send(5) };
        let edges = [keyed(64, Some(0)), keyed(65, Some(0)), keyed(1, None), keyed(1, Some(1))];
        let refused = Some(ErrorCode::InvalidArgument);
        assert_eq!(edges.map(|send| refusal(&all, &send)), [None, refused, refused, refused]);
    }

    #[test]
    fn what_is_stored_can_be_scheduled() {
        let all = EffectivePolicy::default();
        let at = |deliver_at_ms| Send { deliver_at_ms, ..send(5) };
        assert_eq!([0, 1, i64::MAX].map(|ms| refusal(&all, &at(ms))), [None, None, None]);
        let change = Send { change: Some(Change::default()), content: None, ..at(1) };
        for nonsense in [at(-1), change, Send { ttl_ms: Some(0), ..at(1) }] {
            assert_eq!(refusal(&all, &nonsense), Some(ErrorCode::InvalidArgument));
        }
    }

    #[test]
    fn each_side_keeps_for_its_own_time_and_each_kind_of_change_has_its_window() {
        let sender = EffectivePolicy {
            history_seconds: 1,
            edit_window_seconds: 2,
            recall_window_seconds: 3,
            ..EffectivePolicy::default()
        };
        let recipient = EffectivePolicy { history_seconds: 4, ..sender.clone() };
        let kept = Terms { retention_ms: 4_000, sender_retention_ms: 1_000, ..Terms::default() };
        assert_eq!(terms(&sender, Some(&recipient), None), kept);
        assert_eq!(terms(&sender, None, None), Terms { retention_ms: 1_000, ..kept });
        for (kind, window) in [(change::Kind::Edit, 2_000), (change::Kind::Recall, 3_000), (change::Kind::Wipe, 3_000)]
        {
            let change = Change { kind: kind.into(), ..Change::default() };
            assert_eq!(terms(&sender, Some(&recipient), Some(&change)).change_window_ms, window);
        }
        let shy = EffectivePolicy { audience: Audience::Contacts, ..sender };
        let audiences = [terms(&shy, Some(&recipient), None), terms(&shy, None, None)].map(|terms| terms.audience);
        assert_eq!(audiences, [Audience::Contacts, Audience::Unspecified], "members of groups are not asked");
    }

    #[test]
    fn the_smaller_of_the_gateways_and_the_policys_size_holds_at_the_edge_and_one_beyond() {
        // A text of 97 bytes is a content of 99.
        let small = EffectivePolicy { max_message_bytes: 99, ..EffectivePolicy::default() };
        assert_eq!((refusal(&small, &send(97)), refusal(&small, &send(98))), (None, Some(ErrorCode::TooLarge)));
        let large = EffectivePolicy { max_message_bytes: 1 << 20, ..EffectivePolicy::default() };
        assert_eq!((refusal(&large, &send(997)), refusal(&large, &send(998))), (None, Some(ErrorCode::TooLarge)));
    }
}
