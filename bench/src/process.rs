//! What the kernel counts of a process.

use anyhow::{Context as _, Result};

/// CPU seconds that a process has used, its kernel time included.
pub fn cpu_seconds(id: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').context("/proc/stat")?.1.split_whitespace().collect();
    // Fields 14 and 15 of the line (user and system time) in ticks of 10 ms, counted from behind the name.
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

/// Bytes that a process had written to disks.
pub fn bytes_written(id: u32) -> Result<f64> {
    let io = std::fs::read_to_string(format!("/proc/{id}/io"))?;
    let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).context("/proc/io")?;
    Ok(written.trim().parse()?)
}

/// Resident memory of a process in MiB.
pub fn resident_mib(id: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc/status")?;
    Ok(resident.trim().trim_end_matches("kB").trim().parse::<f64>()? / 1024.0)
}

/// CPU seconds that this process, the generator, has used.
pub fn own_cpu_seconds() -> f64 {
    cpu_seconds(std::process::id()).unwrap_or(0.0)
}
