//! SIGTERM and SIGINT: the first asks the process to end in order, the second ends it at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{Error, Shutdown};

/// The exit code after a second signal.
pub const EXIT_CODE_AT_ONCE: i32 = 130;

/// Requests the shutdown at the first signal and exits at the second. Takes effect when it returns; must be called
/// within a runtime.
pub fn listen(shutdown: Shutdown) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    tokio::spawn(async move {
        let name = next(&mut terminate, &mut interrupt).await;
        tracing::info!(signal = name, "shutting down; the same signal again ends the process at once");
        shutdown.request();
        let name = next(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = name, "ending at once");
        std::process::exit(EXIT_CODE_AT_ONCE);
    });
    Ok(())
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    const CHILD: &str = "TIDINGS_TEST_SIGNALS_CHILD";

    /// Runs only as the child of the test below: signals belong to a whole process.
    #[tokio::test]
    async fn as_a_child() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let shutdown = Shutdown::new();
        listen(shutdown.clone()).unwrap();
        println!("\nlistening");
        shutdown.requested().await;
        println!("\nrequested");
        std::future::pending::<()>().await;
    }

    fn send(child: &Child, signal: &str) {
        let status = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    #[test]
    fn the_first_requests_and_the_second_exits() {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "signals::tests::as_a_child", "--nocapture"])
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line == "listening"));
        send(&child, "-TERM");
        assert!(lines.any(|line| line == "requested"));
        send(&child, "-INT");
        assert_eq!(child.wait().unwrap().code(), Some(EXIT_CODE_AT_ONCE));
    }
}
