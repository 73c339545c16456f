//! The document that describes REST/JSON: OpenAPI 3.1, made from the same rules that serve it.

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind};
use serde_json::{Map, Value as Json, json};

use super::json::MEDIA_TYPE;
use super::rules::{self, Body, Rule, Rules};
use super::schema::Schemas;
use super::template::place;

const DESCRIPTION: &str = "What backends and operators call, the same as over gRPC. Fields that are absent have their \
    default; 64-bit numbers are text; bytes are base64; times are RFC 3339.";

/// The document.
pub fn document(pool: &DescriptorPool, rules: &Rules) -> Json {
    let mut schemas = Schemas::new(pool);
    let error = pool.get_message_by_name("tidings.errors.v1.Error").map(|error| schemas.message(&error));
    let mut paths = Map::new();
    for rule in rules.iter() {
        let operations = paths.entry(rule.template.in_openapi()).or_insert_with(|| json!({}));
        operations[rule.verb.as_str().to_lowercase()] = operation(&mut schemas, rule);
    }
    let tags: Vec<_> = rules::services(pool)
        .map(|service| {
            let mut tag = json!({ "name": service.name() });
            schemas.comments().describe(&mut tag, &service.parent_file(), service.path());
            tag
        })
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Tidings", "version": env!("CARGO_PKG_VERSION"), "description": DESCRIPTION },
        "security": [{ "key": [] }],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer", "description": "An API key." } },
            "responses": { "Error": { "description": "Refused.", "content": { MEDIA_TYPE: { "schema": error } } } },
            "schemas": schemas.into_components(),
        },
    })
}

fn operation(schemas: &mut Schemas, rule: &Rule) -> Json {
    let method = &rule.method;
    let answer = schemas.message(&method.output());
    let mut operation = json!({
        "operationId": format!("{}{}", method.name()[..1].to_lowercase(), &method.name()[1..]),
        "tags": [method.parent_service().name()],
        "responses": {
            "200": { "description": "Done.", "content": { MEDIA_TYPE: { "schema": answer } } },
            "default": { "$ref": "#/components/responses/Error" },
        },
    });
    schemas.comments().describe(&mut operation, &method.parent_file(), method.path());
    let mut parameters: Vec<Json> =
        rule.template.fields().zip(&rule.places).filter_map(|(names, way)| in_path(schemas, names, way)).collect();
    parameters.extend(rule.queries().filter(is_single_text).map(|field| in_query(schemas, &field)));
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    let body = match &rule.body {
        Body::None => None,
        Body::All => Some(schemas.message(&method.input())),
        Body::Field(field) => Some(schemas.field(field)),
    };
    if let Some(schema) = body {
        operation["requestBody"] = json!({ "content": { MEDIA_TYPE: { "schema": schema } } });
    }
    operation
}

fn in_path(schemas: &mut Schemas, names: &[String], way: &[FieldDescriptor]) -> Option<Json> {
    let schema = schemas.field(way.last()?);
    Some(json!({ "name": place(names), "in": "path", "required": true, "schema": schema }))
}

fn in_query(schemas: &mut Schemas, field: &FieldDescriptor) -> Json {
    json!({ "name": field.json_name(), "in": "query", "schema": schemas.field(field) })
}

/// What the query can say: single values, lists of them, and messages that are text in JSON.
fn is_single_text(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(message) => !field.is_map() && message.package_name() == "google.protobuf",
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn made() -> Json {
        let pool = DescriptorPool::decode(tidings_proto::DESCRIPTORS).unwrap();
        document(&pool, &Rules::of(&pool).unwrap())
    }

    #[test]
    fn the_document_in_the_reference_is_current() {
        let written: Json = serde_json::from_str(include_str!("../../../docs/reference/openapi.json")).unwrap();
        assert!(
            written == made(),
            "write it again: scripts/cargo run -p tidings-control-plane --example openapi > docs/reference/openapi.json"
        );
    }

    #[test]
    fn it_says_what_a_call_takes_and_gives() {
        let document = made();
        let update = &document["paths"]["/v1/apps/{app}/users/{id}"]["patch"];
        assert_eq!(update["operationId"], "updateUser");
        let names: Vec<_> =
            update["parameters"].as_array().unwrap().iter().map(|parameter| &parameter["name"]).collect();
        assert_eq!(names, ["app", "id", "updateMask"]);
        assert_eq!(update["requestBody"]["content"][MEDIA_TYPE]["schema"]["$ref"], "#/components/schemas/User");
        assert_eq!(update["description"], "Only the fields in the mask change.");
        let user = &document["components"]["schemas"]["User"]["properties"];
        assert_eq!(user["createdAt"], json!({ "type": "string", "format": "date-time" }));
        assert_eq!(user["attributes"]["additionalProperties"], json!({ "type": "string" }));
    }

    #[test]
    fn no_two_messages_have_one_name() {
        let pool = DescriptorPool::decode(tidings_proto::DESCRIPTORS).unwrap();
        let mut seen = BTreeSet::new();
        let mut todo: Vec<_> =
            Rules::of(&pool).unwrap().iter().flat_map(|rule| [rule.method.input(), rule.method.output()]).collect();
        let mut names = BTreeSet::new();
        while let Some(message) = todo.pop() {
            if seen.insert(message.full_name().to_owned()) {
                let is_new = message.is_map_entry() || names.insert(message.name().to_owned());
                assert!(is_new, "there are two messages {}", message.name());
                todo.extend(message.fields().filter_map(|field| field.kind().as_message().cloned()));
            }
        }
    }
}
