//! A request of HTTP as the message that the method takes.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use serde_json::{Map, Value as Json, json};

use super::failure::Failure;
use super::query;
use super::rules::{Body, Rule};

const FIELD_MASK: &str = "google.protobuf.FieldMask";

/// Puts together what stands in the places of the path, in the query and in the body. Nothing may be said twice in two
/// ways, and nothing that the method does not know may be said at all.
pub fn message(rule: &Rule, places: Vec<String>, query: &str, body: &[u8]) -> Result<DynamicMessage, Failure> {
    let mut message = with_body(rule, body)?;
    for (way, text) in rule.places.iter().zip(places) {
        set(&mut message, way, &text)?;
    }
    for (name, text) in query::pairs(query)? {
        let field = rule.queries().find(|field| field.name() == name || field.json_name() == name);
        let field = field.ok_or_else(|| Failure::invalid(format!("{name}: there is no such query parameter")))?;
        set(&mut message, &[field], &text)?;
    }
    Ok(message)
}

fn with_body(rule: &Rule, body: &[u8]) -> Result<DynamicMessage, Failure> {
    let mut message = DynamicMessage::new(rule.method.input());
    match &rule.body {
        Body::None if body.is_empty() => {}
        Body::None => return Err(Failure::invalid("this request has no body")),
        Body::All => message = read(&rule.method.input(), parse(body)?.into())?,
        Body::Field(field) => {
            let object = parse(body)?;
            if let (Some(mask), Some(descriptor)) = (mask_field(rule), field.kind().as_message()) {
                let paths = paths(rule, field, descriptor, &object);
                message.set_field(&mask, mask_of(&mask, &paths));
            }
            let descriptor = field.kind().as_message().cloned();
            let descriptor = descriptor.ok_or_else(|| Failure::invalid("the body is no message"))?;
            message.set_field(field, Value::Message(read(&descriptor, object.into())?));
        }
    }
    Ok(message)
}

/// No body at all is an empty object.
fn parse(body: &[u8]) -> Result<Map<String, Json>, Failure> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Json::Object(object)) => Ok(object),
        Ok(_) => Err(Failure::invalid("the body is not a JSON object")),
        Err(error) => Err(Failure::invalid(format!("the body is not JSON: {error}"))),
    }
}

fn read(descriptor: &MessageDescriptor, json: Json) -> Result<DynamicMessage, Failure> {
    DynamicMessage::deserialize(descriptor.clone(), json).map_err(|error| Failure::invalid(error.to_string()))
}

/// The mask of an update, where the method has one.
fn mask_field(rule: &Rule) -> Option<FieldDescriptor> {
    rule.queries().find(|field| field.kind().as_message().is_some_and(|message| message.full_name() == FIELD_MASK))
}

/// An update whose query names no mask changes the fields that its body names; those that stand in the path name what
/// is updated.
fn paths(
    rule: &Rule,
    body: &FieldDescriptor,
    descriptor: &MessageDescriptor,
    object: &Map<String, Json>,
) -> Vec<String> {
    let named = object
        .keys()
        .filter_map(|key| descriptor.get_field_by_json_name(key).or_else(|| descriptor.get_field_by_name(key)));
    let is_place = |field: &FieldDescriptor| {
        rule.places.iter().any(|way| matches!(&way[..], [outer, inner, ..] if outer == body && inner == field))
    };
    named.filter(|field| !is_place(field)).map(|field| field.name().to_owned()).collect()
}

fn mask_of(mask: &FieldDescriptor, paths: &[String]) -> Value {
    let Kind::Message(descriptor) = mask.kind() else { return mask.default_value() };
    let mut message = DynamicMessage::new(descriptor);
    message.set_field_by_name("paths", Value::List(paths.iter().cloned().map(Value::String).collect()));
    Value::Message(message)
}

/// Sets a field at the end of a way, which the body may name only with the same value; a list grows.
fn set(message: &mut DynamicMessage, way: &[FieldDescriptor], text: &str) -> Result<(), Failure> {
    let Some((field, rest)) = way.split_first() else { return Ok(()) };
    if !rest.is_empty() {
        return match message.get_field_mut(field) {
            Value::Message(inner) => set(inner, rest, text),
            _ => Err(Failure::invalid(format!("{} is no message", field.name()))),
        };
    }
    let value = value(field, text)?;
    if let (Value::List(found), Value::List(more)) = (message.get_field_mut(field), &value) {
        found.extend(more.iter().cloned());
        return Ok(());
    }
    let is_derived = field.kind().as_message().is_some_and(|message| message.full_name() == FIELD_MASK);
    if message.has_field(field) && !is_derived && *message.get_field(field) != value {
        return Err(Failure::invalid(format!("{} is given twice, and differently", field.json_name())));
    }
    message.set_field(field, value);
    Ok(())
}

/// A text of the path or the query as a value of its field: what the JSON mapping makes of it as a string.
fn value(field: &FieldDescriptor, text: &str) -> Result<Value, Failure> {
    let json = match (field.kind(), text) {
        (Kind::Bool, "true") => json!(true),
        (Kind::Bool, "false") => json!(false),
        _ => json!(text),
    };
    let json = if field.is_list() { json!([json]) } else { json };
    let object = json!({ field.json_name(): json });
    let read = DynamicMessage::deserialize(field.parent_message().clone(), object);
    let read = read.map_err(|error| Failure::invalid(format!("{}: {error}", field.json_name())))?;
    Ok(read.get_field(field).into_owned())
}

#[cfg(test)]
mod tests {
    use http::Method;
    use prost_reflect::DescriptorPool;
    use tidings_proto::control::v1::{CreateUserRequest, ListUsersRequest, RemoveNodeRequest, UpdateUserRequest};

    use super::super::rules::{Found, Rules};
    use super::*;

    fn made(verb: Method, path: &str, query: &str, body: &str) -> Result<DynamicMessage, Failure> {
        let pool = DescriptorPool::decode(tidings_proto::DESCRIPTORS).unwrap();
        let rules = Rules::of(&pool).unwrap();
        let Found::Rule(rule, places) = rules.find(&verb, path) else { panic!("there is no {path}") };
        message(rule, places, query, body.as_bytes())
    }

    fn message_of<T: prost::Message + Default>(verb: Method, path: &str, query: &str, body: &str) -> T {
        made(verb, path, query, body).unwrap().transcode_to().unwrap()
    }

    fn refusal(verb: Method, path: &str, query: &str, body: &str) -> String {
        made(verb, path, query, body).unwrap_err().error.message
    }

    const USERS: &str = "/v1/apps/shop/users";

    #[test]
    fn path_query_and_body_come_together() {
        let request: CreateUserRequest = message_of(Method::POST, USERS, "", r#"{"id":"al","displayName":"Al"}"#);
        assert_eq!((&*request.app, &*request.id, &*request.display_name), ("shop", "al", "Al"));
        let request: ListUsersRequest = message_of(Method::GET, USERS, "filter=a%2B*&pageSize=7&page_token=x+y", "");
        assert_eq!((&*request.filter, request.page_size, &*request.page_token), ("a+*", 7, "x y"));
        let request: RemoveNodeRequest = message_of(Method::DELETE, "/v1/cluster/nodes/7", "dead=true", "");
        assert_eq!((request.id, request.dead), (7, true));
    }

    #[test]
    fn an_update_changes_what_its_body_names() {
        let path = "/v1/apps/shop/users/al";
        let mask = |query, body| -> Vec<String> {
            let request: UpdateUserRequest = message_of(Method::PATCH, path, query, body);
            assert_eq!(request.user.unwrap().id, "al");
            request.update_mask.unwrap().paths
        };
        assert_eq!(mask("", r#"{"displayName":"Al"}"#), ["display_name"]);
        assert_eq!(mask("", r#"{"display_name":"Al","id":"al"}"#), ["display_name"]);
        assert_eq!(
            mask("updateMask=displayName,attributes", r#"{"displayName":"Al","active":true}"#),
            ["display_name", "attributes"]
        );
        assert_eq!(mask("", "{}"), [""; 0]);
    }

    #[test]
    fn what_is_not_of_its_form_is_refused_by_name() {
        for (verb, path, query, body, named) in [
            (Method::POST, USERS, "", "[1]", "JSON object"),
            (Method::POST, USERS, "", "{\"id\":", "not JSON"),
            (Method::POST, USERS, "", "\u{0}", "not JSON"),
            (Method::POST, USERS, "", r#"{"idd":"al"}"#, "idd"),
            (Method::POST, USERS, "", r#"{"id":7}"#, "string"),
            (Method::POST, USERS, "", r#"{"id":"al","app":"other"}"#, "app is given twice"),
            (Method::POST, USERS, "id=al", "", "id: there is no such query parameter"),
            (Method::GET, USERS, "", "{}", "no body"),
            (Method::GET, USERS, "pageSize=-1", "", "pageSize"),
            (Method::GET, USERS, "pageSize=1&pageSize=2", "", "pageSize is given twice"),
            (Method::GET, USERS, "pageSize=4294967296", "", "pageSize"),
            (Method::GET, USERS, "app=other", "", "app: there is no such query parameter"),
            (Method::GET, USERS, "filter=%ff", "", "UTF-8"),
            (Method::DELETE, "/v1/cluster/nodes/seven", "", "", "id"),
            (Method::DELETE, "/v1/cluster/nodes/7", "dead=yes", "", "dead"),
        ] {
            let said = refusal(verb.clone(), path, query, body);
            assert!(said.contains(named), "{verb} {path}?{query} {body}: {said}");
        }
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(refusal(Method::POST, USERS, "", &deep).contains("recursion"));
    }
}
