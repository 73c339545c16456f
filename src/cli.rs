//! The commands that talk to running servers: operators' ones over gRPC, users' ones over the gateway's WebSocket; and
//! the one that works on a node that does not run. What a command answers goes to stdout, everything else to stderr; an
//! error is one sentence and an exit code.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod app;
mod audit;
mod change;
mod chat;
mod cluster;
mod content;
mod control;
mod conversation;
mod conversations;
mod devices;
mod duration;
mod exit;
mod field;
mod files;
mod gateway;
mod group;
mod history;
mod key;
mod lifetime;
mod listen;
mod message;
mod moment;
mod output;
mod policy;
mod presence;
mod recover;
mod scheduled;
mod search;
mod send;
mod token;
mod user;
mod wording;

use std::process::ExitCode;

use clap::Subcommand;

use exit::Failure;

/// A client command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create, list, change and delete apps: namespaces of users
    #[command(subcommand)]
    App(app::AppCommand),
    /// Create, list, change, deactivate and delete users
    #[command(subcommand)]
    User(user::UserCommand),
    /// Create, list, change and delete groups, their members and invitations
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Create, list, change and delete policies: what users may do
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Create, list and revoke the tokens that clients connect with
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Create, list and revoke the API keys that backends call with
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// See what the cluster is doing, and take nodes out of it
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Send messages as a backend does, in a user's name or as the system, and tell what has become of them
    #[command(subcommand)]
    Message(message::MessageCommand),
    /// Send one message; prints its id when it is sent
    Send(Box<send::SendCommand>),
    /// List and cancel a user's messages that wait for their time (`send --at`)
    #[command(subcommand)]
    Scheduled(scheduled::ScheduledCommand),
    /// Edit, recall, wipe, react to or pin an earlier message
    #[command(subcommand)]
    Change(change::ChangeCommand),
    /// Print the messages that come, and acknowledge what was printed
    Listen(listen::ListenCommand),
    /// Chat in the terminal: `@bob hi` sends to bob, a plain line to the last one
    Chat(chat::ChatCommand),
    /// Print messages of a conversation, from the server
    History(history::HistoryCommand),
    /// Download a file that a message brought
    Download(files::DownloadCommand),
    /// Find messages of a user's history by their words
    Search(search::SearchCommand),
    /// List a user's conversations, the newest first, with what is unread
    Conversations(conversations::ConversationsCommand),
    /// Say how one conversation stands: read up to where, muted, archived, favourite, what the other may not do
    Conversation(conversation::ConversationCommand),
    /// List a user's devices, and how far each has come
    Devices(devices::DevicesCommand),
    /// Tell who is online, once or as it changes
    Presence(presence::PresenceCommand),
    Audit(Box<audit::AuditCommand>),
    Recover(recover::RecoverCommand),
}

/// Runs a command to its end.
pub fn run(command: Command) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::from(anyhow::Error::from(error)).report(),
    };
    let result = runtime.block_on(async {
        match command {
            Command::App(command) => command.run().await,
            Command::User(command) => command.run().await,
            Command::Group(command) => command.run().await,
            Command::Policy(command) => command.run().await,
            Command::Token(command) => command.run().await,
            Command::Key(command) => command.run().await,
            Command::Cluster(command) => command.run().await,
            Command::Message(command) => command.run().await,
            Command::Send(command) => command.run().await,
            Command::Scheduled(command) => command.run().await,
            Command::Change(command) => command.run().await,
            Command::Listen(command) => command.run().await,
            Command::Chat(command) => command.run().await,
            Command::History(command) => command.run().await,
            Command::Download(command) => command.run().await,
            Command::Search(command) => command.run().await,
            Command::Conversations(command) => command.run().await,
            Command::Conversation(command) => command.run().await,
            Command::Devices(command) => command.run().await,
            Command::Presence(command) => command.run().await,
            Command::Audit(command) => command.run().await,
            Command::Recover(command) => command.run(),
        }
    });
    // A read of stdin cannot be interrupted, and must not hold up the end.
    runtime.shutdown_background();
    result.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}
