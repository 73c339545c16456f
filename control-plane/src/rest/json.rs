//! Messages in protobuf's JSON mapping, by their descriptors. Fields with their default value are written too, so that
//! a reader need not know the defaults.

use prost_reflect::{DynamicMessage, SerializeOptions};

/// What is sent and taken.
pub const MEDIA_TYPE: &str = "application/json";

/// One line of JSON.
pub fn write(message: &DynamicMessage) -> serde_json::Result<Vec<u8>> {
    let options = SerializeOptions::new().skip_default_fields(false);
    let mut text = Vec::new();
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut text), &options)?;
    text.push(b'\n');
    Ok(text)
}
