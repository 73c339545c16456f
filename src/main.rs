//! The `tidings` binary: every server role, and the commands of operators and users. Each command has a file of its
//! own.

mod cli;
mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A real-time communication platform that you host yourself.
#[derive(Debug, Parser)]
#[command(name = "tidings", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Client(cli::Command),
    #[command(flatten)]
    Server(server::ServerCommand),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Client(command) => cli::run(command),
        Command::Server(command) => server::run(command),
    }
}
