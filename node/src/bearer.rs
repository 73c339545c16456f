//! The gRPC header `authorization: Bearer <secret>`: added to what a client sends, demanded by a server.

use tidings_proto::ErrorCode;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::secret::Secret;

/// The key of the header.
pub const AUTHORIZATION: &str = "authorization";

/// The secret that a request carries, if it carries one.
pub fn bearer_of(metadata: &MetadataMap) -> Option<&str> {
    let (scheme, secret) = metadata.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// Adds the secret to every request of a client.
#[derive(Clone)]
pub struct BearerClient(MetadataValue<Ascii>);

impl std::fmt::Debug for BearerClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BearerClient(…)")
    }
}

impl BearerClient {
    /// Shows this secret.
    pub fn new(secret: &Secret) -> Self {
        let header = format!("Bearer {}", secret.expose());
        let mut value = MetadataValue::try_from(header).expect("a Secret holds visible ASCII only");
        value.set_sensitive(true);
        Self(value)
    }
}

impl Interceptor for BearerClient {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(AUTHORIZATION, self.0.clone());
        Ok(request)
    }
}

/// Lets only requests with the secret through to a server.
#[derive(Debug, Clone)]
pub struct BearerServer(Secret);

impl BearerServer {
    /// Demands this secret.
    pub fn new(secret: Secret) -> Self {
        Self(secret)
    }
}

impl Interceptor for BearerServer {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        match bearer_of(request.metadata()) {
            Some(shown) if self.0.matches(shown) => Ok(request),
            Some(_) => Err(ErrorCode::ApiKeyUnknown.status("the secret is not the cluster's")),
            None => Err(ErrorCode::ApiKeyUnknown.status("the header `authorization: Bearer <secret>` is missing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_adds_the_server_takes_and_nothing_else() {
        let secret = Secret::random("");
        let mut server = BearerServer::new(secret.clone());
        let request = BearerClient::new(&secret).call(Request::new(())).unwrap();
        assert!(server.call(request).is_ok());
        let wrong = BearerClient::new(&Secret::random("")).call(Request::new(())).unwrap();
        assert_eq!(server.call(wrong).unwrap_err().code(), tonic::Code::Unauthenticated);
        assert_eq!(server.call(Request::new(())).unwrap_err().code(), tonic::Code::Unauthenticated);
        let mut basic = Request::new(());
        basic.metadata_mut().insert(AUTHORIZATION, format!("Basic {}", secret.expose()).parse().unwrap());
        assert!(server.call(basic).is_err());
    }
}
