//! The gRPC header `authorization: Bearer <secret>`, in which members of the cluster show its secret and backends their
//! API key.

use tonic::metadata::MetadataMap;

/// The key of the header.
pub const AUTHORIZATION: &str = "authorization";

/// The secret that a request carries, if it carries one.
pub fn bearer_of(metadata: &MetadataMap) -> Option<&str> {
    let (scheme, secret) = metadata.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_bearer_in_any_case_and_nothing_else() {
        let mut metadata = MetadataMap::new();
        assert_eq!(bearer_of(&metadata), None);
        for (header, secret) in [("Bearer x", Some("x")), ("bearer  x ", Some("x")), ("Basic x", None), ("x", None)] {
            metadata.insert(AUTHORIZATION, header.parse().unwrap());
            assert_eq!(bearer_of(&metadata), secret, "{header:?}");
        }
    }
}
