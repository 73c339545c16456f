//! Which method of which service a request of HTTP means, read from the options `google.api.http` in the contracts.

use http::Method;
use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor, MethodDescriptor, ServiceDescriptor, Value};

use super::template::Template;

/// The package whose services are served.
pub const PACKAGE: &str = "tidings.control.v1";
const OPTION: &str = "google.api.http";

/// A method and its place in HTTP.
#[derive(Debug, Clone)]
pub struct Rule {
    pub verb: Method,
    pub template: Template,
    /// The field behind each place of the template, each a way from the request down.
    pub places: Vec<Vec<FieldDescriptor>>,
    pub body: Body,
    pub method: MethodDescriptor,
}

/// What the body of a request holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    None,
    /// All fields that are not in the path.
    All,
    /// One field, a message.
    Field(FieldDescriptor),
}

/// All rules, the more literal ones first.
#[derive(Debug)]
pub struct Rules(Vec<Rule>);

/// What a path and a verb come to.
#[derive(Debug)]
pub enum Found<'a> {
    /// The rule, and what stands in its places.
    Rule(&'a Rule, Vec<String>),
    /// The path takes these verbs alone.
    OtherVerbs(Vec<&'a Method>),
    Nothing,
}

impl Rules {
    /// Reads the contracts; the error says which method's option cannot be served.
    pub fn of(pool: &DescriptorPool) -> Result<Self, String> {
        let mut rules = Vec::new();
        for method in methods(pool) {
            let rule = Rule::of(pool, &method).map_err(|error| format!("{}: {error}", method.full_name()))?;
            rules.extend(rule);
        }
        rules.sort_by(|one, other| one.template.cmp(&other.template));
        for (index, rule) in rules.iter().enumerate() {
            let same = |other: &&Rule| other.verb == rule.verb && other.template.shape() == rule.template.shape();
            if let Some(other) = rules[..index].iter().find(same) {
                return Err(format!("{} and {} have one path", other.method.full_name(), rule.method.full_name()));
            }
        }
        Ok(Self(rules))
    }

    /// Looks a request up.
    pub fn find(&self, verb: &Method, path: &str) -> Found<'_> {
        let mut verbs = Vec::new();
        for rule in &self.0 {
            match rule.template.matches(path) {
                Some(places) if rule.verb == *verb => return Found::Rule(rule, places),
                Some(_) => verbs.push(&rule.verb),
                None => {}
            }
        }
        if verbs.is_empty() { Found::Nothing } else { Found::OtherVerbs(verbs) }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }
}

/// The services that are served.
pub fn services(pool: &DescriptorPool) -> impl Iterator<Item = ServiceDescriptor> {
    pool.services().filter(|service| service.package_name() == PACKAGE)
}

fn methods(pool: &DescriptorPool) -> impl Iterator<Item = MethodDescriptor> {
    services(pool).flat_map(|service| service.methods().collect::<Vec<_>>())
}

impl Rule {
    /// `None` for a method without the option.
    fn of(pool: &DescriptorPool, method: &MethodDescriptor) -> Result<Option<Self>, String> {
        let option = pool.get_extension_by_name(OPTION).ok_or("the contracts do not know the option")?;
        let options = method.options();
        if !options.has_extension(&option) {
            return Ok(None);
        }
        if method.is_client_streaming() || method.is_server_streaming() {
            return Err("streams are not served".to_owned());
        }
        let option = options.get_extension(&option);
        let option = option.as_message().ok_or("the option is no message")?;
        let text =
            |name: &str| option.get_field_by_name(name).as_deref().and_then(Value::as_str).unwrap_or("").to_owned();
        let verbs = [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH];
        let paths = verbs.into_iter().map(|verb| (text(&verb.as_str().to_lowercase()), verb));
        let (path, verb) = paths.into_iter().find(|(path, _)| !path.is_empty()).ok_or("the option names no path")?;
        let template = Template::parse(&path)?;
        let input = method.input();
        let places = template.fields().map(|names| way(&input, names)).collect::<Result<_, _>>()?;
        let body = match text("body").as_str() {
            "" => Body::None,
            "*" => Body::All,
            name => Body::Field(message_field(&input, name)?),
        };
        Ok(Some(Self { verb, template, places, body, method: method.clone() }))
    }

    /// Fields of the request that may be query parameters: those of its own that are neither in the path nor the body.
    pub fn queries(&self) -> impl Iterator<Item = FieldDescriptor> {
        let has_place = |field: &FieldDescriptor| self.places.iter().any(|way| way.first() == Some(field));
        let is_open = |field: &FieldDescriptor| match &self.body {
            Body::None => !has_place(field),
            Body::All => false,
            Body::Field(body) => field != body && !has_place(field),
        };
        self.method.input().fields().filter(is_open).collect::<Vec<_>>().into_iter()
    }
}

/// From a message down to a single value.
fn way(message: &MessageDescriptor, names: &[String]) -> Result<Vec<FieldDescriptor>, String> {
    let Some((last, outer)) = names.split_last() else { return Err("a place names no field".to_owned()) };
    let (mut way, mut message) = (Vec::new(), message.clone());
    for name in outer {
        let field = message_field(&message, name)?;
        message = field.kind().as_message().cloned().ok_or("no message")?;
        way.push(field);
    }
    let field = message.get_field_by_name(last).filter(|field| !field.is_list() && !field.is_map());
    way.push(field.ok_or_else(|| format!("{} has no single field {last}", message.full_name()))?);
    Ok(way)
}

fn message_field(message: &MessageDescriptor, name: &str) -> Result<FieldDescriptor, String> {
    let is_message =
        |field: &FieldDescriptor| field.kind().as_message().is_some() && !field.is_list() && !field.is_map();
    let field = message.get_field_by_name(name).filter(is_message);
    field.ok_or_else(|| format!("{} has no message {name}", message.full_name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> DescriptorPool {
        DescriptorPool::decode(tidings_proto::DESCRIPTORS).unwrap()
    }

    #[test]
    fn every_method_for_backends_has_a_path() {
        let pool = pool();
        let rules = Rules::of(&pool).unwrap();
        for method in methods(&pool).filter(|method| !method.is_server_streaming()) {
            let is_there = rules.iter().any(|rule| rule.method == method);
            assert!(is_there, "{} lacks `option (google.api.http)` in control.proto", method.full_name());
        }
        for rule in rules.iter() {
            assert!(rule.template.in_openapi().starts_with("/v1/"), "{}", rule.method.full_name());
        }
    }

    #[test]
    fn requests_are_found_by_verb_and_path() {
        let pool = pool();
        let rules = Rules::of(&pool).unwrap();
        let Found::Rule(rule, places) = rules.find(&Method::PATCH, "/v1/apps/shop/users/alice") else { panic!() };
        assert_eq!((rule.method.name(), places), ("UpdateUser", vec!["shop".to_owned(), "alice".to_owned()]));
        assert_eq!(rule.queries().map(|field| field.name().to_owned()).collect::<Vec<_>>(), ["update_mask"]);
        let Found::OtherVerbs(verbs) = rules.find(&Method::PUT, "/v1/apps/shop/users/alice") else { panic!() };
        assert_eq!(verbs.len(), 3, "{verbs:?}");
        assert!(matches!(rules.find(&Method::GET, "/v1/apps/shop/users/alice/"), Found::Nothing));
    }
}
