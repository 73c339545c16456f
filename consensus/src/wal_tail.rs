//! Tells what a power cut left of the last write from damage: looks through RocksDB's write-ahead log before RocksDB
//! does.
//!
//! Every write to the log database is synced before the next one begins, so a power cut can spoil one write: the last.
//! Whatever its remains look like, no write begins behind them. That is the rule: a spoilt write with another one
//! behind it was acknowledged, and is damage; a spoilt write with none behind it is the torn tail, and is cut off. But
//! where a single flipped bit explains it, it is damage too: a power cut does not do that, and the write may have been
//! acknowledged. RocksDB's own recovery modes do not draw these lines: one refuses a torn record of full length, one
//! drops what follows a flipped bit.
//!
//! Format (`db/log_format.h` of RocksDB): blocks of 32 KiB; in a block, records of a checksum (4), length (2), type (1)
//! and payload, little-endian, none across the end of a block; fewer than 7 bytes at the end of a block are filler. A
//! write is one `FULL` record, or a `FIRST`, `MIDDLE`s and a `LAST`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

const BLOCK_BYTES: usize = 32 * 1024;
const HEADER_BYTES: usize = 7;
const FULL: u8 = 1;
const FIRST: u8 = 2;
const LAST: u8 = 4;

/// What a write-ahead log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Whole,
    /// Everything from this place on is what is left of the last write.
    Torn {
        at: u64,
    },
    /// A record here cannot be read, and others follow it.
    Damaged {
        at: u64,
    },
}

/// Cuts off what a power cut left of the last write. Fails, changing nothing, when anything before it is damaged.
/// Blocks.
pub(crate) fn cut_torn_tail(database: &Path) -> Result<(), String> {
    let readable = |error: io::Error| format!("its write-ahead log cannot be read: {error}");
    let mut is_behind_all_records = true;
    for path in logs(database).map_err(readable)?.iter().rev() {
        let verdict = examine(&mut File::open(path).map_err(readable)?).map_err(readable)?;
        match verdict {
            Verdict::Torn { at } if is_behind_all_records => cut(path, at).map_err(readable)?,
            Verdict::Torn { at } | Verdict::Damaged { at } => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                return Err(format!("{name} of its write-ahead log is damaged at byte {at}, before its end"));
            }
            Verdict::Whole => {}
        }
        is_behind_all_records &= path.metadata().map_err(readable)?.len() == 0;
    }
    Ok(())
}

fn cut(path: &Path, at: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let dropped = file.metadata()?.len() - at;
    file.set_len(at)?;
    file.sync_all()?;
    tracing::warn!(path = %path.display(), at, dropped, "the last write was cut off by a power cut; it was not acknowledged");
    Ok(())
}

/// The write-ahead logs of a database, oldest first.
fn logs(database: &Path) -> io::Result<Vec<PathBuf>> {
    let mut numbered = Vec::new();
    for entry in std::fs::read_dir(database)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let Some(number) = number
            && path.extension().is_some_and(|extension| extension == "log")
        {
            numbered.push((number, path));
        }
    }
    numbered.sort();
    Ok(numbered.into_iter().map(|(_, path)| path).collect())
}

/// Reads block by block.
fn examine(log: &mut impl Read) -> io::Result<Verdict> {
    let mut reading = Reading::default();
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    loop {
        block.clear();
        log.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        if let Some(at) = reading.read_block(&block) {
            return Ok(Verdict::Damaged { at });
        }
        reading.offset += block.len() as u64;
        if block.len() < BLOCK_BYTES {
            let unfinished = reading.is_inside.then_some(reading.begin);
            return Ok(reading.spoilt.or(unfinished).map_or(Verdict::Whole, |at| Verdict::Torn { at }));
        }
    }
}

#[derive(Default)]
struct Reading {
    /// Where the block begins.
    offset: u64,
    /// Where the write that is being read begins.
    begin: u64,
    /// Between a `FIRST` and its `LAST`.
    is_inside: bool,
    /// Where the write begins that cannot be read.
    spoilt: Option<u64>,
}

impl Reading {
    /// Takes a block; says where the damage is once a write begins behind it.
    fn read_block(&mut self, block: &[u8]) -> Option<u64> {
        let mut at = 0;
        while let Some(rest) = block.get(at..).filter(|rest| !rest.is_empty()) {
            if rest.len() < HEADER_BYTES && block.len() == BLOCK_BYTES {
                break;
            }
            match split_record(rest) {
                Some((kind, length)) => {
                    if let Some(damaged) = self.take(kind, at) {
                        return Some(damaged);
                    }
                    at += HEADER_BYTES + length;
                }
                None => {
                    let begin = if self.is_inside { self.begin } else { self.offset + at as u64 };
                    let spoilt = *self.spoilt.get_or_insert(begin);
                    self.is_inside = false;
                    if is_one_bit_off(rest) {
                        return Some(spoilt);
                    }
                    // Where the next record would begin is not known in this block. A payload that looks like a record
                    // makes this refuse, which is the safe side.
                    let begins_behind = |at| matches!(split_record(&block[at..]), Some((FULL | FIRST, _)));
                    return (at + 1..block.len()).any(begins_behind).then_some(spoilt);
                }
            }
        }
        None
    }

    fn take(&mut self, kind: u8, at: usize) -> Option<u64> {
        let here = self.offset + at as u64;
        let begins = matches!(kind, FULL | FIRST);
        if begins && (self.spoilt.is_some() || self.is_inside) {
            return Some(self.spoilt.unwrap_or(self.begin));
        }
        if begins {
            self.begin = here;
            self.is_inside = kind == FIRST;
        } else if self.spoilt.is_none() {
            if !self.is_inside {
                self.spoilt = Some(here);
            }
            self.is_inside = self.is_inside && kind != LAST;
        }
        None
    }
}

/// Type and payload length of the record that these bytes begin with, if they are one.
fn split_record(bytes: &[u8]) -> Option<(u8, usize)> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let [c0, c1, c2, c3, l0, l1, kind] = *header;
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    let is_known = (FULL..=LAST).contains(&kind);
    if !is_known || length > rest.len() {
        return None;
    }
    let stored = u32::from_le_bytes([c0, c1, c2, c3]);
    (masked_crc32c(&bytes[HEADER_BYTES - 1..HEADER_BYTES + length]) == stored).then_some((kind, length))
}

/// Whether flipping one bit makes these bytes begin with a record.
fn is_one_bit_off(bytes: &[u8]) -> bool {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return false };
    let [c0, c1, c2, c3, l0, l1, _] = *header;
    let other_length = |bit: usize| {
        let mut other = bytes.to_vec();
        other[4 + bit / 8] ^= 1 << (bit % 8);
        split_record(&other).is_some()
    };
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    if length > rest.len() || header.iter().all(|byte| *byte == 0) {
        return (0..16).any(other_length);
    }
    let stored = u32::from_le_bytes([c0, c1, c2, c3]);
    let checked = &bytes[HEADER_BYTES - 1..HEADER_BYTES + length];
    let computed = masked_crc32c(checked);
    // What one flipped bit changes in the checksum depends on its place alone.
    let difference = unmasked(stored) ^ unmasked(computed);
    let is_in_checked = (0..8).any(|bit| {
        let mut change = CRC32C[1 << bit];
        (0..checked.len()).any(|_| {
            change == difference || {
                change = CRC32C[(change & 0xff) as usize] ^ (change >> 8);
                false
            }
        })
    });
    is_in_checked || (stored ^ computed).is_power_of_two() || (0..16).any(other_length)
}

fn unmasked(masked: u32) -> u32 {
    masked.wrapping_sub(0xa282_ead8).rotate_left(15)
}

const CRC32C: [u32; 256] = crc32c_table();

/// CRC-32C (RFC 3720, appendix B.4), masked as RocksDB stores it.
fn masked_crc32c(bytes: &[u8]) -> u32 {
    let crc = !bytes.iter().fold(!0u32, |crc, byte| CRC32C[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8));
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

const fn crc32c_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use rocksdb::{DB, DBRecoveryMode, Options, WriteOptions};

    use super::*;

    /// A database's write-ahead log with these values written one by one, and where each write begins.
    fn written(values: &[usize]) -> (tempfile::TempDir, PathBuf, Vec<u64>) {
        let folder = tempfile::tempdir().unwrap();
        let database = DB::open_default(folder.path()).unwrap();
        let path = logs(folder.path()).unwrap().pop().unwrap();
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        let mut begins = Vec::new();
        for (number, length) in values.iter().enumerate() {
            begins.push(path.metadata().unwrap().len());
            // Not compressible, and never zero.
            let value: Vec<u8> = (0..*length).map(|at| (at % 251) as u8 + 1).collect();
            database.put_opt(number.to_be_bytes(), value, &synced).unwrap();
        }
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(folder.path()).unwrap().flatten() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        let path = copy.path().join(path.file_name().unwrap());
        (copy, path, begins)
    }

    fn verdict(bytes: &[u8]) -> Verdict {
        examine(&mut &bytes[..]).unwrap()
    }

    const VALUES: [usize; 6] = [100, 32_700, 10, 90_000, 40_000, 70_000];

    #[test]
    fn what_rocksdb_writes_is_whole() {
        let (_folder, path, _) = written(&VALUES);
        assert_eq!(verdict(&std::fs::read(path).unwrap()), Verdict::Whole);
        assert_eq!(verdict(&[]), Verdict::Whole);
        assert_eq!(masked_crc32c(b"123456789"), 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }

    #[test]
    fn remains_of_the_last_write_are_torn_whatever_they_look_like() {
        let (_folder, path, begins) = written(&VALUES);
        let whole = std::fs::read(path).unwrap();
        let last = *begins.last().unwrap() as usize;
        let torn = Verdict::Torn { at: last as u64 };
        for cut in (last + 1..whole.len()).step_by(997).chain([last + 1, last + 6, last + 7, whole.len() - 1]) {
            assert_eq!(verdict(&whole[..cut]), torn, "cut at {cut}");
        }
        assert_eq!(verdict(&whole[..last]), Verdict::Whole);
        for (from, to) in [
            (last, whole.len()),
            (last, last + 4096),
            (whole.len() - 4096, whole.len()),
            (last + 40_000, last + 50_000),
        ] {
            for fill in [0, 0x5a] {
                let mut spoilt = whole.clone();
                spoilt[from..to].fill(fill);
                assert_eq!(verdict(&spoilt), torn, "{from}..{to} filled with {fill}");
            }
        }
        // The file grew, and what was to come did not.
        let mut grown = whole.clone();
        grown.resize(whole.len() + 50_000, 0);
        assert_eq!(verdict(&grown), Verdict::Torn { at: whole.len() as u64 });
    }

    #[test]
    fn a_flipped_bit_is_damage_and_nothing_is_dropped() {
        let (folder, path, begins) = written(&VALUES);
        let whole = std::fs::read(&path).unwrap();
        // Every byte of the headers, and some of the payloads; also of the last write, which no other follows.
        let headers = begins.iter().flat_map(|begin| *begin as usize..*begin as usize + HEADER_BYTES);
        for at in headers.chain((0..whole.len()).step_by(1999)).chain([whole.len() - 1]) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            let Verdict::Damaged { at: found } = verdict(&damaged) else {
                panic!("byte {at}: {:?}", verdict(&damaged))
            };
            assert!(begins.contains(&found) && found as usize <= at, "byte {at} found at {found}");
        }
        let mut damaged = whole.clone();
        damaged[50] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let refused = cut_torn_tail(folder.path()).unwrap_err();
        assert!(refused.contains("damaged at byte 0"), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "nothing was changed");
    }

    /// After the cut RocksDB opens in the mode that tolerates nothing, with every write but the torn one.
    #[test]
    fn what_is_left_opens_without_tolerance() {
        let (folder, path, begins) = written(&VALUES);
        let mut whole = std::fs::read(&path).unwrap();
        let last = *begins.last().unwrap() as usize;
        whole[last + 30..last + 60].fill(0);
        std::fs::write(&path, &whole).unwrap();
        let mut options = Options::default();
        options.set_wal_recovery_mode(DBRecoveryMode::AbsoluteConsistency);
        assert!(DB::open(&options, folder.path()).is_err());
        cut_torn_tail(folder.path()).unwrap();
        let database = DB::open(&options, folder.path()).unwrap();
        for (number, length) in VALUES.iter().enumerate() {
            let found = database.get(number.to_be_bytes()).unwrap().map(|value| value.len());
            assert_eq!(found, (number + 1 < VALUES.len()).then_some(*length));
        }
    }
}
