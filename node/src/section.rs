//! Finds out which keys a section's type knows, without an instance of it: derived `Deserialize` names its fields
//! before it reads any.

use serde::de::{self, DeserializeOwned, Visitor};

/// The names of the fields of `T`, or `None` where it takes any key (a map, or a flattened struct).
pub(crate) fn known_keys<T: DeserializeOwned>() -> Option<&'static [&'static str]> {
    match T::deserialize(FieldProbe) {
        Err(Probed::Fields(fields)) => Some(fields),
        _ => None,
    }
}

struct FieldProbe;

#[derive(Debug)]
enum Probed {
    Fields(&'static [&'static str]),
    Other,
}

impl std::fmt::Display for Probed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a probe for field names")
    }
}

impl std::error::Error for Probed {}

impl de::Error for Probed {
    fn custom<M: std::fmt::Display>(_: M) -> Self {
        Self::Other
    }
}

impl<'de> de::Deserializer<'de> for FieldProbe {
    type Error = Probed;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Probed> {
        Err(Probed::Other)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Probed> {
        Err(Probed::Fields(fields))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_struct_names_its_fields_and_a_map_does_not() {
        #[derive(serde::Deserialize)]
        #[allow(dead_code)]
        struct Example {
            first: u32,
            #[serde(rename = "other")]
            second: u32,
        }
        assert_eq!(known_keys::<Example>(), Some(["first", "other"].as_slice()));
        assert_eq!(known_keys::<std::collections::BTreeMap<String, String>>(), None);
    }
}
