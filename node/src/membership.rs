//! What the members of a cluster show each other with every call: which cluster they belong to, and its secret. Raft
//! looks at the same two by itself (`tidings_consensus`).

use tidings_proto::ErrorCode;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::bearer::{AUTHORIZATION, bearer_of};
use crate::secret::Secret;

/// The metadata key of the cluster's id.
pub const CLUSTER: &str = "tidings-cluster";

/// Membership of one cluster. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Membership {
    cluster: MetadataValue<Ascii>,
    secret: Secret,
}

impl Membership {
    /// A member of this cluster; the error is the rest of a sentence.
    pub fn new(cluster: &str, secret: Secret) -> Result<Self, &'static str> {
        let cluster =
            MetadataValue::try_from(cluster).map_err(|_| "a cluster's id has visible ASCII characters only")?;
        Ok(Self { cluster, secret })
    }

    /// The cluster's id.
    pub fn cluster(&self) -> &str {
        self.cluster.to_str().unwrap_or_default()
    }

    /// The cluster's secret.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}

/// Adds what a member shows to every request of a client.
#[derive(Clone)]
pub struct MemberClient {
    cluster: MetadataValue<Ascii>,
    authorization: MetadataValue<Ascii>,
}

impl std::fmt::Debug for MemberClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemberClient(…)")
    }
}

impl MemberClient {
    /// Shows this membership.
    pub fn new(membership: &Membership) -> Self {
        let header = format!("Bearer {}", membership.secret.expose());
        let mut authorization = MetadataValue::try_from(header).expect("a Secret holds visible ASCII only");
        authorization.set_sensitive(true);
        Self { cluster: membership.cluster.clone(), authorization }
    }
}

impl Interceptor for MemberClient {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(CLUSTER, self.cluster.clone());
        request.metadata_mut().insert(AUTHORIZATION, self.authorization.clone());
        Ok(request)
    }
}

/// Lets only requests of members through to a server.
///
/// A caller of another cluster is refused with `FAILED_PRECONDITION`, whatever else it shows. One that names no cluster
/// is a node of a release that did not (promise 7), and is judged by its secret.
#[derive(Debug, Clone)]
pub struct MemberServer(Membership);

impl MemberServer {
    /// Demands this membership.
    pub fn new(membership: Membership) -> Self {
        Self(membership)
    }
}

impl Interceptor for MemberServer {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        if request.metadata().get(CLUSTER).is_some_and(|shown| shown != self.0.cluster) {
            return Err(ErrorCode::FailedPrecondition.status("this node belongs to another cluster than its caller"));
        }
        match bearer_of(request.metadata()) {
            Some(shown) if self.0.secret.matches(shown) => Ok(request),
            Some(_) => Err(ErrorCode::ApiKeyUnknown.status("the secret is not the cluster's")),
            None => Err(ErrorCode::ApiKeyUnknown.status("the header `authorization: Bearer <secret>` is missing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    fn shown_by(membership: &Membership) -> Request<()> {
        MemberClient::new(membership).call(Request::new(())).unwrap()
    }

    #[test]
    fn a_member_is_let_through_and_nobody_else() {
        let secret = Secret::random("");
        let ours = Membership::new("ours", secret.clone()).unwrap();
        let mut server = MemberServer::new(ours.clone());
        assert!(server.call(shown_by(&ours)).is_ok());

        let mut refusal = |request| server.call(request).unwrap_err().code();
        let stranger = Membership::new("ours", Secret::random("")).unwrap();
        assert_eq!(refusal(shown_by(&stranger)), Code::Unauthenticated);
        assert_eq!(refusal(Request::new(())), Code::Unauthenticated);
        let mut basic = Request::new(());
        basic.metadata_mut().insert(AUTHORIZATION, format!("Basic {}", secret.expose()).parse().unwrap());
        assert_eq!(refusal(basic), Code::Unauthenticated);
    }

    #[test]
    fn another_cluster_is_refused_before_its_secret_is_looked_at() {
        let secret = Secret::random("");
        let mut server = MemberServer::new(Membership::new("ours", secret.clone()).unwrap());
        for secret in [secret, Secret::random("")] {
            let refused = server.call(shown_by(&Membership::new("theirs", secret).unwrap())).unwrap_err();
            assert_eq!(
                (refused.code(), ErrorCode::of_status(&refused)),
                (Code::FailedPrecondition, ErrorCode::FailedPrecondition)
            );
            assert!(refused.message().contains("another cluster"), "{refused}");
        }
    }

    #[test]
    fn a_node_of_a_release_that_named_no_cluster_is_judged_by_its_secret() {
        let ours = Membership::new("ours", Secret::random("")).unwrap();
        let mut server = MemberServer::new(ours.clone());
        let without_cluster = |membership| {
            let mut request = shown_by(membership);
            request.metadata_mut().remove(CLUSTER);
            request
        };
        assert!(server.call(without_cluster(&ours)).is_ok());
        let stranger = Membership::new("ours", Secret::random("")).unwrap();
        assert_eq!(server.call(without_cluster(&stranger)).unwrap_err().code(), Code::Unauthenticated);
    }

    #[test]
    fn a_cluster_id_that_no_header_can_carry_is_refused() {
        assert!(Membership::new("a\nb", Secret::random("")).is_err());
    }
}
