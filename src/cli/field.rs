//! An application's own fields on the command line: `lang=en` is text, and `seats=integer:5` a value of a type.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidings_sdk::field_value::Value;
use tidings_sdk::{Content, FieldValue};

use super::moment;

/// Reads a field of text: `name=text`.
pub fn parse_text(given: &str) -> Result<(String, String), String> {
    let (name, text) = given.split_once('=').ok_or_else(|| format!("{given} is no field, such as lang=en"))?;
    Ok((name.to_owned(), text.to_owned()))
}

/// Reads a typed field: `name=type:value`.
pub fn parse_value(given: &str) -> Result<(String, FieldValue), String> {
    let parts = given.split_once('=').and_then(|(name, typed)| Some((name, typed.split_once(':')?)));
    let (name, (of_type, text)) = parts.ok_or_else(|| format!("{given} is no typed field, such as seats=integer:5"))?;
    let value = match of_type {
        "integer" => text.parse().ok().map(Value::Integer),
        "number" => text.parse().ok().map(Value::Number),
        "boolean" => text.parse().ok().map(Value::Boolean),
        "data" => STANDARD.decode(text).ok().map(Value::Data),
        "time" => moment::parse(text).ok().map(|moment| Value::TimeMs(moment.at_ms())),
        other => return Err(format!("{other} is none of the types integer, number, boolean, data (base64) and time")),
    };
    let value = value.ok_or_else(|| format!("{text} is no value of the type {of_type}"))?;
    Ok((name.to_owned(), value.into()))
}

/// All fields of a message, for people; empty where it has none.
pub fn said(content: &Content) -> String {
    let texts = content.fields.iter().map(|(name, text)| format!("{name}: {text}"));
    let values = content.values.iter().map(|(name, value)| format!("{name}: {}", shown(value)));
    let fields: Vec<_> = texts.chain(values).collect();
    if fields.is_empty() { String::new() } else { format!("{{{}}}", fields.join(", ")) }
}

fn shown(value: &FieldValue) -> String {
    match &value.value {
        Some(Value::Integer(integer)) => integer.to_string(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Boolean(boolean)) => boolean.to_string(),
        Some(Value::Data(data)) => format!("({} bytes)", data.len()),
        Some(Value::TimeMs(at_ms)) => moment::text(*at_ms),
        None => "(unknown)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_by_their_types_and_shown() {
        let given = ["seats=integer:-5", "price=number:0.5", "paid=boolean:true", "key=data:AQI=", "a=integer:5"];
        let mut values: Vec<_> = given.map(|one| parse_value(one).unwrap()).into();
        values.push(parse_value("from=time:2027-01-01T08:00:00Z").unwrap());
        let fields = [parse_text("lang=en=gb").unwrap()].into();
        let content = Content { fields, values: values.into_iter().collect(), ..Content::default() };
        let told = "{lang: en=gb, a: 5, from: 2027-01-01T08:00:00Z, key: (2 bytes), paid: true, price: 0.5, seats: -5}";
        assert_eq!(said(&content), told);
        assert_eq!(said(&Content::default()), "");
        for at_ms in [i64::MIN, i64::MAX] {
            assert!(!shown(&FieldValue::time_ms(at_ms)).is_empty(), "what others sent is shown somehow");
        }
    }

    #[test]
    fn what_is_no_field_is_refused() {
        let nonsense =
            ["", "a", "a=", "a=5", "a=integer:", "a=integer:0.5", "a=boolean:yes", "a=data:?", "a=time:1", "a=text:b"];
        for given in nonsense {
            assert!(parse_value(given).is_err(), "{given}");
        }
        assert!(parse_text("lang").is_err());
    }
}
