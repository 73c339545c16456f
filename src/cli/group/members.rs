//! The commands about who is in a group, and who may come in.

use std::time::Duration;

use clap::{Args, ValueEnum};
use prost_types::FieldMask;
use serde_json::{Value, json};
use tidings_proto::control::v1::{
    AddMembersRequest, CreateInviteRequest, DeleteInviteRequest, Invite, ListInvitesRequest, ListMembersRequest,
    ListUserGroupsRequest, Member, RemoveMembersRequest, UpdateMemberRequest,
};
use tidings_proto::group::v1;

use super::{HEADINGS, One, Permissions, after, as_json, client, names_of, permissions, row};
use crate::cli::control::ControlOptions;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::{duration, output};

/// Members that one request names, at most.
const NAMED_AT_ONCE: usize = 1_000;

/// `tidings group add`.
#[derive(Debug, Args)]
pub struct Add {
    /// The group
    id: String,
    /// Who comes in
    #[arg(value_name = "USER", required = true)]
    users: Vec<String>,
    /// As what
    #[arg(long, value_enum, default_value = "member")]
    role: Role,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings group remove`.
#[derive(Debug, Args)]
pub struct Remove {
    /// The group
    id: String,
    /// Who goes
    #[arg(value_name = "USER", required = true)]
    users: Vec<String>,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings group member`.
#[derive(Debug, Args)]
pub struct Change {
    /// The group
    id: String,
    /// The member
    user: String,
    /// As what
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// Permissions beyond the role's, such as send,add
    #[arg(long, value_parser = permissions)]
    allow: Option<Permissions>,
    /// Permissions taken away
    #[arg(long, value_parser = permissions)]
    deny: Option<Permissions>,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings group of`.
#[derive(Debug, Args)]
pub struct Of {
    /// The user
    user: String,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings group invite`.
#[derive(Debug, Args)]
pub struct MakeInvite {
    /// The group
    id: String,
    /// How many may join by it; 0: no limit
    #[arg(long, default_value_t = 0)]
    max_uses: u32,
    /// How long it is good, such as 7d; 0: until it is deleted
    #[arg(long, value_parser = duration::parse)]
    expires_in: Option<Duration>,
    /// Permissions of those who join by it beyond a plain member's
    #[arg(long, value_parser = permissions)]
    allow: Option<Permissions>,
    /// Permissions that they have not
    #[arg(long, value_parser = permissions)]
    deny: Option<Permissions>,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings group uninvite`.
#[derive(Debug, Args)]
pub struct Uninvite {
    /// The group
    id: String,
    /// The code
    #[arg(allow_hyphen_values = true)]
    code: String,
    #[command(flatten)]
    control: ControlOptions,
}

/// What a member is.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Role {
    Member,
    Admin,
    Owner,
}

impl From<Role> for v1::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Member => Self::Member,
            Role::Admin => Self::Admin,
            Role::Owner => Self::Owner,
        }
    }
}

impl Add {
    pub async fn run(self) -> Outcome {
        let mut groups = client(&self.control).await?;
        let role = v1::Role::from(self.role).into();
        for users in self.users.chunks(NAMED_AT_ONCE) {
            let members = users.iter().map(|user| Member { user: user.clone(), role, ..Member::default() }).collect();
            let (app, group) = (self.control.app.clone(), self.id.clone());
            groups.add_members(AddMembersRequest { app, group, members }).await?;
        }
        Ok(())
    }
}

impl Remove {
    pub async fn run(self) -> Outcome {
        let mut groups = client(&self.control).await?;
        for users in self.users.chunks(NAMED_AT_ONCE) {
            let (app, group, users) = (self.control.app.clone(), self.id.clone(), users.to_vec());
            groups.remove_members(RemoveMembersRequest { app, group, users }).await?;
        }
        Ok(())
    }
}

impl Change {
    pub async fn run(self) -> Outcome {
        let mut member = Member { user: self.user, ..Member::default() };
        let mut paths = Vec::new();
        if let Some(role) = self.role {
            member.set_role(role.into());
            paths.push("role".to_owned());
        }
        if let Some(Permissions(allow)) = self.allow {
            member.allow = allow;
            paths.push("allow".to_owned());
        }
        if let Some(Permissions(deny)) = self.deny {
            member.deny = deny;
            paths.push("deny".to_owned());
        }
        if paths.is_empty() {
            return Err(Failure::new(Exit::Invalid, "nothing to change: give --role, --allow or --deny"));
        }
        let (app, group) = (self.control.app.clone(), self.id);
        let update_mask = Some(FieldMask { paths });
        let request = UpdateMemberRequest { app, group, member: Some(member), update_mask };
        client(&self.control).await?.update_member(request).await?;
        Ok(())
    }
}

/// `tidings group members`.
pub async fn list(command: One) -> Outcome {
    let mut groups = client(&command.control).await?;
    let page = async |page_token| {
        let (app, group) = (command.control.app.clone(), command.id.clone());
        let request = ListMembersRequest { app, group, page_size: output::PAGE_SIZE, page_token };
        let page = groups.list_members(request).await?.into_inner();
        Ok((page.members, page.next_page_token))
    };
    let headings = &["user", "role", "allow", "deny", "joined"];
    output::list(command.control.json, headings, member_json, member_row, page).await
}

impl Of {
    pub async fn run(self) -> Outcome {
        let mut groups = client(&self.control).await?;
        // A user is in at most 1,000: one page.
        let (app, user) = (self.control.app.clone(), self.user);
        let request = ListUserGroupsRequest { app, user, page_size: 1000, page_token: String::new() };
        let found = groups.list_user_groups(request).await?.into_inner().groups;
        let found = found.iter().filter_map(|entry| entry.group.as_ref());
        if self.control.json {
            for group in found {
                output::json(&as_json(group))?;
            }
            return Ok(());
        }
        Ok(output::table(HEADINGS, &found.map(row).collect::<Vec<_>>())?)
    }
}

impl MakeInvite {
    pub async fn run(self) -> Outcome {
        let invite = Invite {
            app: self.control.app.clone(),
            group: self.id,
            allow: self.allow.unwrap_or_default().0,
            deny: self.deny.unwrap_or_default().0,
            expires_at: self.expires_in.and_then(after),
            max_uses: self.max_uses,
            ..Invite::default()
        };
        let request = CreateInviteRequest { invite: Some(invite) };
        let made = client(&self.control).await?.create_invite(request).await?.into_inner();
        match self.control.json {
            true => Ok(output::json(&invite_json(&made))?),
            false => Ok(output::line(&made.code)?),
        }
    }
}

/// `tidings group invites`.
pub async fn invites(command: One) -> Outcome {
    let request = ListInvitesRequest { app: command.control.app.clone(), group: command.id };
    let found = client(&command.control).await?.list_invites(request).await?.into_inner().invites;
    if command.control.json {
        for invite in &found {
            output::json(&invite_json(invite))?;
        }
        return Ok(());
    }
    let row = |invite: &Invite| {
        let limit = if invite.max_uses == 0 { "-".to_owned() } else { invite.max_uses.to_string() };
        vec![invite.code.clone(), invite.uses.to_string(), limit, output::time(invite.expires_at.as_ref())]
    };
    Ok(output::table(&["code", "uses", "at most", "expires"], &found.iter().map(row).collect::<Vec<_>>())?)
}

impl Uninvite {
    pub async fn run(self) -> Outcome {
        let request = DeleteInviteRequest { app: self.control.app.clone(), group: self.id, code: self.code };
        client(&self.control).await?.delete_invite(request).await?;
        Ok(())
    }
}

fn member_row(member: &Member) -> Vec<String> {
    let role = member.role().as_str_name().to_ascii_lowercase();
    let joined = output::time(member.joined_at.as_ref());
    vec![member.user.clone(), role, names_of(&member.allow), names_of(&member.deny), joined]
}

fn member_json(member: &Member) -> Value {
    json!({
        "user": member.user,
        "role": member.role().as_str_name().to_ascii_lowercase(),
        "allow": names_of(&member.allow),
        "deny": names_of(&member.deny),
        "joined_at": output::json_time(member.joined_at.as_ref()),
    })
}

fn invite_json(invite: &Invite) -> Value {
    json!({
        "group": invite.group,
        "code": invite.code,
        "allow": names_of(&invite.allow),
        "deny": names_of(&invite.deny),
        "max_uses": invite.max_uses,
        "uses": invite.uses,
        "expires_at": output::json_time(invite.expires_at.as_ref()),
    })
}
