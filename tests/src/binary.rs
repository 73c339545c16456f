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

/// The path of the last release's `tidings`: named by `TIDINGS_LAST_RELEASE`, or built by `scripts/last-release`.
pub fn last_release() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/last-release");
        let output = Command::new(script).stderr(Stdio::inherit()).output().expect("the script can be started");
        assert!(output.status.success(), "there is no binary of the last release");
        String::from_utf8(output.stdout).expect("a path").trim().into()
    })
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
