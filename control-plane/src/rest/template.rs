//! Paths of HTTP with places for fields: `/v1/apps/{app}/users/{user.id}`. Each place is one whole segment.

use percent_encoding::percent_decode_str;

/// The path of a method.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Template(Vec<Segment>);

/// A part between two slashes. Literals sort first: where both fit a path, the literal one is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    Literal(String),
    /// Names of fields, the outermost first.
    Field(Vec<String>),
}

impl Template {
    /// Reads a template; the error is the rest of a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('/') else { return Err(format!("{text:?} does not begin with a slash")) };
        let segments = path.split('/').map(|segment| {
            let inner = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
            let is_name =
                |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            match inner {
                Some(fields) if fields.split('.').all(is_name) => {
                    Ok(Segment::Field(fields.split('.').map(str::to_owned).collect()))
                }
                None if is_name(segment) => Ok(Segment::Literal(segment.to_owned())),
                _ => Err(format!("{text:?} holds {segment:?}, neither a literal nor one {{field}}")),
            }
        });
        Ok(Self(segments.collect::<Result<_, _>>()?))
    }

    /// What a path has in the template's places, decoded, in their order; `None` where the path is another one.
    pub fn matches(&self, path: &str) -> Option<Vec<String>> {
        let mut found = Vec::new();
        let mut parts = path.strip_prefix('/')?.split('/');
        for segment in &self.0 {
            let part = percent_decode_str(parts.next()?).decode_utf8().ok()?;
            match segment {
                Segment::Literal(literal) if *literal == part => {}
                Segment::Field(_) if !part.is_empty() => found.push(part.into_owned()),
                _ => return None,
            }
        }
        parts.next().is_none().then_some(found)
    }

    /// The fields that have a place, in their order.
    pub fn fields(&self) -> impl Iterator<Item = &[String]> {
        self.0.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Field(names) => Some(names.as_slice()),
        })
    }

    /// The path as OpenAPI writes it: each place by the name of its innermost field.
    pub fn in_openapi(&self) -> String {
        let segments = self.0.iter().map(|segment| match segment {
            Segment::Literal(literal) => format!("/{literal}"),
            Segment::Field(names) => format!("/{{{}}}", place(names)),
        });
        segments.collect()
    }

    /// The same for all templates that fit the same paths.
    pub fn shape(&self) -> Vec<Option<&str>> {
        let segments = self.0.iter().map(|segment| match segment {
            Segment::Literal(literal) => Some(literal.as_str()),
            Segment::Field(_) => None,
        });
        segments.collect()
    }
}

/// What OpenAPI calls the place of a field.
pub fn place(names: &[String]) -> &str {
    names.last().map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_takes_one_segment_decoded() {
        let template = Template::parse("/v1/apps/{app}/users/{user.id}").unwrap();
        let found = |path| template.matches(path);
        assert_eq!(found("/v1/apps/shop/users/alice"), Some(vec!["shop".to_owned(), "alice".to_owned()]));
        assert_eq!(found("/v1/apps/shop/users/a%2Fb%20%C3%A9:1"), Some(vec!["shop".to_owned(), "a/b é:1".to_owned()]));
        for other in [
            "",
            "/",
            "v1/apps/shop/users/alice",
            "/v1/apps/shop/users",
            "/v1/apps/shop/users/",
            "/v1/apps//users/alice",
            "/v1/apps/shop/users/alice/",
            "/v1/apps/shop/users/alice/tokens",
            "/v1/apps/shop/people/alice",
            // Not UTF-8.
            "/v1/apps/shop/users/%ff",
        ] {
            assert_eq!(found(other), None, "{other:?}");
        }
        assert_eq!(template.in_openapi(), "/v1/apps/{app}/users/{id}");
        assert_eq!(template.fields().map(place).collect::<Vec<_>>(), ["app", "id"]);
    }

    #[test]
    fn what_is_no_template_is_said() {
        for bad in ["", "v1", "/v1/{a", "/v1/{a}b", "/v1/{}", "/v1/{a..b}", "/v1/**", "/v1/{a=*}", "/v1//x", "/v1/x:y"]
        {
            assert!(Template::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn literals_come_first() {
        let mut templates = ["/v1/{a}", "/v1/x"].map(|text| Template::parse(text).unwrap());
        templates.sort();
        assert_eq!(templates[0].in_openapi(), "/v1/x");
        assert_eq!(Template::parse("/v1/{a}").unwrap().shape(), Template::parse("/v1/{b.c}").unwrap().shape());
    }
}
