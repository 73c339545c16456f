//! The binary under test: named by `TIDINGS_BIN`, or built where this test was built. And the last release's.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The path of `tidings`.
pub fn tidings() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("TIDINGS_BIN") {
        Some(path) => path.into(),
        None => build(),
    })
}

/// What `scripts/last-release` ends with where the history does not hold the release.
const NO_HISTORY: i32 = 3;

/// The path of the last release's `tidings`: named by `TIDINGS_LAST_RELEASE`, or built by `scripts/last-release`.
/// `None`, and said so, in a copy of the source without its history: there is nothing to build it from.
#[allow(clippy::print_stderr)] // Why a test tested nothing.
pub fn last_release() -> Option<&'static PathBuf> {
    static BINARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let binary = BINARY.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/last-release");
        let output = Command::new(script).stderr(Stdio::inherit()).output().expect("the script can be started");
        if output.status.code() == Some(NO_HISTORY) {
            return None;
        }
        assert!(output.status.success(), "there is no binary of the last release");
        Some(String::from_utf8(output.stdout).expect("a path").trim().into())
    });
    if binary.is_none() {
        eprintln!("not tested: this copy has no history to build the last release from");
    }
    binary.as_ref()
}

fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    // <target>/<profile>/deps/<test>
    let profile = test.parent().and_then(|deps| deps.parent()).expect("a test lies in <profile>/deps");
    let target = profile.parent().expect("a profile lies in the target folder");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "-p", "tidings", "--bin", "tidings", "--target-dir"]).arg(target);
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "the binary was not built");
    profile.join("tidings")
}
