//! The commands of a chat about groups: which the user is in, and what its role lets it do there.

use clap::ValueEnum as _;
use tidings_sdk::RequestError;
use tidings_sdk::group::{Member, Permission, Role, SettingsChange};

use super::Chat;
use crate::cli::group;

/// Members and groups that are shown.
const SHOWN: u32 = 100;

impl Chat {
    /// Does what a command says, and answers what is to be shown.
    pub(super) async fn about_groups(&mut self, command: &str, argument: &str) -> Result<String, RequestError> {
        match command {
            "/groups" => return self.groups().await,
            "/join" => return self.join(argument).await,
            "/create" => return self.create(argument).await,
            _ => {}
        }
        let act = match Act::parse(command, argument) {
            Ok(act) => act,
            Err(why_not) => return Ok(why_not),
        };
        match self.group() {
            Some(group) => self.act(group, act).await,
            None => Ok("in which group? #team hi".to_owned()),
        }
    }

    async fn act(&self, group: &str, act: Act) -> Result<String, RequestError> {
        let client = &self.client;
        match act {
            Act::Members => return self.members(group).await,
            Act::Leave => {
                client.leave_group(group).await?;
                return Ok(format!("you are not in #{group} any more"));
            }
            Act::Delete => client.delete_group(group).await?,
            Act::Add(users) => client.add_to_group(group, users).await?,
            Act::Remove(users) => client.remove_from_group(group, users).await?,
            Act::Role(user, role) => client.set_group_role(group, user, role).await?,
            Act::Permit { user, allow, deny } => client.set_group_permissions(group, user, &allow, &deny).await?,
            Act::Pause(paused) => client.pause_group(group, paused).await?,
            Act::Change(change) => client.update_group(group, change).await?,
        };
        Ok(format!("done in #{group}"))
    }

    async fn groups(&self) -> Result<String, RequestError> {
        let page = self.client.groups(SHOWN, "").await?;
        let groups = page.groups.into_iter().filter_map(|state| state.group);
        let names: Vec<_> = groups.map(|group| format!("#{} ({} members)", group.id, group.members)).collect();
        Ok(if names.is_empty() { "you are in no group".to_owned() } else { names.join(", ") })
    }

    async fn members(&self, group: &str) -> Result<String, RequestError> {
        let page = self.client.group_members(group, SHOWN, "").await?;
        let more = if page.next_page_token.is_empty() { "" } else { " and more" };
        let names: Vec<_> = page.members.iter().map(name).collect();
        Ok(format!("#{group}: {}{more}", names.join(", ")))
    }

    async fn join(&mut self, code: &str) -> Result<String, RequestError> {
        let joined = self.client.join_group(code).await?.group.unwrap_or_default();
        Ok(self.enter(&joined.id).await)
    }

    async fn create(&mut self, argument: &str) -> Result<String, RequestError> {
        let mut names = argument.split_whitespace().map(str::to_owned);
        let Some(group) = names.next() else { return Ok("which group? /create team bob carol".to_owned()) };
        self.client.create_group(group.as_str(), "", names).await?;
        Ok(self.enter(&group).await)
    }

    /// Talks to a group that the user has just come into.
    async fn enter(&mut self, group: &str) -> String {
        self.leave().await;
        self.peer = Some(format!("#{group}"));
        self.screen.prompt = format!("#{group}> ");
        format!("you are in #{group} now")
    }
}

/// Something about the group that is talked to.
#[derive(Debug, PartialEq)]
enum Act {
    Members,
    Leave,
    Delete,
    Add(Vec<String>),
    Remove(Vec<String>),
    Role(String, Role),
    Permit { user: String, allow: Vec<Permission>, deny: Vec<Permission> },
    Pause(bool),
    Change(SettingsChange),
}

impl Act {
    /// The error is what to say to people.
    fn parse(command: &str, argument: &str) -> Result<Self, String> {
        let users = || argument.split_whitespace().map(str::to_owned).collect();
        Ok(match command {
            "/members" => Self::Members,
            "/leave" => Self::Leave,
            "/delete" => Self::Delete,
            "/add" => Self::Add(users()),
            "/remove" => Self::Remove(users()),
            "/pause" => Self::Pause(true),
            "/resume" => Self::Pause(false),
            "/name" => {
                let display_name = Some(argument.to_owned());
                Self::Change(SettingsChange { display_name, ..SettingsChange::default() })
            }
            "/kind" => {
                let kind = group::Kind::from_str(argument, true)
                    .map_err(|_| "which kind? /kind announcement (or normal, listeners, hunt)")?;
                let kind = Some(tidings_sdk::group::Kind::from(kind).into());
                Self::Change(SettingsChange { kind, ..SettingsChange::default() })
            }
            "/role" => {
                let given = argument.split_once(' ');
                let role = given.and_then(|(user, role)| Some((user, group::Role::from_str(role.trim(), true).ok()?)));
                let (user, role) = role.ok_or("whose, and which? /role bob admin (or member, owner)")?;
                Self::Role(user.to_owned(), role.into())
            }
            "/permit" => {
                let (user, names) = argument.split_once(' ').ok_or("whom, and what? /permit bob add,remove,-send")?;
                let names = names.trim().split(',');
                let (deny, allow): (Vec<_>, Vec<_>) = names.partition(|name| name.starts_with('-'));
                let list = |names: Vec<&str>| {
                    let names = names.into_iter().map(|name| name.trim_start_matches('-'));
                    names.map(group::permission).collect::<Result<_, _>>()
                };
                Self::Permit { user: user.to_owned(), allow: list(allow)?, deny: list(deny)? }
            }
            _ => return Err(format!("{command} is no command: /help")),
        })
    }
}

fn name(member: &Member) -> String {
    match member.role() {
        Role::Member => member.user.clone(),
        Role::Admin => format!("{} (admin)", member.user),
        Role::Owner => format!("{} (owner)", member.user),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_say_what_is_done_or_what_they_need() {
        let permit = Act::Permit {
            user: "bob".to_owned(),
            allow: vec![Permission::Add, Permission::Remove],
            deny: vec![Permission::Send],
        };
        assert_eq!(Act::parse("/permit", "bob add,remove,-send"), Ok(permit));
        assert_eq!(Act::parse("/role", "bob Admin"), Ok(Act::Role("bob".to_owned(), Role::Admin)));
        assert_eq!(Act::parse("/add", "bob carol"), Ok(Act::Add(vec!["bob".to_owned(), "carol".to_owned()])));
        for (command, argument) in [
            ("/role", "bob"),
            ("/role", "bob king"),
            ("/kind", ""),
            ("/permit", "bob fly"),
            ("/permit", "bob"),
            ("/x", ""),
        ] {
            assert!(Act::parse(command, argument).is_err(), "{command} {argument}");
        }
    }
}
