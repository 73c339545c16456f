//! A number that grows each time a node's process starts, whatever its clock says: what an older process of the node
//! still says is then known to be old (promise 5).

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use crate::{Clock, Error};

const FILE: &str = "incarnation";

/// Takes the next number, and writes it down in the data folder before it is used. A folder without one begins at the
/// clock's milliseconds, above what any earlier folder of the node is likely to have reached.
pub fn next(data: &Path, clock: &Clock) -> Result<u64, Error> {
    let file = data.join(FILE);
    let refused = |error: io::Error| Error::Incarnation { file: file.clone(), reason: error.to_string() };
    let before = match fs::read_to_string(&file) {
        Ok(text) => text.trim().parse::<u64>().unwrap_or(0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(refused(error)),
    };
    let next = clock.now_ms().max(0).cast_unsigned().max(before.saturating_add(1));
    let write = || {
        let temporary = data.join(format!("{FILE}.new"));
        let mut opened = fs::File::create(&temporary)?;
        writeln!(opened, "{next}")?;
        opened.sync_all()?;
        fs::rename(&temporary, &file)?;
        fs::File::open(data)?.sync_all()
    };
    write().map_err(refused)?;
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_also_when_the_clock_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(5_000);
        assert_eq!(next(folder.path(), &clock).unwrap(), 5_000);
        assert_eq!(next(folder.path(), &clock).unwrap(), 5_001);
        assert_eq!(next(folder.path(), &Clock::manual(1_000)).unwrap(), 5_002);
        assert_eq!(next(folder.path(), &Clock::manual(9_000)).unwrap(), 9_000);
        fs::write(folder.path().join(FILE), "half a").unwrap();
        assert_eq!(next(folder.path(), &clock).unwrap(), 5_000);
    }
}
