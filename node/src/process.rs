//! What the system says about this process, as Prometheus text: CPU time, memory, open files, build, and its clock.

use std::fmt::Write as _;
use std::path::Path;

use crate::Clock;

/// Clock ticks per second in `/proc/self/stat`: the kernel's `USER_HZ`, which is 100 on every architecture Linux runs
/// Rust on (it is part of the kernel's interface, not of its configuration).
const TICKS_PER_SECOND: f64 = 100.0;

/// What was measured; a figure that the system does not give is absent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ProcessFigures {
    /// CPU time of all threads since the start, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Memory that is in RAM, in bytes.
    pub resident_memory_bytes: Option<u64>,
    /// Open file descriptors, sockets included.
    pub open_files: Option<u64>,
    /// The most file descriptors that may be open.
    pub open_files_limit: Option<u64>,
    /// Its wall clock, in seconds of Unix time: nodes whose clocks differ are found by comparing it.
    pub clock_seconds: Option<f64>,
}

impl ProcessFigures {
    /// Measures this process.
    pub fn measure() -> Self {
        Self::of(Path::new("/proc/self"))
    }

    fn of(folder: &Path) -> Self {
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
        Self {
            cpu_seconds: read("stat").and_then(|stat| cpu_seconds(&stat)),
            resident_memory_bytes: read("status").and_then(|status| resident_bytes(&status)),
            open_files: std::fs::read_dir(folder.join("fd")).ok().map(|entries| entries.count() as u64),
            open_files_limit: read("limits").and_then(|limits| open_files_limit(&limits)),
            clock_seconds: Some(Clock::system().now_ms() as f64 / 1_000.0),
        }
    }

    /// Prometheus text, with the build.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let mut figure = |name: &str, kind: &str, value: Option<f64>| {
            if let Some(value) = value {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
            }
        };
        figure("process_cpu_seconds_total", "counter", self.cpu_seconds);
        figure("process_resident_memory_bytes", "gauge", self.resident_memory_bytes.map(|bytes| bytes as f64));
        figure("process_open_fds", "gauge", self.open_files.map(|files| files as f64));
        figure("process_max_fds", "gauge", self.open_files_limit.map(|files| files as f64));
        figure("tidings_node_clock_seconds", "gauge", self.clock_seconds);
        let version = env!("CARGO_PKG_VERSION");
        let _ = writeln!(text, "# TYPE tidings_build_info gauge\ntidings_build_info{{version=\"{version}\"}} 1");
        text
    }
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    // The second field is the command in parentheses, which may hold spaces and parentheses itself.
    let after_command = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_command.split_ascii_whitespace();
    // utime is field 14 of the line, counted from 1; the first one here is field 3.
    let user: u64 = fields.nth(14 - 3)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_PER_SECOND)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn open_files_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_all_figures_and_a_new_file_counts() {
        let before = ProcessFigures::measure();
        assert!(before.cpu_seconds.is_some() && before.open_files_limit.is_some());
        assert!(before.resident_memory_bytes.unwrap() > 100_000);
        let _files: Vec<_> = (0..20).map(|_| std::fs::File::open("/proc/self/stat").unwrap()).collect();
        assert!(ProcessFigures::measure().open_files.unwrap() >= 20);
        let text = before.render();
        assert!(
            text.contains("\nprocess_resident_memory_bytes ")
                && text.contains("\ntidings_node_clock_seconds ")
                && text.contains("tidings_build_info{version="),
            "{text}"
        );
    }

    #[test]
    fn a_command_with_parentheses_does_not_shift_the_fields() {
        let stat = "1 (a) b (c) S 1 1 1 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("nonsense"), None);
    }
}
