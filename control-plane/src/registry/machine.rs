//! The registry as a state machine of the consensus engine: decodes a command, has it done, tells watchers.

use prost::Message;
use tidings_consensus::{ApplyContext, StateMachine, StateStore, StateView};
use tidings_proto::ErrorCode;
use tidings_proto::registry::v1::{Command, Done, Swept, command};
use tokio::sync::watch;

use super::changes::{self, Changes};
use super::refusal::Refusal;
use super::{api_keys, apps, cluster, erasures, format_1, groups, policies, sweep, tokens, users};

/// The format of commands written by this build. It says how a command is applied, besides how it is written: what a
/// log leads to must not depend on the version that reads it (promise 7). See [`format_1`] for the other one.
const COMMAND_FORMAT: u8 = 2;
const FORMAT_1: u8 = 1;

/// Up to which level this build applies commands. Level 1 came with policies and groups, level 2 with what policies say
/// of files, level 3 with what they say of contacts, level 4 with the erasure of deleted users, with apps that are
/// inactive, and with users that are made with a policy.
pub const LEVEL: u32 = 4;

/// The level that the control plane must have before a command may stand in its log.
pub fn level_of(command: &command::Command) -> u32 {
    use command::Command as C;
    match command {
        C::CreatePolicy(create) => policies::level_to_create(create),
        C::UpdatePolicy(update) => policies::level_to_update(update),
        C::DeletePolicy(_) | C::ActOnGroup(_) | C::CreateInvite(_) | C::DeleteInvite(_) => 1,
        C::UpdateUser(update) if update.policy.is_some() => 1,
        C::UpdateApp(update) if update.active.is_some() => 4,
        C::CreateUser(create) if !create.policy.is_empty() => 4,
        C::DeleteUser(_) | C::DeleteApp(_) | C::EndErasures(_) => erasures::LEVEL,
        _ => 0,
    }
}

/// What a command led to.
pub use tidings_proto::registry::v1::outcome::Outcome;

/// A command as it goes into the log.
pub fn encode_command(command: command::Command) -> bytes::Bytes {
    let mut bytes = vec![COMMAND_FORMAT];
    bytes.extend_from_slice(&Command { command: Some(command) }.encode_to_vec());
    bytes.into()
}

fn decode_command(bytes: &[u8]) -> Result<(u8, command::Command), Refusal> {
    let unknown = |reason: String| Refusal::new(ErrorCode::Internal, reason);
    let (format, body) = match bytes.split_first() {
        Some((&format @ (FORMAT_1 | COMMAND_FORMAT), body)) => (format, body),
        Some((format, _)) => return Err(unknown(format!("a command has the format {format}, which is not known"))),
        None => return Err(unknown("a command is empty".to_owned())),
    };
    let decoded = Command::decode(body).map_err(|error| unknown(format!("a command is damaged: {error}")))?;
    let command = decoded.command.ok_or_else(|| unknown("a command is of a kind that is not known".to_owned()))?;
    Ok((format, command))
}

/// Applies one command; nothing but its arguments matters.
pub fn apply(context: &ApplyContext, command: &[u8], store: &mut dyn StateStore) -> (Result<Outcome, Refusal>, bool) {
    let mut changes = Changes::of(context);
    let outcome = decode_command(command).and_then(|(format, command)| match format {
        FORMAT_1 => dispatch_format_1(context, command, store, &mut changes),
        _ => dispatch(context, command, store, &mut changes),
    });
    (outcome, changes.any())
}

fn dispatch_format_1(
    context: &ApplyContext,
    command: command::Command,
    store: &mut dyn StateStore,
    changes: &mut Changes<'_>,
) -> Result<Outcome, Refusal> {
    use command::Command as C;
    match command {
        C::Bootstrap(command) => Ok(Outcome::Settings(format_1::bootstrap(store, context, command, changes)?)),
        C::RegisterNode(command) => Ok(Outcome::Node(format_1::register(store, context, command, changes)?)),
        others => dispatch(context, others, store, changes),
    }
}

fn dispatch(
    context: &ApplyContext,
    command: command::Command,
    store: &mut dyn StateStore,
    changes: &mut Changes<'_>,
) -> Result<Outcome, Refusal> {
    use command::Command as C;
    Ok(match command {
        C::Bootstrap(command) => Outcome::Settings(cluster::bootstrap(store, context, command, changes)?),
        C::CreateApp(command) => Outcome::App(apps::create(store, context, command)?),
        C::UpdateApp(command) => Outcome::App(apps::update(store, command, changes)?),
        C::DeleteApp(command) => {
            apps::delete(store, command, changes)?;
            Outcome::Deleted(Done {})
        }
        C::CreateUser(command) => Outcome::User(users::create(store, context, command, changes)?),
        C::UpdateUser(command) => Outcome::User(users::update(store, context, command, changes)?),
        C::DeleteUser(command) => {
            users::delete(store, context, command, changes)?;
            Outcome::Deleted(Done {})
        }
        C::EndErasures(command) => {
            erasures::end(store, command)?;
            Outcome::Deleted(Done {})
        }
        C::CreateToken(command) => Outcome::Token(tokens::create(store, context, command, changes)?),
        C::RevokeToken(command) => Outcome::Token(tokens::revoke(store, context, command, changes)?),
        C::CreateApiKey(command) => Outcome::ApiKey(api_keys::create(store, context, command)?),
        C::RevokeApiKey(command) => Outcome::ApiKey(api_keys::revoke(store, context, command)?),
        C::RegisterNode(command) => Outcome::Node(cluster::register(store, context, command, changes)?),
        C::Sweep(_) => Outcome::Swept(Swept { more: sweep::due(store, context, changes)? }),
        C::PlaceShards(command) => Outcome::Placed(cluster::place(store, command, changes)?),
        C::SetNodePhase(command) => Outcome::Node(cluster::set_phase(store, command, changes)?),
        C::RemoveNode(command) => Outcome::Node(cluster::remove(store, command, changes)?),
        C::CreatePolicy(command) => Outcome::Policy(policies::create(store, context, command, changes)?),
        C::UpdatePolicy(command) => Outcome::Policy(policies::update(store, context, command, changes)?),
        C::DeletePolicy(command) => {
            policies::delete(store, command, changes)?;
            Outcome::Deleted(Done {})
        }
        C::ActOnGroup(command) => Outcome::Group(groups::act(&mut groups::Apply { store, context, changes }, command)?),
        C::CreateInvite(command) => Outcome::Invite(groups::invites::create(store, context, command)?),
        C::RaiseLevel(command) => Outcome::Settings(cluster::raise_level(store, command.level)?),
        C::DeleteInvite(command) => {
            groups::invites::delete(store, context, command)?;
            Outcome::Deleted(Done {})
        }
    })
}

/// The state machine. All it keeps in memory is the newest revision, for those who wait for it.
#[derive(Debug)]
pub struct RegistryMachine {
    revision: u64,
    published: watch::Sender<u64>,
}

impl RegistryMachine {
    /// The machine, and the newest revision whose changes can be read from a view.
    pub fn new() -> (Self, watch::Receiver<u64>) {
        let (published, revisions) = watch::channel(0);
        (Self { revision: 0, published }, revisions)
    }
}

impl StateMachine for RegistryMachine {
    type Reply = Result<Outcome, Refusal>;

    fn apply(&mut self, context: &ApplyContext, command: &[u8], store: &mut dyn StateStore) -> Self::Reply {
        let (outcome, changed) = apply(context, command, store);
        if changed {
            self.revision = context.index;
        }
        outcome
    }

    async fn committed(&mut self, _is_leader: bool) {
        self.published.send_if_modified(|published| std::mem::replace(published, self.revision) != self.revision);
    }

    fn restored(&mut self, view: &StateView) -> Result<(), tidings_consensus::Error> {
        self.revision =
            changes::state(view).map_err(|refusal| tidings_consensus::Error::Storage(refusal.to_string()))?.revision;
        self.published.send_replace(self.revision);
        Ok(())
    }
}
