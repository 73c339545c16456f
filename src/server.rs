//! The server roles: each boots a process, starts its parts, waits for the signal to stop, and ends them in order.

mod boot;
mod broker;
mod config_check;
mod control_plane;
mod demo;
mod gateway;
mod grpc;
mod standalone;
mod storage;
mod web_app;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

pub use boot::Process;
pub use storage::engine_options;

/// How a server is configured: a file, the environment, flags; later ones win.
#[derive(Debug, Clone, Args)]
pub struct ServerArguments {
    /// TOML file of sections; docs/reference/configuration.md lists them.
    #[arg(long, env = "TIDINGS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder for all that is stored (`cluster.data`).
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// One setting, over the file and the environment; may be given several times.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

/// The roles, and what looks at their configuration.
#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// Every role in one process, on embedded storage.
    Standalone(ServerArguments),
    /// Users, tokens, shard placement.
    ControlPlane(ServerArguments),
    /// Mailboxes.
    Broker(ServerArguments),
    /// Client connections.
    Gateway(ServerArguments),
    /// Looks at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// What can be asked of a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Checks every section, and names the first fault; exits 64 when there is one.
    Check(ServerArguments),
}

/// The exit code for a configuration that cannot be used (`EX_USAGE` of sysexits.h).
const EXIT_CONFIGURATION: u8 = 64;

/// Runs a role until it is told to stop.
pub fn run(command: ServerCommand) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed("starting the runtime", &error.into(), 1),
    };
    let arguments = match &command {
        ServerCommand::Config(ConfigCommand::Check(arguments)) => return config_check::run(arguments),
        ServerCommand::Standalone(arguments)
        | ServerCommand::ControlPlane(arguments)
        | ServerCommand::Broker(arguments)
        | ServerCommand::Gateway(arguments) => arguments,
    };
    let process = match runtime.block_on(Process::boot(arguments)) {
        Ok(process) => process,
        Err(error) => return failed("configuration", &error, EXIT_CONFIGURATION),
    };
    let ended = runtime.block_on(async {
        match command {
            ServerCommand::Standalone(_) => Box::pin(standalone::run(process)).await,
            ServerCommand::ControlPlane(_) => Box::pin(control_plane::run(process)).await,
            ServerCommand::Broker(_) => Box::pin(broker::run(process)).await,
            ServerCommand::Gateway(_) => Box::pin(gateway::run(process)).await,
            ServerCommand::Config(_) => Ok(()),
        }
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed("stopped", &error, 1),
    }
}

#[allow(clippy::print_stderr)] // The last word of a process to who started it.
fn failed(what: &str, error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("tidings: {what}: {error:#}");
    ExitCode::from(code)
}
