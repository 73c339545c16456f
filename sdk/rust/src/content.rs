//! What a message can say beside plain text: whom it speaks of, a place, a question with answers to choose from, and
//! the application's own fields.

use tidings_proto::message::v1::{Content, FieldValue, Location, Mention, Message, Poll, PollOption, field_value};

use crate::client::Change;

/// A text that speaks of users: each `@` and id of one of them, not followed by more of an id, is a mention.
pub fn mentioning(text: impl Into<String>, users: &[&str]) -> Content {
    let text = text.into();
    let mut mentions = Vec::new();
    for (at, _) in text.match_indices('@') {
        let behind = &text[at + 1..];
        let is_named = |user: &&&str| {
            behind.strip_prefix(**user).is_some_and(|rest| !rest.starts_with(|sign: char| sign.is_alphanumeric()))
        };
        // Of `ann` and `ann.lee` it is the longer one.
        if let Some(user) = users.iter().filter(is_named).max_by_key(|user| user.len())
            && let (Ok(start), Ok(length)) = (u32::try_from(at), u32::try_from(user.len() + 1))
        {
            mentions.push(Mention { user: (*user).to_owned(), start, length });
        }
    }
    Content { text, mentions, ..Content::default() }
}

/// A place, in degrees; `None` when there is no such place.
pub fn location(latitude: f64, longitude: f64) -> Option<Location> {
    let is_on_earth = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
    let e7 = |degrees: f64| (degrees * 1e7).round() as i32;
    is_on_earth.then(|| Location { latitude_e7: e7(latitude), longitude_e7: e7(longitude), ..Location::default() })
}

/// A place that moves until a time (Unix ms): each new one is sent as [`Change::edit`] of the message.
pub fn live_location(latitude: f64, longitude: f64, until_ms: i64) -> Option<Location> {
    location(latitude, longitude).map(|location| Location { live_until_ms: until_ms, ..location })
}

/// A question, of whose answers each user may choose one. The options' ids are `1`, `2`, and so on.
pub fn poll<'a>(question: impl Into<String>, options: impl IntoIterator<Item = &'a str>) -> Content {
    let option = |(id, text): (u32, &str)| PollOption { id: id.to_string(), text: text.to_owned() };
    let options = (1..).zip(options).map(option).collect();
    let question = question.into();
    Content { poll: Some(Poll { question, options, ..Poll::default() }), ..Content::default() }
}

/// A vote for an option; [`Change::off`] takes it back.
pub fn vote(option: impl Into<String>) -> Change {
    Change::react(option)
}

/// Who voted for each option of a message's poll, in the order of the options; nothing when it has none.
pub fn votes(message: &Message) -> Vec<(PollOption, Vec<String>)> {
    let Some(poll) = message.content.as_ref().and_then(|content| content.poll.as_ref()) else { return Vec::new() };
    let mut votes: Vec<(PollOption, Vec<String>)> =
        poll.options.iter().map(|option| (option.clone(), Vec::new())).collect();
    for reaction in &message.reactions {
        let cast = votes.iter().filter(|(_, voters)| voters.contains(&reaction.from)).count();
        let is_late = poll.closes_at_ms != 0 && reaction.at_ms > poll.closes_at_ms;
        if is_late || cast >= poll.choices.max(1) as usize {
            continue;
        }
        let option = votes.iter_mut().find(|(option, _)| option.id == reaction.emoji);
        if let Some((_, voters)) = option {
            voters.push(reaction.from.clone());
        }
    }
    votes
}

/// The same with typed fields of the application's own, such as `("seats", 5.into())`, or a time by
/// [`FieldValue::time_ms`]. What is text goes into [`Content::fields`]; a name is in one of the two.
pub fn with_values<'a>(mut content: Content, values: impl IntoIterator<Item = (&'a str, FieldValue)>) -> Content {
    content.values.extend(values.into_iter().map(|(name, value)| (name.to_owned(), value)));
    content
}

/// The typed field of a name.
pub fn value<'a>(content: &'a Content, name: &str) -> Option<&'a field_value::Value> {
    content.values.get(name)?.value.as_ref()
}

#[cfg(test)]
mod tests {
    use tidings_proto::message::v1::Reaction;

    use super::*;

    #[test]
    fn mentions_stand_where_the_ids_do() {
        let content = mentioning("é @ann.lee, @ann! @annette @bob", &["ann", "ann.lee", "bob"]);
        let named: Vec<_> = content
            .mentions
            .iter()
            .map(|it| (it.user.as_str(), &content.text[it.start as usize..(it.start + it.length) as usize]))
            .collect();
        assert_eq!(named, [("ann.lee", "@ann.lee"), ("ann", "@ann"), ("bob", "@bob")]);
    }

    #[test]
    fn places_are_on_earth() {
        let place = location(-33.856_784_4, 151.215_296_7).unwrap();
        assert_eq!((place.latitude_e7, place.longitude_e7), (-338_567_844, 1_512_152_967));
        assert!(location(90.0, -180.0).is_some());
        assert!(location(90.1, 0.0).is_none() && location(0.0, 180.1).is_none() && location(f64::NAN, 0.0).is_none());
    }

    #[test]
    fn typed_fields_are_found_by_their_names() {
        let content = with_values(mentioning("@bob", &["bob"]), [("seats", 5.into()), ("paid", true.into())]);
        assert_eq!((content.mentions.len(), content.values.len()), (1, 2));
        assert_eq!(value(&content, "seats"), Some(&field_value::Value::Integer(5)));
        assert_eq!(value(&content, "paid"), Some(&field_value::Value::Boolean(true)));
        assert_eq!(value(&content, "none"), None);
    }

    #[test]
    fn votes_are_counted_as_far_as_they_count() {
        let reaction = |from: &str, emoji: &str, at_ms| Reaction { from: from.into(), emoji: emoji.into(), at_ms };
        let mut content = poll("Lunch?", ["noon", "one"]);
        content.poll.as_mut().unwrap().closes_at_ms = 10;
        let cast = [("ann", "1", 1), ("ann", "2", 2), ("bob", "+1", 3), ("bob", "2", 10), ("carol", "2", 11)];
        let reactions = cast.map(|(from, emoji, at_ms)| reaction(from, emoji, at_ms)).to_vec();
        let mut message = Message { content: Some(content), reactions, ..Message::default() };
        let counted = |message: &Message| votes(message).into_iter().map(|(_, voters)| voters).collect::<Vec<_>>();
        assert_eq!(counted(&message), [vec!["ann".to_owned()], vec!["bob".to_owned()]]);
        message.content.as_mut().unwrap().poll.as_mut().unwrap().choices = 2;
        assert_eq!(counted(&message)[1], ["ann", "bob"]);
        assert!(votes(&Message::default()).is_empty());
    }
}
