//! `tidings user`: the users of an app.

mod mailbox;

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use prost_types::FieldMask;
use serde_json::{Value, json};
use tidings_proto::control::v1::mailboxes_client::MailboxesClient;
use tidings_proto::control::v1::user_presence::State;
use tidings_proto::control::v1::users_client::UsersClient;
use tidings_proto::control::v1::{
    CreateUserRequest, DeleteUserRequest, GetPresenceRequest, GetUserRequest, ListUsersRequest, UpdateUserRequest,
    User, UserPresence,
};

use super::control::ControlOptions;
use super::exit::{EXIT_CODES, Exit, Failure, Outcome};
use super::output;

/// What to do with users.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum UserCommand {
    /// Create a user; creating it again with the same fields changes nothing
    Create(Create),
    /// List users
    List(List),
    /// Show one user
    Get(One),
    /// Change fields of a user; those not named stay as they are
    Update(Update),
    /// Delete a user with its tokens
    Delete(One),
    /// Close a user's sessions and refuse its tokens; its mailbox goes on
    Deactivate(One),
    /// Let a user in again
    Activate(One),
    /// Tell whether users are online, and since when not, whatever their policies let others see
    Presence(Presence),
    /// List a user's conversations, the newest first, with what is unread
    Conversations(mailbox::Conversations),
    /// Print messages of one of a user's conversations
    History(mailbox::History),
    /// Find messages of a user's history by their words
    Search(mailbox::Search),
}

/// `tidings user create`.
#[derive(Debug, Args)]
pub struct Create {
    /// The user's id: UTF-8, 1 to 63 bytes
    id: String,
    /// For people
    #[arg(long, default_value = "")]
    display_name: String,
    /// A free attribute; may be given several times
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// The policy that the user goes by
    #[arg(long, default_value = "")]
    policy: String,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings user list`.
#[derive(Debug, Args)]
pub struct List {
    /// A pattern over ids: '*' stands for any run of characters
    #[arg(default_value = "")]
    filter: String,
    #[command(flatten)]
    control: ControlOptions,
}

/// A command about one user.
#[derive(Debug, Args)]
pub struct One {
    /// The user's id
    id: String,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings user presence`.
#[derive(Debug, Args)]
pub struct Presence {
    /// The users' ids
    #[arg(required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    control: ControlOptions,
}

/// `tidings user update`.
#[derive(Debug, Args)]
pub struct Update {
    /// The user's id
    id: String,
    /// For people
    #[arg(long)]
    display_name: Option<String>,
    /// Replaces all attributes by those given; may be given several times
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// Removes all attributes
    #[arg(long, conflicts_with = "attributes")]
    clear_attributes: bool,
    /// The policy that the user goes by; `default` takes any other back
    #[arg(long)]
    policy: Option<String>,
    #[command(flatten)]
    control: ControlOptions,
}

impl UserCommand {
    pub async fn run(self) -> Outcome {
        match self {
            Self::Create(command) => command.run().await,
            Self::List(command) => command.run().await,
            Self::Get(command) => command.get().await,
            Self::Update(command) => command.run().await,
            Self::Delete(command) => command.delete().await,
            Self::Deactivate(command) => command.set_active(false).await,
            Self::Activate(command) => command.set_active(true).await,
            Self::Presence(command) => command.run().await,
            Self::Conversations(command) => command.run().await,
            Self::History(command) => command.run().await,
            Self::Search(command) => command.run().await,
        }
    }
}

impl Create {
    async fn run(self) -> Outcome {
        let mut users = UsersClient::new(self.control.connect().await?);
        let attributes = self.attributes.into_iter().collect();
        let (app, policy) = (self.control.app.clone(), self.policy);
        let request = CreateUserRequest { app, id: self.id, display_name: self.display_name, attributes, policy };
        print(&users.create_user(request).await?.into_inner(), self.control.json)
    }
}

impl List {
    async fn run(self) -> Outcome {
        let mut users = UsersClient::new(self.control.connect().await?);
        let page = async |page_token| {
            let (app, filter) = (self.control.app.clone(), self.filter.clone());
            let request = ListUsersRequest { app, filter, page_size: output::PAGE_SIZE, page_token };
            let page = users.list_users(request).await?.into_inner();
            Ok((page.users, page.next_page_token))
        };
        output::list(self.control.json, HEADINGS, as_json, row, page).await
    }
}

impl One {
    async fn get(self) -> Outcome {
        let mut users = UsersClient::new(self.control.connect().await?);
        let request = GetUserRequest { app: self.control.app.clone(), id: self.id };
        let user = users.get_user(request).await?.into_inner();
        if self.control.json {
            return Ok(output::json(&as_json(&user))?);
        }
        output::table(HEADINGS, &[row(&user)])?;
        if !user.policy.is_empty() {
            output::line(&format!("policy: {}", user.policy))?;
        }
        for (name, value) in &user.attributes {
            output::line(&format!("{name}={value}"))?;
        }
        Ok(())
    }

    async fn delete(self) -> Outcome {
        let mut users = UsersClient::new(self.control.connect().await?);
        users.delete_user(DeleteUserRequest { app: self.control.app.clone(), id: self.id.clone() }).await?;
        eprintln!("deleted the user {}", self.id);
        Ok(())
    }

    async fn set_active(self, active: bool) -> Outcome {
        let user = User { app: self.control.app.clone(), id: self.id, active, ..User::default() };
        update(&self.control, user, &["active"]).await
    }
}

impl Presence {
    async fn run(self) -> Outcome {
        let mut mailboxes = MailboxesClient::new(self.control.connect().await?);
        let request = GetPresenceRequest { app: self.control.app.clone(), users: self.ids };
        let users = mailboxes.get_presence(request).await?.into_inner().users;
        let state = |user: &UserPresence| match user.state() {
            State::Online => "online",
            State::Offline => "offline",
            State::Unknown => "unknown",
        };
        if !self.control.json {
            let time = |user: &UserPresence| output::time(user.last_seen.as_ref());
            let rows: Vec<_> =
                users.iter().map(|user| vec![user.user.clone(), state(user).to_owned(), time(user)]).collect();
            return Ok(output::table(&["user", "state", "last seen"], &rows)?);
        }
        for user in &users {
            let last_seen = output::json_time(user.last_seen.as_ref());
            output::json(&json!({ "user": user.user, "state": state(user), "last_seen": last_seen }))?;
        }
        Ok(())
    }
}

impl Update {
    async fn run(self) -> Outcome {
        let mut mask = Vec::new();
        if self.display_name.is_some() {
            mask.push("display_name");
        }
        if self.clear_attributes || !self.attributes.is_empty() {
            mask.push("attributes");
        }
        if self.policy.is_some() {
            mask.push("policy");
        }
        if mask.is_empty() {
            let message = "nothing to change: give --display-name, --attribute or --policy";
            return Err(Failure::new(Exit::Invalid, message));
        }
        let user = User {
            app: self.control.app.clone(),
            id: self.id,
            display_name: self.display_name.unwrap_or_default(),
            attributes: self.attributes.into_iter().collect::<BTreeMap<_, _>>(),
            policy: self.policy.unwrap_or_default(),
            ..User::default()
        };
        update(&self.control, user, &mask).await
    }
}

async fn update(control: &ControlOptions, user: User, mask: &[&str]) -> Outcome {
    let mut users = UsersClient::new(control.connect().await?);
    let paths = mask.iter().map(ToString::to_string).collect();
    let request = UpdateUserRequest { user: Some(user), update_mask: Some(FieldMask { paths }) };
    print(&users.update_user(request).await?.into_inner(), control.json)
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text} is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn print(user: &User, json: bool) -> Outcome {
    if json {
        output::json(&as_json(user))?;
    } else {
        output::line(&user.id)?;
    }
    Ok(())
}

const HEADINGS: &[&str] = &["user", "name", "active", "created"];

fn row(user: &User) -> Vec<String> {
    let active = if user.active { "yes" } else { "no" };
    vec![user.id.clone(), user.display_name.clone(), active.to_owned(), output::time(user.created_at.as_ref())]
}

fn as_json(user: &User) -> Value {
    json!({
        "app": user.app,
        "id": user.id,
        "display_name": user.display_name,
        "attributes": user.attributes,
        "active": user.active,
        "policy": user.policy,
        "created_at": output::json_time(user.created_at.as_ref()),
        "updated_at": output::json_time(user.updated_at.as_ref()),
    })
}
