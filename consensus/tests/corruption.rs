//! Damage on disk is found and refused, never served.

#![allow(clippy::unwrap_used)] // A test ends where something is not as expected.

mod support;

use std::path::{Path, PathBuf};

use support::{Journal, copy_folder, dump, start_alone, text};
use tidings_consensus::{Engine, EngineOptions, GroupId};

/// A store with some commands, copied as a crash leaves it (`flushed`: as an orderly stop does), and what it must hold.
async fn stored(flushed: bool) -> (tempfile::TempDir, Vec<(bytes::Bytes, bytes::Bytes)>) {
    let folder = tempfile::tempdir().unwrap();
    let (engine, group) = start_alone(folder.path()).await;
    for n in 0..200 {
        group.propose(text(format!("command {n} {}", "x".repeat(100)))).await.unwrap();
    }
    let expected = dump(&group.view());
    let copy = tempfile::tempdir().unwrap();
    if flushed {
        engine.shutdown().await;
        drop((engine, group));
        copy_folder(folder.path(), copy.path());
    } else {
        copy_folder(folder.path(), copy.path());
        engine.shutdown().await;
    }
    (copy, expected)
}

enum Found {
    Refused(String),
    Served(Vec<(bytes::Bytes, bytes::Bytes)>),
}

/// Starts on the folder and reads all there is.
async fn start(folder: &Path) -> Found {
    let engine = match Engine::open(EngineOptions::new(folder, 1, "test")) {
        Ok(engine) => engine,
        Err(error) => return Found::Refused(error.to_string()),
    };
    let found = match engine.start_group(GroupId(1), Journal::new()).await {
        Err(error) => {
            assert!(engine.damaged().borrow().contains_key(&GroupId(1)), "{error}");
            Found::Refused(error.to_string())
        }
        Ok(group) => {
            let mut leadership = group.leadership();
            let mut damaged = engine.damaged();
            let refused = support::within("a leader or damage", async {
                tokio::select! {
                    biased;
                    damaged = damaged.wait_for(|damaged| !damaged.is_empty()) => {
                        damaged.unwrap().get(&GroupId(1)).cloned()
                    }
                    _ = leadership.wait_for(|leadership| leadership.is_leader) => None,
                }
            });
            match refused.await {
                Some(reason) => Found::Refused(reason),
                None => match group.view().scan(b"", &[0xff; 8], usize::MAX) {
                    Ok(served) => Found::Served(served),
                    Err(error) => {
                        assert!(engine.damaged().borrow().contains_key(&GroupId(1)), "{error}");
                        Found::Refused(error.to_string())
                    }
                },
            }
        }
    };
    assert!(engine.is_healthy(), "damage is the group's alone");
    engine.shutdown().await;
    found
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_in_a_log_entry_is_refused() {
    let (folder, _) = stored(false).await;
    {
        // Through the database, so that its own checksums are right and only the engine's can tell.
        let log = rocksdb::DB::open_default(folder.path().join("log")).unwrap();
        let key = [0x10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 100];
        let mut record = log.get(key).unwrap().unwrap();
        record[60] ^= 1;
        log.put(key, record).unwrap();
    }
    let Found::Refused(reason) = start(folder.path()).await else { panic!("served") };
    assert!(reason.contains("log entry 100") && reason.contains("checksum"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_log_entry_is_refused() {
    let (folder, _) = stored(false).await;
    {
        let log = rocksdb::DB::open_default(folder.path().join("log")).unwrap();
        log.delete([0x10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 100]).unwrap();
    }
    let Found::Refused(reason) = start(folder.path()).await else { panic!("served") };
    assert!(reason.contains("hole at entry 100"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_in_anothers_place_is_refused() {
    let (folder, _) = stored(false).await;
    {
        let log = rocksdb::DB::open_default(folder.path().join("log")).unwrap();
        let other = log.get([0x10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 99]).unwrap().unwrap();
        log.put([0x10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 100], other).unwrap();
    }
    let Found::Refused(reason) = start(folder.path()).await else { panic!("served") };
    assert!(reason.contains("log entry 100") && reason.contains("checksum"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_of_a_later_format_is_refused_by_name() {
    let (folder, _) = stored(true).await;
    {
        let log = rocksdb::DB::open_default(folder.path().join("log")).unwrap();
        let key = [0x02, 0, 0, 0, 1];
        let mut record = log.get(key).unwrap().unwrap();
        let body = record.len() - 4;
        record[0] = 2;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&key);
        hasher.update(&record[..body]);
        let checksum = hasher.finalize().to_be_bytes();
        record[body..].copy_from_slice(&checksum);
        log.put(key, record).unwrap();
    }
    let Found::Refused(reason) = start(folder.path()).await else { panic!("served") };
    assert!(reason.contains("the vote") && reason.contains("format 2"), "{reason}");
}

/// Bits flipped in the files themselves: refused, or without effect; never something else than what was stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flipped_bits_in_the_files_are_never_served() {
    for (flushed, database, extension) in [(false, "log", "log"), (true, "state", "sst")] {
        let (folder, expected) = stored(flushed).await;
        let file = files(&folder.path().join(database), extension).into_iter();
        let file = file.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
        let whole = std::fs::read(&file).unwrap();
        let mut refused = 0;
        const FLIPS: usize = 24;
        for flip in 0..FLIPS {
            let at = (whole.len() - 1) * flip / (FLIPS - 1);
            let copy = tempfile::tempdir().unwrap();
            copy_folder(folder.path(), copy.path());
            let mut damaged = whole.clone();
            damaged[at] ^= 0x08;
            std::fs::write(copy.path().join(database).join(file.file_name().unwrap()), damaged).unwrap();
            match start(copy.path()).await {
                Found::Refused(_) => refused += 1,
                Found::Served(found) => assert!(found == expected, "flipped byte {at} of {database}"),
            }
        }
        println!("{database}: {refused} of {FLIPS} refused");
        assert!(refused > FLIPS / 2, "{database}: {refused} of {FLIPS} refused");
    }
}

/// What a power cut may leave of the last write: a part of it, or its length with something else in it. It was not
/// acknowledged, and does not count; all that was acknowledged before is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_last_write_is_forgotten() {
    let (folder, expected) = stored(false).await;
    let file = files(&folder.path().join("log"), "log").into_iter();
    let file = file.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut whole = std::fs::read(&file).unwrap();
    whole.truncate(whole.iter().rposition(|byte| *byte != 0).unwrap() + 1);
    let end = whole.len();
    type Tear = fn(&mut Vec<u8>, usize);
    let tears: [(&str, Tear); 5] = [
        ("cut", |log, end| log.truncate(end - 20)),
        ("cut and grown", |log, end| log[end - 20..].fill(0)),
        ("garbage of the same length", |log, end| log[end - 20..].fill(0xa7)),
        ("zeros in the middle of it", |log, end| log[end - 90..end - 60].fill(0)),
        ("zeros behind garbage", |log, end| {
            log[end - 20..].fill(0xa7);
            log.resize(end + 100_000, 0);
        }),
    ];
    for (what, tear) in tears {
        let mut torn = whole.clone();
        tear(&mut torn, end);
        std::fs::write(&file, torn).unwrap();
        let copy = tempfile::tempdir().unwrap();
        copy_folder(folder.path(), copy.path());
        let found = match start(copy.path()).await {
            Found::Served(found) => found,
            Found::Refused(reason) => panic!("{what}: {reason}"),
        };
        // The count and the time are among the pairs; all but the last command is there.
        assert_eq!(found.len(), expected.len() - 1, "{what}");
    }
    // The same in the middle is no torn write: it was acknowledged, and is not dropped in silence.
    whole[end / 2] ^= 1;
    std::fs::write(&file, &whole).unwrap();
    let Found::Refused(reason) = start(folder.path()).await else { panic!("served") };
    assert!(reason.contains("before its end") && reason.contains("Remove this node"), "{reason}");
    assert_eq!(std::fs::read(&file).unwrap(), whole, "nothing was changed");
}
