//! The pure core: commands in, records and refusals out; the same on every replica, without I/O, clock or randomness.
//!
//! - [`machine`]: from the log's bytes to the functions below
//! - [`apps`], [`users`], [`tokens`], [`api_keys`], [`policies`], [`groups`], [`cluster`]: what each command does, and
//!   who may be told what
//! - [`erasures`]: users who were deleted, until the brokers have nothing of them
//! - [`changes`]: the bounded log of what caches outside must hear of
//! - [`sweep`]: removes what is past its time, step by step
//! - [`keys`], [`record`], [`read`]: where things lie, in which format, and how they are read
//! - [`refusal`]: why not

pub mod api_keys;
pub mod apps;
pub mod changes;
pub mod cluster;
pub mod erasures;
pub mod format_1;
pub mod groups;
pub mod keys;
pub mod machine;
pub mod policies;
pub mod read;
pub mod record;
pub mod refusal;
pub mod sweep;
pub mod tokens;
pub mod users;

#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod erasure_tests;
#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod property_tests;
