//! A folder, which is the default.

use std::path::Path;

use tidings_files::{Files, FilesConfig, FilesError, NewUpload};
use tidings_node::Clock;
use tidings_node::secret::Secret;

use crate::suite::{self, ALICE, World, content, limits, send};

/// A gateway's view of a folder.
fn gateway(folder: &Path, clock: &Clock, config: FilesConfig) -> Files {
    let secret = Secret::new("the-cluster-secret").unwrap();
    Files::open(config, Some(folder), &secret, clock.clone()).unwrap().unwrap()
}

struct Folder {
    folder: tempfile::TempDir,
    clock: Clock,
}

impl Folder {
    fn new() -> Self {
        let clock = Clock::manual(Clock::system().now_ms());
        Self { folder: tempfile::tempdir().unwrap(), clock }
    }
}

impl World for Folder {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    async fn gateway(&self) -> Files {
        let files = gateway(self.folder.path(), &self.clock, FilesConfig::default());
        files.check().await.unwrap();
        files
    }

    async fn objects(&self) -> Vec<String> {
        fn walk(folder: &Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else {
                    found.push(path.display().to_string());
                }
            }
        }
        let mut found = Vec::new();
        walk(self.folder.path(), &mut found);
        found
    }

    async fn put(&self, path: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(path), bytes).unwrap();
    }

    async fn remove(&self, path: &str) {
        std::fs::remove_file(self.folder.path().join(path)).unwrap();
    }
}

suite::holds!(Folder::new());

#[tokio::test]
async fn so_many_bring_bytes_at_a_moment_and_no_more() {
    let world = Folder::new();
    let files = gateway(world.folder.path(), &world.clock, FilesConfig { max_uploads: 1, ..FilesConfig::default() });
    let new = NewUpload { size: 10, ..NewUpload::default() };
    let (one, _) = files.create(ALICE, new.clone(), &limits()).await.unwrap();
    let (two, _) = files.create(ALICE, new, &limits()).await.unwrap();
    let sending = files.resume(ALICE, &one, 0).await.unwrap();
    assert!(matches!(send(&files, ALICE, &two, 0, content(10)).await, Err(FilesError::Busy)));
    drop(sending);
    assert!(send(&files, ALICE, &two, 0, content(10)).await.is_ok());
}

#[tokio::test]
async fn without_a_place_there_are_no_files() {
    let secret = Secret::new("the-cluster-secret").unwrap();
    let open = |config, default: Option<&Path>| Files::open(config, default, &secret, Clock::manual(0));
    assert!(open(FilesConfig::default(), None).unwrap().is_none());
    let off = FilesConfig { max_file_bytes: 0, ..FilesConfig::default() };
    assert!(open(off, Some(Folder::new().folder.path())).unwrap().is_none());
    let file = tempfile::NamedTempFile::new().unwrap();
    let unusable = FilesConfig { folder: file.path().to_owned(), ..FilesConfig::default() };
    assert!(matches!(open(unusable, None), Err(FilesError::Config(_))));
}
