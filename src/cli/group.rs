//! `tidings group`: groups, who is in them, and the invitations to them.

mod members;
mod receipts;

pub use members::Role;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use prost_types::{FieldMask, Timestamp};
use serde_json::{Value, json};
use tidings_node::Clock;
use tidings_proto::control::v1::groups_client::GroupsClient;
use tidings_proto::control::v1::{
    CreateGroupRequest, DeleteGroupRequest, GetGroupRequest, Group, ListGroupsRequest, Member, PermissionSet,
    UpdateGroupRequest,
};
use tidings_proto::group::v1::{self, Permission};

use super::control::{ControlOptions, Service};
use super::exit::{EXIT_CODES, Exit, Failure, Outcome};
use super::{duration, output};

/// What to do with groups.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum GroupCommand {
    /// Create a group; creating it again with the same fields changes nothing
    Create(Create),
    /// List groups
    List(List),
    /// Show one group
    Get(One),
    /// Change settings of a group; those not named stay as they are
    Update(Update),
    /// Delete a group
    Delete(One),
    /// Add members; who is one already stays as it is
    Add(members::Add),
    /// Remove members
    Remove(members::Remove),
    /// Change a member's role and permissions
    Member(members::Change),
    /// List the members
    Members(One),
    /// List the groups that a user is in
    Of(members::Of),
    /// Make a code by which users join
    Invite(members::MakeInvite),
    /// Tell how far what a user sent to a group has come, once or as it changes; takes the user's token
    Receipts(Box<receipts::Receipts>),
    /// List the codes
    Invites(One),
    /// Delete a code
    Uninvite(members::Uninvite),
}

/// `tidings group create`.
#[derive(Debug, Args)]
pub struct Create {
    /// The group's id: UTF-8, 1 to 63 bytes
    id: String,
    /// The first members; more with `group add`
    #[arg(value_name = "USER")]
    members: Vec<String>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings group update`.
#[derive(Debug, Args)]
pub struct Update {
    /// The group
    id: String,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    control: ControlOptions,
}

/// What of a group can be chosen.
#[derive(Debug, Args)]
struct Settings {
    /// For people
    #[arg(long)]
    display_name: Option<String>,
    /// Who sends and who receives
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Whether sending to it is refused for now
    #[arg(long)]
    paused: Option<bool>,
    /// How long until it is deleted, such as 30d; 0: it stays
    #[arg(long, value_parser = duration::parse)]
    expires_in: Option<Duration>,
    /// What plain members may do, such as send,receive,list; `default`: what the kind says
    #[arg(long, value_parser = member_permissions)]
    member_permissions: Option<MemberPermissions>,
}

/// `tidings group list`.
#[derive(Debug, Args)]
pub struct List {
    /// A pattern over ids: '*' stands for any run of characters
    #[arg(default_value = "")]
    filter: String,
    #[command(flatten)]
    control: ControlOptions,
}

/// A command about one group.
#[derive(Debug, Args)]
pub struct One {
    /// The group
    id: String,
    #[command(flatten)]
    control: ControlOptions,
}

/// Who sends and who receives.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Kind {
    /// Members send and receive
    Normal,
    /// Members receive; some send
    Announcement,
    /// Members send; some receive
    Listeners,
    /// Members send; one of some receives, in turn
    Hunt,
}

impl From<Kind> for v1::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Normal => Self::Normal,
            Kind::Announcement => Self::Announcement,
            Kind::Listeners => Self::Listeners,
            Kind::Hunt => Self::Hunt,
        }
    }
}

impl GroupCommand {
    pub async fn run(self) -> Outcome {
        match self {
            Self::Create(command) => command.run().await,
            Self::List(command) => command.run().await,
            Self::Get(command) => command.get().await,
            Self::Update(command) => command.run().await,
            Self::Delete(command) => command.delete().await,
            Self::Add(command) => command.run().await,
            Self::Remove(command) => command.run().await,
            Self::Member(command) => command.run().await,
            Self::Members(command) => members::list(command).await,
            Self::Of(command) => command.run().await,
            Self::Invite(command) => command.run().await,
            Self::Receipts(command) => command.run().await,
            Self::Invites(command) => members::invites(command).await,
            Self::Uninvite(command) => command.run().await,
        }
    }
}

async fn client(control: &ControlOptions) -> Outcome<GroupsClient<Service>> {
    Ok(GroupsClient::new(control.connect().await?))
}

impl Settings {
    /// The group with what was chosen, and the names of that.
    fn apply(self, mut group: Group) -> (Group, Vec<String>) {
        let mut paths = Vec::new();
        if let Some(display_name) = self.display_name {
            group.display_name = display_name;
            paths.push("display_name".to_owned());
        }
        if let Some(kind) = self.kind {
            group.set_kind(kind.into());
            paths.push("kind".to_owned());
        }
        if let Some(paused) = self.paused {
            group.paused = paused;
            paths.push("paused".to_owned());
        }
        if let Some(expires_in) = self.expires_in {
            group.expires_at = after(expires_in);
            paths.push("expires_at".to_owned());
        }
        if let Some(MemberPermissions(permissions)) = self.member_permissions {
            group.member_permissions = permissions.map(|permissions| PermissionSet { permissions });
            paths.push("member_permissions".to_owned());
        }
        (group, paths)
    }
}

impl Create {
    async fn run(self) -> Outcome {
        let new = Group { app: self.control.app.clone(), id: self.id, ..Group::default() };
        let (group, _) = self.settings.apply(new);
        let members = self.members.into_iter().map(|user| Member { user, ..Member::default() }).collect();
        let request = CreateGroupRequest { group: Some(group), members };
        print(&client(&self.control).await?.create_group(request).await?.into_inner(), self.control.json)
    }
}

impl Update {
    async fn run(self) -> Outcome {
        let known = Group { app: self.control.app.clone(), id: self.id, ..Group::default() };
        let (group, paths) = self.settings.apply(known);
        if paths.is_empty() {
            return Err(Failure::new(Exit::Invalid, "nothing to change: give an option, such as --paused true"));
        }
        let request = UpdateGroupRequest { group: Some(group), update_mask: Some(FieldMask { paths }) };
        print(&client(&self.control).await?.update_group(request).await?.into_inner(), self.control.json)
    }
}

impl List {
    async fn run(self) -> Outcome {
        let mut groups = client(&self.control).await?;
        let page = async |page_token| {
            let (app, filter) = (self.control.app.clone(), self.filter.clone());
            let request = ListGroupsRequest { app, filter, page_size: output::PAGE_SIZE, page_token };
            let page = groups.list_groups(request).await?.into_inner();
            Ok((page.groups, page.next_page_token))
        };
        output::list(self.control.json, HEADINGS, as_json, row, page).await
    }
}

impl One {
    async fn get(self) -> Outcome {
        let request = GetGroupRequest { app: self.control.app.clone(), id: self.id };
        let group = client(&self.control).await?.get_group(request).await?.into_inner();
        match self.control.json {
            true => Ok(output::json(&as_json(&group))?),
            false => Ok(output::table(HEADINGS, &[row(&group)])?),
        }
    }

    async fn delete(self) -> Outcome {
        let request = DeleteGroupRequest { app: self.control.app.clone(), id: self.id.clone() };
        client(&self.control).await?.delete_group(request).await?;
        eprintln!("deleted the group {}", self.id);
        Ok(())
    }
}

/// `None`: what the kind says.
#[derive(Debug, Clone)]
struct MemberPermissions(Option<Vec<i32>>);

fn member_permissions(text: &str) -> Result<MemberPermissions, String> {
    if text == "default" {
        return Ok(MemberPermissions(None));
    }
    permissions(text).map(|Permissions(list)| MemberPermissions(Some(list)))
}

/// Permissions by name.
#[derive(Debug, Clone, Default)]
struct Permissions(Vec<i32>);

/// Names with commas between, such as `send,receive`; nothing: none.
fn permissions(text: &str) -> Result<Permissions, String> {
    let names = text.split(',').filter(|name| !name.is_empty());
    names.map(|name| permission(name).map(i32::from)).collect::<Result<_, _>>().map(Permissions)
}

/// A permission by its name.
pub fn permission(name: &str) -> Result<Permission, String> {
    match Permission::from_str_name(&name.to_ascii_uppercase()) {
        Some(permission) if permission != Permission::Unspecified => Ok(permission),
        _ => Err(format!("{name} is none of send, receive, list, add, remove, manage, publish, subscribe")),
    }
}

fn names_of(permissions: &[i32]) -> String {
    let name = |number: &i32| {
        Permission::try_from(*number).map_or_else(|_| number.to_string(), |it| it.as_str_name().to_ascii_lowercase())
    };
    permissions.iter().map(name).collect::<Vec<_>>().join(",")
}

/// The time after a while from now; none for no while.
fn after(while_: Duration) -> Option<Timestamp> {
    let now_ms = Clock::system().now_ms();
    let at_ms = now_ms.saturating_add(i64::try_from(while_.as_millis()).unwrap_or(i64::MAX));
    (!while_.is_zero()).then_some(Timestamp { seconds: at_ms / 1000, nanos: 0 })
}

const HEADINGS: &[&str] = &["group", "name", "kind", "members", "paused", "expires", "created"];

fn row(group: &Group) -> Vec<String> {
    vec![
        group.id.clone(),
        group.display_name.clone(),
        group.kind().as_str_name().to_ascii_lowercase(),
        group.members.to_string(),
        if group.paused { "yes" } else { "no" }.to_owned(),
        output::time(group.expires_at.as_ref()),
        output::time(group.created_at.as_ref()),
    ]
}

fn print(group: &Group, json: bool) -> Outcome {
    match json {
        true => Ok(output::json(&as_json(group))?),
        false => Ok(output::line(&group.id)?),
    }
}

fn as_json(group: &Group) -> Value {
    json!({
        "app": group.app,
        "id": group.id,
        "display_name": group.display_name,
        "attributes": group.attributes,
        "kind": group.kind().as_str_name().to_ascii_lowercase(),
        "paused": group.paused,
        "expires_at": output::json_time(group.expires_at.as_ref()),
        "member_permissions": group.member_permissions.as_ref().map(|set| names_of(&set.permissions)),
        "members": group.members,
        "revision": group.revision,
        "created_at": output::json_time(group.created_at.as_ref()),
        "updated_at": output::json_time(group.updated_at.as_ref()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_read_and_shown_by_name() {
        let Permissions(list) = permissions("send,Manage").unwrap();
        assert_eq!(names_of(&list), "send,manage");
        assert!(permissions("").unwrap().0.is_empty());
        for nonsense in ["x", "permission_unspecified", "send receive"] {
            assert!(permissions(nonsense).is_err(), "{nonsense}");
        }
        assert!(member_permissions("default").unwrap().0.is_none());
    }
}
