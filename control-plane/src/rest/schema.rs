//! Messages as JSON Schema (2020-12), the dialect of OpenAPI 3.1: what the JSON mapping of protobuf makes of them.

use std::collections::{BTreeMap, HashMap};

use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value as Json, json};

/// The schemas of all messages and enums that were asked for, and of those that they hold.
pub struct Schemas {
    comments: Comments,
    made: BTreeMap<String, Json>,
}

impl Schemas {
    /// None yet.
    pub fn new(pool: &DescriptorPool) -> Self {
        Self { comments: Comments::of(pool), made: BTreeMap::new() }
    }

    /// Comments of the contracts.
    pub fn comments(&self) -> &Comments {
        &self.comments
    }

    /// The schemas by name.
    pub fn into_components(self) -> Json {
        json!(self.made)
    }

    /// A reference to a message, or what the mapping has for a well-known one.
    pub fn message(&mut self, message: &MessageDescriptor) -> Json {
        if let Some(known) = well_known(message.full_name()) {
            return known;
        }
        let name = message.name().to_owned();
        if !self.made.contains_key(&name) {
            // Before its fields, because a message may hold itself.
            self.made.insert(name.clone(), Json::Null);
            let fields: Vec<_> = message.fields().collect();
            let properties: Map<_, _> =
                fields.iter().map(|field| (field.json_name().to_owned(), self.field(field))).collect();
            let mut schema = json!({ "type": "object", "properties": properties });
            self.comments.describe(&mut schema, &message.parent_file(), message.path());
            self.made.insert(name.clone(), schema);
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// A field, with its comment.
    pub fn field(&mut self, field: &FieldDescriptor) -> Json {
        let mut schema = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                json!({ "type": "object", "additionalProperties": self.kind(&entry.map_entry_value_field().kind()) })
            }
            kind if field.is_list() => json!({ "type": "array", "items": self.kind(&kind) }),
            kind => self.kind(&kind),
        };
        self.comments.describe(&mut schema, &field.parent_file(), field.path());
        schema
    }

    fn kind(&mut self, kind: &Kind) -> Json {
        match kind {
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Double => json!({ "type": "number", "format": "double" }),
            Kind::Float => json!({ "type": "number", "format": "float" }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({ "type": "integer", "format": "int32" }),
            Kind::Uint32 | Kind::Fixed32 => json!({ "type": "integer", "format": "uint32", "minimum": 0 }),
            // As text, because a number of JSON holds 53 bits in most languages.
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({ "type": "string", "format": "int64" }),
            Kind::Uint64 | Kind::Fixed64 => json!({ "type": "string", "format": "uint64" }),
            Kind::Message(message) => self.message(message),
            Kind::Enum(names) => self.names(names),
        }
    }

    fn names(&mut self, names: &EnumDescriptor) -> Json {
        let name = names.name().to_owned();
        if !self.made.contains_key(&name) {
            let values: Vec<_> = names.values().map(|value| value.name().to_owned()).collect();
            let mut schema = json!({ "type": "string", "enum": values });
            self.comments.describe(&mut schema, &names.parent_file(), names.path());
            self.made.insert(name.clone(), schema);
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }
}

fn well_known(full_name: &str) -> Option<Json> {
    match full_name {
        "google.protobuf.Timestamp" => Some(json!({ "type": "string", "format": "date-time" })),
        "google.protobuf.FieldMask" => {
            Some(json!({ "type": "string", "description": "Names of fields, separated by commas." }))
        }
        _ => None,
    }
}

/// The comments before messages, fields, services and methods.
pub struct Comments(HashMap<String, HashMap<Vec<i32>, String>>);

impl Comments {
    fn of(pool: &DescriptorPool) -> Self {
        let of_file = |file: FileDescriptor| {
            let source = file.file_descriptor_proto().source_code_info.clone().unwrap_or_default();
            let commented = source.location.into_iter().filter_map(|location| {
                let lines: Vec<_> = location.leading_comments?.lines().map(|line| line.trim().to_owned()).collect();
                Some((location.path, lines.join(" ").trim().to_owned()))
            });
            (file.name().to_owned(), commented.collect())
        };
        Self(pool.files().map(of_file).collect())
    }

    /// What stands before the thing at a path of a file; empty where nothing does.
    pub fn at(&self, file: &FileDescriptor, path: &[i32]) -> &str {
        self.0.get(file.name()).and_then(|comments| comments.get(path)).map_or("", String::as_str)
    }

    /// Adds the comment, where there is one.
    pub fn describe(&self, schema: &mut Json, file: &FileDescriptor, path: &[i32]) {
        let comment = self.at(file, path);
        if !comment.is_empty() {
            schema["description"] = json!(comment);
        }
    }
}
