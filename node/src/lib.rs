//! What every process boots with: configuration, telemetry, TLS, health, shutdown, clock, secrets.
//!
//! - [`config`]: file, environment and flags into checked sections
//! - [`cluster`]: the `[cluster]` section: which node of which cluster this is, and where its data lies
//! - [`heartbeat`] and [`incarnation`]: what the node tells the control plane, and which start of it this is
//! - [`telemetry`]: logs for people or as JSON
//! - [`metrics`]: Prometheus metrics, of the services and of the process
//! - [`health`] and [`admin`]: what the process says about itself, and the HTTP port that says it
//! - [`tls`]: certificates from files, taken up again when they change
//! - [`control_plane`]: questions to the control plane's nodes, of which any may answer
//! - [`dial`]: connections to other nodes, with that TLS or without
//! - [`secret`] and [`bearer`]: secret files, and the gRPC header that carries a secret
//! - [`membership`]: what the members of a cluster show each other with every call
//! - [`tasks`], [`signals`], [`shutdown`]: what runs, and how it ends in order
//! - [`clock`]: wall time that tests can move
//! - [`backoff`] and [`cache`]: waiting times between attempts, and a map that forgets

pub mod admin;
pub mod backoff;
pub mod bearer;
pub mod cache;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod control_plane;
pub mod dial;
pub mod error;
pub mod health;
pub mod heartbeat;
pub mod incarnation;
pub mod membership;
pub mod metrics;
pub mod process;
pub mod secret;
pub mod shutdown;
pub mod signals;
pub mod tasks;
pub mod telemetry;
pub mod tls;

mod section;

pub use clock::Clock;
pub use config::{Config, Section};
pub use dial::Dialer;
pub use error::Error;
pub use health::Health;
pub use membership::Membership;
pub use shutdown::Shutdown;
pub use tasks::Tasks;
