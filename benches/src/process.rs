//! What a process cost, read from /proc while it runs.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Clock ticks a second in /proc/PID/stat, 100 on Linux.
const TICKS: f64 = 100.0;

/// How often /proc is read: what a process does after the last look is not counted.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a finished process took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub wall_seconds: f64,
    pub cpu_seconds: f64,
    pub peak_bytes: u64,
}

/// Runs a command to its end, which must be a success.
pub fn measure(program: &Path, args: &[&str]) -> Result<Usage> {
    let started = Instant::now();
    let mut child = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut usage = Usage::default();
    loop {
        if let Some((cpu_seconds, peak_bytes)) = look(child.id()) {
            usage.cpu_seconds = cpu_seconds.max(usage.cpu_seconds);
            usage.peak_bytes = peak_bytes.max(usage.peak_bytes);
        }
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("strata {args:?} ended with {status}");
            }
            usage.wall_seconds = started.elapsed().as_secs_f64();
            return Ok(usage);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// CPU seconds so far (user and system) and the peak of resident memory.
pub fn look(pid: u32) -> Option<(f64, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = peak.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some((ticks / TICKS, kib * 1024))
}
