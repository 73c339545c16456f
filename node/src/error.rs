//! Why a process cannot boot, each in one sentence that a person can act on.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What can be wrong before a process serves.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration file could not be read.
    #[error("cannot read the configuration file {}: {source}", file.display())]
    ConfigFile {
        /// The file that was named.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration file is no TOML of sections.
    #[error("{}, line {line}: {reason}", file.display())]
    ConfigSyntax {
        /// The file that was named.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A flag that is not `section.key=value`.
    #[error("the flag {flag:?} is not of the form section.key=value")]
    ConfigFlag {
        /// The name that was given.
        flag: String,
    },
    /// A value that does not fit its key, a key that is unknown, or values that do not fit each other.
    #[error("{place}: {reason}")]
    ConfigValue {
        /// File or variable, section and key.
        place: String,
        /// What is wrong there.
        reason: String,
    },
    /// The log filter cannot be parsed.
    #[error("[telemetry] filter {filter:?}: {reason}")]
    LogFilter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A logger or a metrics recorder is installed already.
    #[error("{what} is installed in this process already")]
    AlreadyInstalled {
        /// Which one.
        what: &'static str,
    },
    /// A port could not be opened.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate or key file that cannot be used.
    #[error("TLS: {}: {reason}", file.display())]
    Tls {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A secret file that cannot be read, made, or trusted.
    #[error("the secret file {}: {reason}", file.display())]
    Secret {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The number of the process's start cannot be read or written down.
    #[error("{}: {reason}", file.display())]
    Incarnation {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Signal handlers could not be set.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
}
