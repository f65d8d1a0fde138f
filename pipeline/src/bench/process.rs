//! What a process cost, read from /proc while it runs.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::{Context, Error, Result};

/// Clock ticks a second in /proc/PID/stat, 100 on Linux.
const TICKS: f64 = 100.0;

/// How often /proc is read: what a process does after the last look is not counted.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Lines of complaint that an error shows.
const LINES_SHOWN: usize = 20;

/// The key of the lakes that are measured, unless the environment has one.
const PSEUDONYM_KEY: &str = "STRATA_PSEUDONYM_KEY";

/// What a finished process took.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Usage {
    pub wall_seconds: f64,
    pub cpu_seconds: f64,
    pub peak_bytes: u64,
}

/// Runs a command to its end, which must be a success, with what it prints.
///
/// # Errors
/// [`Error::Other`] with the last lines of its complaints.
pub fn measure(program: &Path, args: &[&str]) -> Result<(Usage, String)> {
    let (usage, said) = measure_within(program, args, u64::MAX)?;
    Ok((usage, said.unwrap_or_default()))
}

/// The same for a command that may hold so many bytes of resident memory: one that holds more is ended, as a system
/// out of memory would, and what it prints is `None`.
pub fn measure_within(program: &Path, args: &[&str], most_bytes: u64) -> Result<(Usage, Option<String>)> {
    let started = Instant::now();
    let doing = || format!("run {}", program.display());
    let mut said = tempfile::tempfile().context(doing())?;
    let mut complained = tempfile::tempfile().context(doing())?;
    let mut command = Command::new(program);
    command.args(args).stdout(said.try_clone().context(doing())?);
    if std::env::var_os(PSEUDONYM_KEY).is_none() {
        command.env(PSEUDONYM_KEY, "a key that hides nothing: generated worlds only");
    }
    let mut child = command.stderr(complained.try_clone().context(doing())?).spawn().context(doing())?;
    let mut usage = Usage::default();
    loop {
        let (cpu_seconds, peak_bytes) = look(child.id());
        usage.cpu_seconds = cpu_seconds.max(usage.cpu_seconds);
        usage.peak_bytes = peak_bytes.max(usage.peak_bytes);
        if let Some(status) = child.try_wait().context(doing())? {
            if !status.success() {
                let complaint = text(&mut complained)?;
                let lines: Vec<&str> = complaint.lines().collect();
                let last = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
                let program = program.display();
                return Err(Error::other(format!("{program} {args:?} ended with {status}:\n{last}")));
            }
            usage.wall_seconds = started.elapsed().as_secs_f64();
            return Ok((usage, Some(text(&mut said)?)));
        }
        if usage.peak_bytes > most_bytes {
            child.kill().and_then(|()| child.wait()).context(doing())?;
            usage.wall_seconds = started.elapsed().as_secs_f64();
            return Ok((usage, None));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn text(file: &mut File) -> Result<String> {
    let mut text = String::new();
    file.rewind().context("read what a process said")?;
    file.read_to_string(&mut text).context("read what a process said")?;
    Ok(text)
}

/// CPU seconds so far (user and system) and the peak of resident memory of a process and those that it started.
pub fn look(pid: u32) -> (f64, u64) {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let own = look_at_one(pid).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok()).map(look);
    children.fold(own, |sum, child| (sum.0 + child.0, sum.1 + child.1))
}

fn look_at_one(pid: u32) -> Option<(f64, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = peak.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some((ticks / TICKS, kib * 1024))
}
