//! What policies say to a scheduled message when its time has come. Pure.

use tidings_proto::mailbox::v1::{ReleaseTerms, ScheduledRecord};
use tidings_proto::{EffectivePolicy, ErrorCode, Towards};

/// How a message goes by the policies of its sender (of the system: the app's default) and its recipient (none: a
/// group), or why it may not go. Where something was narrower when it was scheduled, it stays so; among whom the
/// recipient has to be is what it is now.
pub fn terms(
    waits: &ScheduledRecord,
    by_system: bool,
    sender: &EffectivePolicy,
    recipient: Option<&EffectivePolicy>,
) -> Result<ReleaseTerms, ErrorCode> {
    let message = waits.message.clone().unwrap_or_default();
    if !by_system {
        let towards = match waits.to_group {
            true => Towards::Group,
            false => Towards::of(&message.from, &message.to, ""),
        };
        sender.may_write(towards).map_err(|(code, _)| code)?;
        if message.content.len() > sender.max_message_bytes as usize {
            return Err(ErrorCode::TooLarge);
        }
    }
    let kept_ms = |policy: &EffectivePolicy| policy.history_seconds.saturating_mul(1000);
    let inbox_limit = recipient.map_or(0, |recipient| match message.inbox_limit {
        0 => recipient.inbox_entries,
        limit => limit.min(recipient.inbox_entries),
    });
    Ok(ReleaseTerms {
        receipts: recipient.map_or(message.receipts, |recipient| recipient.receipts_of(message.receipts)),
        inbox_limit,
        retention_ms: message.retention_ms.min(kept_ms(recipient.unwrap_or(sender))),
        sender_retention_ms: message.sender_retention_ms.min(kept_ms(sender)),
        audience: sender.restriction(by_system || waits.to_group).into(),
    })
}

#[cfg(test)]
mod tests {
    use tidings_proto::mailbox::v1::AppendMessage;
    use tidings_proto::message::v1::ReceiptRequest;
    use tidings_proto::policy::v1::Audience;

    use super::*;

    fn waits(to_group: bool) -> ScheduledRecord {
        let message = AppendMessage {
            from: "alice".to_owned(),
            to: "bob".to_owned(),
            content: vec![0; 10].into(),
            inbox_limit: 7,
            retention_ms: 5_000,
            sender_retention_ms: 5_000,
            ..AppendMessage::default()
        };
        ScheduledRecord { message: Some(message), to_group, ..ScheduledRecord::default() }
    }

    #[test]
    fn the_narrower_of_then_and_now_holds() {
        let sender = EffectivePolicy { history_seconds: 3, ..EffectivePolicy::default() };
        let recipient = EffectivePolicy { history_seconds: 9, read_receipts: false, ..EffectivePolicy::default() };
        let terms_of = |recipient| terms(&waits(false), false, &sender, Some(recipient)).unwrap();
        let expected = ReleaseTerms {
            receipts: ReceiptRequest::ReceiptsDelivered.into(),
            inbox_limit: 7,
            retention_ms: 5_000,
            sender_retention_ms: 3_000,
            audience: Audience::Unspecified.into(),
        };
        assert_eq!(terms_of(&recipient), expected);
        let shy = EffectivePolicy { audience: Audience::Paired, ..sender.clone() };
        let audiences = [(false, false), (true, false), (false, true)].map(|(to_group, by_system)| {
            terms(&waits(to_group), by_system, &shy, Some(&recipient)).unwrap().audience()
        });
        assert_eq!(audiences, [Audience::Paired, Audience::Unspecified, Audience::Unspecified]);
        assert_eq!(terms_of(&EffectivePolicy { inbox_entries: 3, ..recipient.clone() }).inbox_limit, 3);
        let in_group = terms(&waits(true), false, &sender, None).unwrap();
        assert_eq!((in_group.retention_ms, in_group.inbox_limit), (3_000, 0));
    }

    #[test]
    fn who_may_not_send_any_more_does_not_and_the_system_always_may() {
        let all = EffectivePolicy::default();
        let cases = [
            (false, EffectivePolicy { messages: false, ..all.clone() }, ErrorCode::FeatureOff),
            (true, EffectivePolicy { groups: false, ..all.clone() }, ErrorCode::FeatureOff),
            (false, EffectivePolicy { audience: Audience::Nobody, ..all.clone() }, ErrorCode::RefusedByPolicy),
            (true, EffectivePolicy { max_message_bytes: 9, ..all.clone() }, ErrorCode::TooLarge),
        ];
        for (to_group, policy, code) in cases {
            let recipient = (!to_group).then_some(&all);
            assert_eq!(terms(&waits(to_group), false, &policy, recipient), Err(code));
            assert!(terms(&waits(to_group), true, &policy, recipient).is_ok());
        }
        let in_groups = EffectivePolicy { messages: false, audience: Audience::Nobody, ..all.clone() };
        assert!(terms(&waits(true), false, &in_groups, None).is_ok(), "there its members say it");
        let edge = EffectivePolicy { max_message_bytes: 10, ..all };
        assert!(terms(&waits(true), false, &edge, None).is_ok());
    }
}
