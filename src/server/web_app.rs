//! The web app, embedded as `npm run build` made it (sdk/web/messenger/dist). A debug build reads it from there each
//! time.

use rust_embed::RustEmbed;
use tidings_gateway::{Asset, Assets};

#[derive(RustEmbed)]
#[folder = "sdk/web/messenger/dist"]
#[allow_missing = true]
struct Dist;

/// Hexadecimal digits of a content's hash that name it.
const VERSION_DIGITS: usize = 16;

/// The app's files; nothing where it was not built.
pub const ASSETS: Assets = |name| {
    let file = Dist::get(name)?;
    let hash = file.metadata.sha256_hash();
    let version = hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Some(Asset { bytes: file.data.into_owned().into(), version: version[..VERSION_DIGITS].to_owned() })
};
