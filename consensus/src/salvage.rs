//! Leaves a damaged file of a database behind.
//!
//! A block that RocksDB cannot read stays in its file until a compaction reads it, and then stops all writes of the
//! database. So once one was found the database is left as it is, without compactions, and the next start of the
//! process writes it anew: every group that can be read whole is copied, the others are marked as damaged. The former
//! database is kept beside it, as `<name>.damaged`, until no replica is damaged any more.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rocksdb::{DB, IteratorMode, ReadOptions, WriteBatch, WriteOptions};

use crate::error::Error;
use crate::group_id::GroupId;
use crate::keys;
use crate::record;

/// Tables that a database without compactions may gather before the process must be restarted (promise 6): every read
/// looks into all of them, and what was deleted stays on disk.
pub(crate) const MAX_HELD_TABLES: u64 = 256;

/// Bytes that are copied with one write.
const BATCH_BYTES: usize = 1024 * 1024;

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    database.with_file_name(name)
}

fn request_file(database: &Path) -> PathBuf {
    beside(database, ".salvage")
}

/// Asks the next start to write this database anew.
pub(crate) fn request(database: &Path) {
    let requested = File::create(request_file(database)).and_then(|file| file.sync_all());
    if let Err(error) = requested {
        // Then the next start finds the damage as this one did.
        tracing::error!(path = %database.display(), %error, "the damaged database could not be marked");
    }
}

pub(crate) fn is_requested(database: &Path) -> bool {
    request_file(database).exists()
}

/// Keeps compactions away from a damaged block, and asks for the database to be written anew. Blocks for a moment.
pub(crate) fn hold_compactions(database: &DB) {
    if is_requested(database.path()) {
        return;
    }
    let path = database.path().display();
    match database.set_options(&[("disable_auto_compactions", "true")]) {
        Ok(()) => tracing::warn!(%path, "a file of the database is damaged: no compactions until the next start"),
        Err(error) => tracing::error!(%path, %error, "compactions could not be held"),
    }
    request(database.path());
}

/// Why a database whose compactions are held cannot go on, once it has gathered more tables than that.
pub(crate) fn held_too_long(database: &DB, max_tables: u64) -> Option<String> {
    if !is_requested(database.path()) {
        return None;
    }
    let tables = database.property_int_value(rocksdb::properties::num_files_at_level(0)).ok().flatten()?;
    let path = database.path().display();
    (tables > max_tables).then(|| {
        format!("the database in {path} has a damaged file and {tables} tables: restart the process, to write it anew")
    })
}

/// Copies a range; `Some` says why it cannot be read whole.
fn copy(source: &DB, target: &DB, from: &[u8], to: &[u8]) -> Result<Option<String>, Error> {
    let mut unsynced = WriteOptions::default();
    unsynced.disable_wal(true);
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(from);
    options.set_iterate_upper_bound(to);
    options.set_readahead_size(1024 * 1024);
    options.fill_cache(false);
    let mut batch = WriteBatch::default();
    for item in source.iterator_opt(IteratorMode::Start, options) {
        let (key, value) = match item {
            Ok(pair) => pair,
            Err(error) => {
                let mut removal = WriteBatch::default();
                removal.delete_range(from, to);
                target.write_opt(removal, &unsynced)?;
                return Ok(Some(error.to_string()));
            }
        };
        batch.put(key, value);
        if batch.size_in_bytes() >= BATCH_BYTES {
            target.write_opt(std::mem::take(&mut batch), &unsynced)?;
        }
    }
    target.write_opt(batch, &unsynced)?;
    Ok(None)
}

/// Marks a group in the log database; its replica is not started until it is erased.
fn mark_damaged(log: &DB, group: GroupId, reason: &str) -> Result<(), Error> {
    tracing::error!(%group, reason, "the replica is damaged and left out");
    let key = keys::damaged(group);
    let mut synced = WriteOptions::default();
    synced.set_sync(true);
    Ok(log.put_opt(key, record::seal(&key, reason.as_bytes()), &synced)?)
}

/// The groups that have ever voted here, which are all that have a log or a state.
pub(crate) fn groups(log: &DB) -> Result<Vec<GroupId>, Error> {
    let (from, to) = keys::votes();
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(from);
    options.set_iterate_upper_bound(to);
    let mut groups = Vec::new();
    for item in log.iterator_opt(IteratorMode::Start, options) {
        groups.extend(keys::group_of(&item?.0));
    }
    Ok(groups)
}

/// Writes the log database anew into `target`. The small records of all groups must be readable: a replica that forgets
/// whom it voted for can elect two leaders, and a group that is not even named there would be taken for a new one.
pub(crate) fn copy_log(source: &DB, target: &DB) -> Result<(), Error> {
    let (from, to) = keys::log_metadata();
    if let Some(reason) = copy(source, target, &from, &to)? {
        return Err(Error::StoreDamaged { path: source.path().to_owned(), reason });
    }
    for group in groups(target)? {
        let damage = copy(source, target, &keys::entry(group, 0), &keys::entries_end(group))?;
        if let Some(reason) = damage {
            mark_damaged(target, group, &format!("its log cannot be read: {reason}"))?;
        }
    }
    Ok(())
}

/// Writes the state database anew into `target`; its marker is the caller's.
pub(crate) fn copy_state(source: &DB, target: &DB, log: &DB) -> Result<(), Error> {
    for group in groups(log)? {
        let (from, to) = keys::state_range(group);
        if let Some(reason) = copy(source, target, &from, &to)? {
            mark_damaged(log, group, &format!("its state cannot be read: {reason}"))?;
        }
    }
    Ok(())
}

/// Where a database is written anew: an empty folder.
pub(crate) fn fresh_folder(database: &Path) -> Result<PathBuf, Error> {
    let folder = beside(database, ".rebuilt");
    remove(&folder)?;
    Ok(folder)
}

/// Puts what was written anew into the place of the database. Both must be closed.
pub(crate) fn put_in_place(database: &Path) -> Result<(), Error> {
    let former = beside(database, ".damaged");
    remove(&former)?;
    rename(database, &former)?;
    rename(&beside(database, ".rebuilt"), database)?;
    finish(database)
}

/// Ends what a crash interrupted: the database is moved away only once its successor is whole.
pub(crate) fn recover(database: &Path) -> Result<(), Error> {
    let successor = beside(database, ".rebuilt");
    if database.exists() || !successor.exists() || !beside(database, ".damaged").exists() {
        return Ok(());
    }
    rename(&successor, database)?;
    finish(database)
}

fn finish(database: &Path) -> Result<(), Error> {
    let folder = database.parent().unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed(folder, &error))?;
    let request = request_file(database);
    match fs::remove_file(&request) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(&request, &error)),
        _ => Ok(()),
    }
}

/// Removes the former database, once nothing in it is of use.
pub(crate) fn forget_former(database: &Path) -> Result<(), Error> {
    remove(&beside(database, ".damaged"))
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(folder, &error)),
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|error| failed(from, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::Storage(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_without_compactions_does_not_gather_tables_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let database = DB::open_default(&path).unwrap();
        assert_eq!(held_too_long(&database, 0), None);
        hold_compactions(&database);
        for n in 0..10u8 {
            database.put([n], [n]).unwrap();
            database.flush().unwrap();
        }
        assert_eq!(held_too_long(&database, 10), None, "none was compacted, and so many are allowed");
        assert!(held_too_long(&database, 9).unwrap().contains("10 tables"));
    }

    /// A crash between the two steps that put the new database in place, and one before the request is removed.
    #[test]
    fn an_interrupted_salvage_is_ended_or_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let is = |content: &str| fs::read_to_string(path.join("file")).unwrap() == content;
        let write = |folder: &Path, content: &str| {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("file"), content).unwrap();
        };
        write(&path, "damaged");
        request(&path);
        write(&fresh_folder(&path).unwrap(), "half");
        recover(&path).unwrap();
        assert!(is("damaged") && is_requested(&path), "nothing was in place yet");
        let successor = fresh_folder(&path).unwrap();
        assert!(!successor.exists());
        write(&successor, "whole");
        rename(&path, &beside(&path, ".damaged")).unwrap();
        recover(&path).unwrap();
        assert!(is("whole") && !is_requested(&path));
        forget_former(&path).unwrap();
        assert!(!beside(&path, ".damaged").exists());
        recover(&path).unwrap();
    }
}
