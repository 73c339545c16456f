//! The command line, as a person types it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::{Node, binary};

/// One node, and the commands of a person beside it.
pub struct Shell {
    node: Node,
    state: PathBuf,
}

impl Shell {
    /// With a node of its own.
    pub async fn new() -> Self {
        let node = Node::start().await;
        let state = node.scratch("state");
        Self { node, state }
    }

    /// A command that finds the node and its operator's key.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary::tidings());
        command.args(words);
        command.env("TIDINGS_CONTROL", self.node.control_url()).env("TIDINGS_GATEWAY", self.node.gateway_url());
        command.env("TIDINGS_API_KEY_FILE", self.node.data().join("operator.key"));
        command.env("XDG_STATE_HOME", &self.state).env_remove("TIDINGS_TOKEN").env_remove("TIDINGS_API_KEY");
        command
    }

    /// Runs a command with this input; other tasks go on meanwhile.
    pub async fn run_with(&self, words: &[&str], input: &str) -> Output {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut stdin = process.stdin.take().unwrap();
        // A command that reads nothing may have closed it.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        tokio::task::spawn_blocking(move || process.wait_with_output().unwrap()).await.unwrap()
    }

    /// Runs a command; its exit code, and what it printed.
    pub async fn run(&self, words: &[&str]) -> (i32, String) {
        let output = self.run_with(words, "").await;
        let code = output.status.code().unwrap();
        if code != 0 {
            println!("{words:?}: {code}: {}", String::from_utf8_lossy(&output.stderr));
        }
        (code, String::from_utf8(output.stdout).unwrap())
    }

    /// What a command printed, which has to be done.
    pub async fn ok(&self, words: &[&str]) -> String {
        let (code, stdout) = self.run(words).await;
        assert_eq!(code, 0, "{words:?}");
        stdout
    }

    /// A new user; its token.
    pub async fn person(&self, id: &str) -> String {
        self.ok(&["user", "create", id]).await;
        self.ok(&["token", "create", id]).await.trim().to_owned()
    }

    /// A place for a file.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.node.scratch(name)
    }
}
