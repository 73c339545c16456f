//! Files of messages: up with `tidings send --file`, and down with `tidings download`.

use std::path::{Path, PathBuf};

use clap::Args;
use tidings_sdk::{Attachment, FileError, FileInfo, Files};

use super::exit::{EXIT_CODES, Exit, Failure, Outcome};
use super::gateway::GatewayOptions;
use super::output;

/// `tidings download`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct DownloadCommand {
    /// The file's id, as `listen` and `history` print it
    file: String,
    /// Where to write it; `-` is stdout. A file that exists is not touched
    #[arg(long, short, value_name = "PATH")]
    output: PathBuf,
    #[command(flatten)]
    gateway: GatewayOptions,
}

impl DownloadCommand {
    pub async fn run(self) -> Outcome {
        let files = self.gateway.sender()?.files()?;
        let attachment = Attachment { file: self.file.clone(), ..Attachment::default() };
        if self.output == Path::new("-") {
            return Ok(files.download(&attachment, &mut tokio::io::stdout(), |_, _| ()).await?);
        }
        let created = tokio::fs::File::options().write(true).create_new(true).open(&self.output).await;
        let mut to = created
            .map_err(|error| Failure::new(Exit::Other, format!("cannot write {}: {error}", self.output.display())))?;
        let downloaded = files.download(&attachment, &mut to, |_, _| ()).await;
        if downloaded.is_err() {
            // Half of a file is none; its removal may fail as the rest did.
            let _ = tokio::fs::remove_file(&self.output).await;
        }
        downloaded?;
        to.sync_all().await?;
        Ok(output::line(&self.output.display().to_string())?)
    }
}

/// Uploads these files, in order.
pub async fn upload(files: &Files, paths: &[PathBuf]) -> Outcome<Vec<Attachment>> {
    let mut attachments = Vec::new();
    for path in paths {
        let unreadable = |error| Failure::new(Exit::Other, format!("cannot read {}: {error}", path.display()));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // By what it is, and not by what it is called.
        let media_type = infer::get_from_path(path).map_err(unreadable)?.map_or("", |found| found.mime_type());
        let mut source = tokio::fs::File::open(path).await.map_err(unreadable)?;
        let info = FileInfo { name, media_type: media_type.to_owned() };
        attachments.push(files.upload(&mut source, &info, |_, _| ()).await?);
    }
    Ok(attachments)
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let exit = match &error {
            FileError::Refused { code, .. } => (*code).into(),
            FileError::Unreachable(_) => Exit::Unreachable,
            FileError::Token(_) => Exit::NotAllowed,
            FileError::Changed | FileError::Io(_) => Exit::Other,
            FileError::Elsewhere(_) => Exit::Invalid,
        };
        Self::new(exit, error.to_string())
    }
}
