//! The crowd: users without a device. A backend puts them into one of the groups as soon as it is there, while messages
//! flow, and it then has so many members that of its messages is counted who has them.

use std::sync::Arc;

use anyhow::{Result, bail};
use tidings_proto::ErrorCode;
use tidings_proto::control::v1::groups_client::GroupsClient;
use tidings_proto::control::v1::{AddMembersRequest, Member};
use tidings_proto::error::Next;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::Status;
use tonic::service::Interceptor;

use super::backend::{ControlPlane, PATIENCE, REST};
use super::{Phase, Workload, owner};
use crate::history::Group;
use crate::people::Person;

/// At most so many come at once.
const AT_ONCE: usize = 1_000;

/// The group that the crowd comes into: the last one.
pub(super) fn group(people: &[Person], crowd: &[String]) -> Option<Group> {
    owner::owners(people).last().filter(|_| !crowd.is_empty())
}

fn is_final(status: &Status) -> bool {
    let code = ErrorCode::of_status(status);
    code.next() == Next::Stop && code != ErrorCode::NotFound
}

pub(super) struct Crowd<K> {
    control_plane: Arc<ControlPlane<K>>,
    /// Its name.
    group: String,
    users: Arc<[String]>,
}

impl<K: Interceptor + Clone> Crowd<K> {
    /// None where nobody is in it.
    pub(super) fn of(workload: &Workload, control_plane: Arc<ControlPlane<K>>) -> Option<Self> {
        let Workload { people, crowd, .. } = workload;
        let group = owner::group_of(people, group(people, crowd)?);
        Some(Self { control_plane, group, users: crowd.clone() })
    }

    pub(super) async fn run(self, mut phase: watch::Receiver<Phase>) -> Result<()> {
        phase.wait_for(|phase| *phase != Phase::Gathering).await?;
        let mut turn = 0;
        for users in self.users.chunks(AT_ONCE) {
            let member = |user: &String| Member { user: user.clone(), ..Member::default() };
            let members = users.iter().map(member).collect();
            let (app, group) = (self.control_plane.app.clone(), self.group.clone());
            let request = AddMembersRequest { app, group, members };
            // Whoever is a member already stays as it is, so what was not answered is asked again.
            while *phase.borrow() == Phase::Busy {
                turn += 1;
                let mut groups = GroupsClient::new(self.control_plane.node(turn));
                match timeout(PATIENCE, groups.add_members(request.clone())).await {
                    Ok(Ok(_)) => break,
                    Ok(Err(status)) if is_final(&status) => bail!("the crowd may not come into the group: {status}"),
                    // Nothing tells when its owner has made it, or there is a leader again.
                    Ok(Err(_)) | Err(_) => sleep(REST).await,
                }
            }
        }
        Ok(())
    }
}
