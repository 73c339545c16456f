//! Files that go with messages: resumable uploads into an object store, and time-limited links out of it. Knows neither
//! HTTP nor tokens; gateways do, and any of them continues what another one began, because all state is in the store
//! (decision 0034).
//!
//! - [`files`]: what can be done with files; [`upload`]: bytes on their way in
//! - [`config`]: the `[files]` section
//! - `store`, `bucket`, `layout`: objects, and where each one is; `check`: whether the store does what it has to
//! - `parts`: how far an upload is; [`media`]: what a file says that it is; [`link`]: who may read it; [`range`]: which
//!   bytes
//! - `sweep`: what nobody sent goes

pub mod config;
pub mod error;
pub mod files;
pub mod id;
pub mod link;
pub mod media;
pub mod range;
pub mod upload;

mod bucket;
mod check;
mod layout;
mod parts;
mod store;
mod sweep;

pub use config::FilesConfig;
pub use error::FilesError;
pub use files::{Files, Limits, NewUpload, Owner, Progress};
pub use id::FileId;
pub use link::Link;
pub use upload::Upload;
