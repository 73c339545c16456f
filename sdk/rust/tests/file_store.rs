//! The durable store: after a crash at any byte it says what the last whole write said, and damage is an error.

#![allow(clippy::unwrap_used)] // A panic is how a test fails.

use std::fs;
use std::path::Path;

use tidings_sdk::store::{Change, Identity, State, StoredSend};
use tidings_sdk::{FileStore, Store, StoreError};

fn send(seq: u64, text: &str) -> StoredSend {
    StoredSend { seq, to: "bob".into(), content: text.as_bytes().to_vec().into(), ..StoredSend::default() }
}

fn load(folder: &Path) -> Result<State, StoreError> {
    FileStore::open(folder)?.load()
}

fn batches() -> Vec<Vec<Change>> {
    let identity = Some(Identity { app: "default".into(), user: "alice".into(), device: "phone".into() });
    let first = State { identity, mailbox_epoch: 3, stream: 4097, next_seq: 1, cursor: 0, outbox: vec![] };
    vec![
        vec![Change::Reset(first)],
        vec![Change::Enqueued(send(1, "one")), Change::Enqueued(send(2, "two"))],
        vec![Change::Cursor(9), Change::Answered(1)],
        vec![Change::Enqueued(send(3, "three"))],
        vec![Change::Answered(2), Change::Answered(3), Change::Cursor(12)],
    ]
}

#[test]
fn a_file_cut_at_any_byte_says_what_the_last_whole_write_said() {
    let source = tempfile::tempdir().unwrap();
    let mut store = FileStore::open(source.path()).unwrap();
    let path = source.path().join("state");
    // The file's length, and the state, after each write.
    let mut milestones = vec![(fs::metadata(&path).unwrap().len(), store.load().unwrap())];
    for batch in batches() {
        store.write(batch).unwrap();
        milestones.push((fs::metadata(&path).unwrap().len(), store.load().unwrap()));
    }
    drop(store);
    let contents = fs::read(&path).unwrap();
    assert_eq!(milestones.last().unwrap().1.next_seq, 4, "a number is not given twice, though its message is answered");

    let first = milestones[0].0 as usize;
    for length in first..=contents.len() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("state"), &contents[..length]).unwrap();
        let expected = &milestones.iter().rev().find(|(end, _)| *end as usize <= length).unwrap().1;
        assert_eq!(&load(folder.path()).unwrap(), expected, "cut at {length}");

        // It goes on from there.
        let mut store = FileStore::open(folder.path()).unwrap();
        store.write(vec![Change::Cursor(99)]).unwrap();
        drop(store);
        assert_eq!(load(folder.path()).unwrap(), State { cursor: 99, ..expected.clone() });
    }
}

#[test]
fn a_last_write_of_which_parts_are_missing_is_cut_off() {
    let source = tempfile::tempdir().unwrap();
    let mut store = FileStore::open(source.path()).unwrap();
    store.write(vec![Change::Cursor(1)]).unwrap();
    let path = source.path().join("state");
    let whole = fs::metadata(&path).unwrap().len() as usize;
    store.write(vec![Change::Enqueued(send(1, &"x".repeat(200)))]).unwrap();
    drop(store);
    let contents = fs::read(&path).unwrap();
    for hole in whole..contents.len() {
        let mut torn = contents.clone();
        let end = (hole + 8).min(torn.len());
        torn[hole..end].fill(0);
        if torn == contents {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("state"), torn).unwrap();
        let state = load(folder.path()).unwrap();
        assert_eq!((state.cursor, state.outbox.len()), (1, 0), "hole at {hole}");
    }
}

#[test]
fn damage_before_a_whole_record_is_reported_and_never_served() {
    let source = tempfile::tempdir().unwrap();
    let mut store = FileStore::open(source.path()).unwrap();
    for batch in batches() {
        store.write(batch).unwrap();
    }
    drop(store);
    let contents = fs::read(source.path().join("state")).unwrap();
    let last_frame = contents.len() - 24;
    for place in 0..last_frame {
        let mut damaged = contents.clone();
        damaged[place] ^= 0x40;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("state"), damaged).unwrap();
        match load(folder.path()) {
            Err(StoreError::Damaged { .. } | StoreError::Version { .. }) => {}
            // The flip hit the last frame, which cannot be told from a torn write.
            Ok(state) => assert!(state.cursor == 9 && place > last_frame - 40, "flip at {place} went unseen"),
            Err(other) => panic!("flip at {place}: {other}"),
        }
    }
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    drop(FileStore::open(folder.path()).unwrap());
    let path = folder.path().join("state");
    let mut contents = fs::read(&path).unwrap();
    contents[8] = 2;
    fs::write(&path, contents).unwrap();
    assert!(matches!(load(folder.path()), Err(StoreError::Version { version: 2, supported: 1, .. })));
}

#[test]
fn a_second_process_is_kept_out_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let first = FileStore::open(folder.path()).unwrap();
    assert!(matches!(FileStore::open(folder.path()), Err(StoreError::Locked { .. })));
    drop(first);
    FileStore::open(folder.path()).unwrap();
}

#[test]
fn history_is_dropped_and_the_state_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = FileStore::open(folder.path()).unwrap().compact_from_bytes(4096);
    store.write(batches().remove(0)).unwrap();
    for seq in 1..=1000 {
        store.write(vec![Change::Enqueued(send(seq, &"x".repeat(100)))]).unwrap();
        if seq > 3 {
            store.write(vec![Change::Answered(seq - 3), Change::Cursor(seq)]).unwrap();
        }
    }
    let before = store.load().unwrap();
    drop(store);
    let size = fs::metadata(folder.path().join("state")).unwrap().len();
    assert!(size < 16_384, "{size} bytes for a state of three messages");
    assert_eq!(load(folder.path()).unwrap(), before);
    assert_eq!((before.outbox.len(), before.next_seq, before.cursor), (3, 1001, 1000));
}
