//! A file system of one node's own: an ext4 in a file, mounted by a loop device, that can be filled up and whose power
//! can be cut.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::member::run;
use crate::isolation;

/// Without extents no file can be given room ahead of its writes: on a full disk the next write fails.
const FORMAT: [&str; 6] = ["-q", "-F", "-m", "0", "-O", "^extent,^64bit"];
/// Takes the room when the disk is to be full.
const BALLAST: &str = "ballast";
/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`: from this moment nothing reaches the device, and what was
/// not synced before is gone. By perl, which every Debian has, because an ioctl needs unsafe code here.
const SHUT_DOWN: &str = r#"
    open(my $folder, "<", $ARGV[0]) or die "$!\n";
    my $flags = pack("L", 2);
    ioctl($folder, 0x8004587d, $flags) or die "$!\n";
"#;

/// A mounted file system. It is unmounted when it is dropped.
#[derive(Debug)]
pub struct FileSystem {
    image: PathBuf,
    path: PathBuf,
}

impl FileSystem {
    /// Makes one of so many MiB in a folder, and mounts it there.
    pub(super) fn make(folder: &Path, mebibytes: u64) -> Result<Self> {
        ensure!(isolation::is_root(), "only root may mount a file system");
        let made = Self { image: folder.join("disk.image"), path: folder.join("disk") };
        fs::create_dir_all(&made.path)?;
        File::create(&made.image)?.set_len(mebibytes << 20)?;
        run("mkfs.ext4", &[&FORMAT[..], &[&made.image.display().to_string()]].concat())?;
        made.mount()?;
        Ok(made)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all the room that is left, to the last block.
    pub fn fill(&self) -> Result<()> {
        let ballast = File::options().create(true).append(true).open(self.path.join(BALLAST))?;
        let zeros = vec![0; 1 << 20];
        // Large pieces first, then blocks, until none fits.
        for piece in [&zeros[..], &zeros[..4096]] {
            while std::io::Write::write(&mut &ballast, piece).is_ok_and(|written| written > 0) {}
        }
        // The room is taken when it is on the disk: ext4 allocates late.
        let _ = ballast.sync_all();
        Ok(())
    }

    /// Gives the room back.
    pub fn free(&self) -> Result<()> {
        fs::remove_file(self.path.join(BALLAST)).context("freeing the disk")?;
        // ext4 gives blocks out again when it has committed that they are free.
        Ok(File::open(&self.path)?.sync_all()?)
    }

    /// Cuts the power: writes fail from now on, and what was not synced is lost with [`Self::remount`].
    pub fn cut_power(&self) -> Result<()> {
        run("perl", &["-e", SHUT_DOWN, &self.path.display().to_string()])
    }

    /// Mounts it again, as a machine does that starts after a power cut. Nobody may have a file open in it.
    pub fn remount(&self) -> Result<()> {
        run("umount", &[&self.path.display().to_string()])?;
        self.mount()
    }

    fn mount(&self) -> Result<()> {
        run("mount", &["-o", "loop", &self.image.display().to_string(), &self.path.display().to_string()])
    }
}

impl Drop for FileSystem {
    fn drop(&mut self) {
        // The loop device goes with the last mount; a busy one goes with its last user.
        if let Err(error) = run("umount", &["--lazy", &self.path.display().to_string()]) {
            tracing::warn!(%error, "a file system of the audit stays mounted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_takes_nothing_and_a_power_cut_leaves_what_was_synced() {
        if !isolation::is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let disk = FileSystem::make(folder.path(), 32).unwrap();
        let write = |name: &str| -> std::io::Result<File> {
            let file = File::create(disk.path().join(name))?;
            std::io::Write::write_all(&mut &file, &[1; 8192])?;
            Ok(file)
        };
        write("synced").unwrap().sync_all().unwrap();
        disk.fill().unwrap();
        assert!(write("too much").and_then(|file| file.sync_all()).is_err());
        disk.free().unwrap();
        let unsynced = write("unsynced").unwrap();
        disk.cut_power().unwrap();
        assert!(unsynced.sync_all().is_err() && write("late").is_err());
        drop(unsynced);
        disk.remount().unwrap();
        assert_eq!(fs::read(disk.path().join("synced")).unwrap(), [1; 8192]);
        assert!(
            fs::read(disk.path().join("unsynced")).is_ok_and(|bytes| bytes.is_empty())
                || !disk.path().join("unsynced").exists()
        );
        write("afterwards").unwrap().sync_all().unwrap();
    }
}
