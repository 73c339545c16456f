//! Bits of a stopped broker's files have changed: it finds out, serves nothing of it, and is made whole by its peers;
//! where it refuses to start, it is replaced, as it says.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use super::Victim;
use crate::cluster::{LocalCluster, Member, Role};

/// Always the same broker's: damage that nobody has found yet must not meet damage of another replica.
const VICTIM: Victim = Victim { role: Role::Broker, index: 0 };

/// How many bits, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct BitFlip {
    flips: u32,
    seed: u64,
}

impl BitFlip {
    pub(super) fn draw(rng: &mut SmallRng) -> Self {
        Self { flips: rng.random_range(1..=8), seed: rng.random() }
    }

    pub(super) fn length(&self) -> Duration {
        Duration::from_secs(5)
    }

    pub(super) async fn inflict(&self, cluster: &LocalCluster) -> Result<()> {
        let victim = VICTIM.of(cluster)?;
        victim.kill9()?;
        let mut files = Vec::new();
        find_files(&victim.data(), &mut files)?;
        files.sort();
        ensure!(!files.is_empty(), "{} has no files to damage", victim.name());
        let mut rng = SmallRng::seed_from_u64(self.seed);
        for _ in 0..self.flips {
            flip(&files[rng.random_range(0..files.len())], &mut rng)?;
        }
        if victim.start().await.is_ok() {
            return Ok(());
        }
        ensure!(!victim.is_running(), "{} neither serves nor refuses:\n{}", victim.name(), victim.tail());
        ensure!(is_told(&victim.tail()), "{} does not say why it ends:\n{}", victim.name(), victim.tail());
        replace(cluster, &victim).await
    }
}

/// Whether the last words of a process tell of damage.
fn is_told(words: &str) -> bool {
    let words = words.to_lowercase();
    ["corrupt", "damage", "checksum"].iter().any(|word| words.contains(word))
}

async fn replace(cluster: &LocalCluster, broker: &Member) -> Result<()> {
    cluster.add_broker().await?;
    cluster.operate(&["cluster", "remove", &broker.node().to_string(), "--dead"]).await?;
    cluster.forget(broker)
}

/// Tables and logs that are not empty.
fn find_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, metadata) = (entry.path(), entry.metadata()?);
        if metadata.is_dir() {
            find_files(&path, files)?;
        } else if metadata.len() > 0 && path.extension().is_some_and(|kind| kind == "sst" || kind == "log") {
            files.push(path);
        }
    }
    Ok(())
}

fn flip(path: &Path, rng: &mut SmallRng) -> Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let (offset, bit) = (rng.random_range(0..file.metadata()?.len()), rng.random_range(0..8));
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset)?;
    file.write_all_at(&[byte[0] ^ (1 << bit)], offset)?;
    Ok(())
}
