//! A message's typed fields: values made from what they hold, and their form, which a gateway and the control plane
//! check before they take a message.

use crate::message::v1::field_value::Value;
use crate::message::v1::{Content, FieldValue};

/// Typed fields of one message, at most.
pub const MAX_VALUES: usize = 100;
/// Bytes of a field's name, at most.
pub const MAX_NAME_BYTES: usize = 63;

/// Whether all typed fields have the form that they should; the error is a sentence.
pub fn check(content: &Content) -> Result<(), String> {
    let count = content.values.len();
    if count > MAX_VALUES {
        return Err(format!("the message has {count} typed fields, more than {MAX_VALUES}"));
    }
    for (name, FieldValue { value }) in &content.values {
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
            return Err(format!("a field's name has 1 to {MAX_NAME_BYTES} bytes and no control characters"));
        }
        if content.fields.contains_key(name) {
            return Err(format!("the field {name:?} is in fields and in values"));
        }
        match value {
            None => return Err(format!("the field {name:?} has no value of a type that is known")),
            Some(Value::Number(number)) if !number.is_finite() => {
                return Err(format!("the field {name:?} is {number}, which JSON has no number for"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

impl FieldValue {
    /// A time; Unix ms.
    pub fn time_ms(at_ms: i64) -> Self {
        Value::TimeMs(at_ms).into()
    }
}

impl From<Value> for FieldValue {
    fn from(value: Value) -> Self {
        Self { value: Some(value) }
    }
}

impl From<i64> for FieldValue {
    fn from(integer: i64) -> Self {
        Value::Integer(integer).into()
    }
}

impl From<f64> for FieldValue {
    fn from(number: f64) -> Self {
        Value::Number(number).into()
    }
}

impl From<bool> for FieldValue {
    fn from(boolean: bool) -> Self {
        Value::Boolean(boolean).into()
    }
}

impl From<Vec<u8>> for FieldValue {
    fn from(data: Vec<u8>) -> Self {
        Value::Data(data).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: impl Into<FieldValue>) -> Content {
        let values = [(name.to_owned(), value.into())].into();
        Content { values, ..Content::default() }
    }

    #[test]
    fn bounds_hold_at_the_edge_and_one_beyond() {
        let named = |bytes: usize| check(&with(&"n".repeat(bytes), 1)).is_ok();
        assert_eq!([0, 1, 63, 64].map(named), [false, true, true, false]);
        let many = |count: usize| Content {
            values: (0..count).map(|number| (number.to_string(), FieldValue::from(true))).collect(),
            ..Content::default()
        };
        assert!(check(&many(100)).is_ok() && check(&many(101)).is_err());
        assert!(check(&with("a\nb", 1)).is_err());
    }

    #[test]
    fn every_field_has_one_value_that_all_encodings_carry() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(check(&with("n", number)).unwrap_err().contains("JSON"), "{number}");
        }
        let edges: [FieldValue; 8] = [
            f64::MAX.into(),
            f64::MIN_POSITIVE.into(),
            i64::MIN.into(),
            i64::MAX.into(),
            false.into(),
            Vec::new().into(),
            FieldValue::time_ms(i64::MIN),
            (-0.0).into(),
        ];
        for value in edges {
            let content = with("n", value);
            assert_eq!(check(&content), Ok(()));
            let json = serde_json::to_string(&content).unwrap();
            assert_eq!(serde_json::from_str::<Content>(&json).unwrap(), content, "{json}");
        }
        assert!(check(&with("n", FieldValue::default())).is_err());
        let twice = Content { fields: [("n".to_owned(), "1".to_owned())].into(), ..with("n", 1) };
        assert!(check(&twice).unwrap_err().contains("in fields and in values"));
    }
}
