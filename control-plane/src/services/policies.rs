//! `tidings.control.v1.Policies`.

use tidings_proto::control::v1::policies_server::Policies;
use tidings_proto::control::v1::{
    CreatePolicyRequest, DeletePolicyRequest, DeletePolicyResponse, GetPolicyRequest, ListPoliciesRequest,
    ListPoliciesResponse, UpdatePolicyRequest,
};
use tidings_proto::effective_policy::DEFAULT_POLICY;
use tidings_proto::policy::v1::Policy;
use tidings_proto::registry::v1::{CreatePolicy, DeletePolicy, UpdatePolicy, command::Command};
use tonic::{Request, Response, Status};

use super::auth::Scope;
use super::page::PageRequest;
use super::{answer, door, unexpected};
use crate::registry::machine::{Outcome, level_of};
use crate::registry::refusal::Refusal;
use crate::registry::{apps, cluster, keys, policies};
use crate::replica::Replica;

/// Policies, for backends and operators.
#[derive(Clone)]
pub struct PoliciesService(pub Replica);

impl PoliciesService {
    /// A policy by which only some are reached is not made before all brokers know who they are: one of an earlier
    /// release would take it for all.
    async fn propose(&self, command: Command) -> Result<Policy, Status> {
        if level_of(&command) >= policies::CONTACTS {
            self.0.admit_brokers(cluster::BROKERS_WITH_CONTACTS).await?;
        }
        match self.0.propose(command).await? {
            Outcome::Policy(policy) => Ok(policy),
            other => Err(unexpected(&other)),
        }
    }
}

/// The policy of a request, checked and put into the caller's app.
fn policy_of(scope: &Scope, policy: Option<Policy>) -> Result<Policy, Status> {
    let policy = policy.ok_or_else(|| Refusal::invalid("policy", "is missing"))?;
    let app = scope.app(&policy.app)?;
    door::policy("policy", &policy)?;
    Ok(Policy { app, revision: 0, ..policy })
}

#[tonic::async_trait]
impl Policies for PoliciesService {
    async fn create_policy(&self, request: Request<CreatePolicyRequest>) -> Result<Response<Policy>, Status> {
        answer("CreatePolicy", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let policy = policy_of(&scope, request.into_inner().policy)?;
            self.propose(Command::CreatePolicy(CreatePolicy { policy: Some(policy) })).await
        })
        .await
    }

    async fn get_policy(&self, request: Request<GetPolicyRequest>) -> Result<Response<Policy>, Status> {
        answer("GetPolicy", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let GetPolicyRequest { app, id } = request.into_inner();
            let app = scope.app(&app)?;
            door::policy_id_or_empty("id", &id)?;
            let id = if id.is_empty() { DEFAULT_POLICY } else { id.as_str() };
            Ok(policies::get(&self.0.current().await?, &app, id)?)
        })
        .await
    }

    async fn list_policies(
        &self,
        request: Request<ListPoliciesRequest>,
    ) -> Result<Response<ListPoliciesResponse>, Status> {
        answer("ListPolicies", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let ListPoliciesRequest { app, page_size, page_token } = request.into_inner();
            let app = scope.app(&app)?;
            let view = self.0.current().await?;
            apps::get(&view, &app)?;
            let prefix = keys::texts(keys::POLICY, &[&app]);
            let page = PageRequest { size: page_size, token: &page_token };
            let (policies, next_page_token) = page.list(&view, &prefix, &prefix, |_: &Policy| true)?;
            Ok(ListPoliciesResponse { policies, next_page_token })
        })
        .await
    }

    async fn update_policy(&self, request: Request<UpdatePolicyRequest>) -> Result<Response<Policy>, Status> {
        answer("UpdatePolicy", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let UpdatePolicyRequest { policy, update_mask } = request.into_inner();
            let policy = policy_of(&scope, policy)?;
            let fields = door::update_mask(update_mask, policies::FIELDS)?.into_iter().collect();
            self.propose(Command::UpdatePolicy(UpdatePolicy { policy: Some(policy), fields })).await
        })
        .await
    }

    async fn delete_policy(
        &self,
        request: Request<DeletePolicyRequest>,
    ) -> Result<Response<DeletePolicyResponse>, Status> {
        answer("DeletePolicy", async {
            let scope = Scope::of(&self.0, request.metadata())?;
            let DeletePolicyRequest { app, id } = request.into_inner();
            let app = scope.app(&app)?;
            door::policy_id("id", &id)?;
            match self.0.propose(Command::DeletePolicy(DeletePolicy { app, id })).await? {
                Outcome::Deleted(_) => Ok(DeletePolicyResponse {}),
                other => Err(unexpected(&other)),
            }
        })
        .await
    }
}
