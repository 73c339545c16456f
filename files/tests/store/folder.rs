//! A folder, which is the default.

use std::path::Path;

use tidings_files::{FileId, Files, FilesConfig, FilesError, NewUpload};
use tidings_node::Clock;
use tidings_node::secret::Secret;

use crate::suite::{self, ALICE, content, limits, send};

/// A gateway's view of a folder.
fn gateway(folder: &Path, clock: &Clock, config: FilesConfig) -> Files {
    let secret = Secret::new("the-cluster-secret").unwrap();
    Files::open(config, Some(folder), &secret, clock.clone()).unwrap().unwrap()
}

struct World {
    folder: tempfile::TempDir,
    clock: Clock,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual(Clock::system().now_ms());
        Self { folder: tempfile::tempdir().unwrap(), clock }
    }

    fn gateway(&self) -> Files {
        gateway(self.folder.path(), &self.clock, FilesConfig::default())
    }

    fn objects(&self) -> Vec<String> {
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
}

#[tokio::test]
async fn an_upload_goes_on_at_another_gateway() {
    let world = World::new();
    suite::goes_on_at_another_gateway([&world.gateway(), &world.gateway(), &world.gateway()]).await;
}

#[tokio::test]
async fn two_at_once_do_no_harm() {
    let world = World::new();
    for _ in 0..10 {
        suite::two_at_once_do_no_harm([&world.gateway(), &world.gateway()]).await;
    }
}

#[tokio::test]
async fn repeated_bytes_are_not_stored_twice() {
    suite::repeated_bytes_are_not_stored_twice(&World::new().gateway()).await;
}

#[tokio::test]
async fn others_find_nothing() {
    suite::others_find_nothing(&World::new().gateway()).await;
}

#[tokio::test]
async fn limits_hold() {
    suite::limits_hold(&World::new().gateway()).await;
}

#[tokio::test]
async fn only_what_is_named_stays() {
    let world = World::new();
    suite::only_what_is_named_stays(&world.gateway(), &world.clock).await;
    // The last traces go a day later, but for the file that was named.
    world.clock.advance_ms(26 * 3_600_000);
    world.gateway().sweep().await.unwrap();
    let left = world.objects();
    assert_eq!(left.len(), 4, "record, part, file and fate of one: {left:?}");
}

#[tokio::test]
async fn a_name_and_the_sweep_agree() {
    let world = World::new();
    for _ in 0..5 {
        suite::a_name_and_the_sweep_agree([&world.gateway(), &world.gateway()], &world.clock).await;
    }
}

#[tokio::test]
async fn given_up_is_gone() {
    suite::given_up_is_gone(&World::new().gateway()).await;
}

#[tokio::test]
async fn a_gateway_that_ends_after_the_last_byte_leaves_a_file_to_be_made() {
    let world = World::new();
    let bytes = content(50_000);
    let id = suite::uploaded(&world.gateway(), bytes.clone()).await;
    let file = world.gateway().file("app", &id).await.unwrap();
    // As it was before the file's record was written.
    std::fs::remove_file(world.folder.path().join(format!("files/app/{id}/file"))).unwrap();
    assert!(matches!(world.gateway().file("app", &id).await, Err(FilesError::NotFound)));
    let made = world.gateway().complete(ALICE, &id).await.unwrap();
    assert_eq!((made.sha256, made.parts), (file.sha256, file.parts));
}

#[tokio::test]
async fn so_many_bring_bytes_at_a_moment_and_no_more() {
    let world = World::new();
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
    assert!(open(off, Some(World::new().folder.path())).unwrap().is_none());
    let file = tempfile::NamedTempFile::new().unwrap();
    let unusable = FilesConfig { folder: file.path().to_owned(), ..FilesConfig::default() };
    assert!(matches!(open(unusable, None), Err(FilesError::Config(_))));
}

#[tokio::test]
async fn a_link_is_good_at_another_gateway_until_its_time() {
    let world = World::new();
    let id = suite::uploaded(&world.gateway(), content(10)).await;
    let link = world.gateway().link("app", &id);
    assert!(world.gateway().linked("app", &id, &link).await.is_ok());
    assert!(matches!(world.gateway().linked("other", &id, &link).await, Err(FilesError::LinkForged)));
    assert!(matches!(world.gateway().linked("app", &FileId::random(), &link).await, Err(FilesError::LinkForged)));
    world.clock.advance_ms(3_600_000);
    assert!(matches!(world.gateway().linked("app", &id, &link).await, Err(FilesError::LinkExpired)));
}
