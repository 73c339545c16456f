//! Namespaces of this process's own: network, mounts and processes. Whatever the audit makes in them (bridges, mounts,
//! servers) is gone when it ends, also when it is killed.
//!
//! A process cannot move all its threads there, so it runs its own command line again inside.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

/// Set inside; what it says does not matter.
const INSIDE: &str = "TIDINGS_AUDIT_ISOLATED";
/// Named network namespaces are files here: one folder of all processes, unless something is mounted over it.
const NAMES: &str = "/run/netns";
/// Programs that make networks, with the Debian packages that hold them.
const PROGRAMS: [(&str, &str); 5] =
    [("setpriv", "util-linux"), ("unshare", "util-linux"), ("ip", "iproute2"), ("tc", "iproute2"), ("nft", "nftables")];

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

/// Runs this process's own command line again inside, and waits for its end. A request to end is handed on, for an
/// orderly end; when this process is killed, everything inside is too.
pub async fn run_again() -> Result<ExitStatus> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let command = again(std::env::args_os().skip(1).collect())?;
    let mut unshare = tokio::process::Command::from(command).spawn().context("starting unshare")?;
    loop {
        tokio::select! {
            status = unshare.wait() => return Ok(status?),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        ask_to_end(unshare.id());
    }
}

/// Asks the process that unshare started; unshare itself only waits for it.
fn ask_to_end(unshare: Option<u32>) {
    let children = unshare.and_then(|id| fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok());
    let children = children.unwrap_or_default();
    let ids = children.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?));
    // One that has ended needs no asking.
    ids.for_each(|id| _ = kill_process(id, Signal::TERM));
}

/// For a test that needs namespaces: runs the body inside, in a process of its own that runs this one test. The test
/// has to be a plain `#[test]` of this name; it fails when the inner one does.
pub fn test(name: &str, body: impl FnOnce()) -> Result<()> {
    if is_inside() {
        body();
        return Ok(());
    }
    is_possible()?;
    let arguments = ["--exact", name, "--nocapture", "--include-ignored"];
    let status = again(arguments.iter().map(OsString::from).collect())?.status().context("starting unshare")?;
    ensure!(status.success(), "{name} failed inside its namespaces, with {status}");
    Ok(())
}

/// The command that runs this program with other arguments inside. It dies with the thread that starts it.
fn again(arguments: Vec<OsString>) -> Result<Command> {
    let own = std::env::current_exe().context("finding the path of this program")?;
    let prepare =
        format!("ip link set lo up && mkdir -p {NAMES} && mount -t tmpfs tidings-audit {NAMES} && exec \"$0\" \"$@\"");
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]);
    command.args(["--mount-proc", "sh", "-c", &prepare]).arg(own).args(arguments).env(INSIDE, "1");
    Ok(command)
}

/// Whether a program is on the path.
pub(crate) fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(name).is_file())
}
