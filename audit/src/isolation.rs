//! Namespaces of this process's own: network, mounts and processes. Whatever the audit makes in them (bridges, mounts,
//! servers) is gone when it ends, also when it is killed.
//!
//! A process cannot move all its threads there, so it runs its own command line again inside.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitStatus};

use anyhow::{Context as _, Result, ensure};

/// Set inside; what it says does not matter.
const INSIDE: &str = "TIDINGS_AUDIT_ISOLATED";
/// Named network namespaces are files here: one folder of all processes, unless something is mounted over it.
const NAMES: &str = "/run/netns";
/// Programs that make networks, with the Debian packages that hold them.
const PROGRAMS: [(&str, &str); 4] =
    [("unshare", "util-linux"), ("ip", "iproute2"), ("tc", "iproute2"), ("nft", "nftables")];

/// Whether this process runs in namespaces of its own.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Whether this user may make namespaces, mount and trace.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether this machine and user allow it; the error is the reason why not.
pub fn is_possible() -> Result<()> {
    ensure!(is_root(), "only root may make namespaces");
    for (program, package) in PROGRAMS {
        ensure!(has_program(program), "{program} is missing (Debian package {package})");
    }
    let made = Command::new("unshare").args(["--net", "--mount", "--pid", "--fork", "true"]).output()?;
    ensure!(made.status.success(), "no namespaces here: {}", String::from_utf8_lossy(&made.stderr).trim());
    Ok(())
}

/// Runs this process's own command line again inside, and waits for its end.
pub fn run_again() -> Result<ExitStatus> {
    run(std::env::args_os().skip(1).collect())
}

/// For a test that needs namespaces: runs the body inside, in a process of its own that runs this one test. The test has to
/// be a plain `#[test]` of this name; it fails when the inner one does.
pub fn test(name: &str, body: impl FnOnce()) -> Result<()> {
    if is_inside() {
        body();
        return Ok(());
    }
    is_possible()?;
    let arguments = ["--exact", name, "--nocapture", "--include-ignored"];
    let status = run(arguments.iter().map(OsString::from).collect())?;
    ensure!(status.success(), "{name} failed inside its namespaces, with {status}");
    Ok(())
}

fn run(arguments: Vec<OsString>) -> Result<ExitStatus> {
    let own = std::env::current_exe().context("finding the path of this program")?;
    let prepare =
        format!("ip link set lo up && mkdir -p {NAMES} && mount -t tmpfs tidings-audit {NAMES} && exec \"$0\" \"$@\"");
    Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", &prepare])
        .arg(own)
        .args(arguments)
        .env(INSIDE, "1")
        .status()
        .context("starting unshare")
}

/// Whether a program is on the path.
pub(crate) fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(name).is_file())
}
