//! What a run tells while it works: bars on a terminal, lines or JSON otherwise.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

use crate::engine::Progress;

/// How a run reports.
#[derive(Debug, Clone)]
pub struct Reporter {
    bars: Option<MultiProgress>,
}

/// One stage under way.
#[derive(Debug)]
pub struct StageReport {
    stage: String,
    started: Instant,
    bar: Option<ProgressBar>,
    pub progress: Arc<Progress>,
    ticker: Option<JoinHandle<()>>,
}

impl Reporter {
    /// Bars when standard error is a terminal and `lines` is not asked for.
    pub fn new(lines: bool) -> Reporter {
        let terminal = std::io::stderr().is_terminal() && !lines;
        Reporter { bars: terminal.then(MultiProgress::new) }
    }

    /// A stage begins that computes `parts` partitions.
    pub fn begin(&self, stage: &str, parts: usize) -> StageReport {
        let progress = Arc::new(Progress::default());
        let bar = self.bars.as_ref().map(|bars| {
            let style =
                ProgressStyle::with_template("{prefix:28} {bar:20} {pos}/{len} {msg} {elapsed} left {eta}");
            let bar = bars.add(
                ProgressBar::new(parts as u64).with_style(style.unwrap_or(ProgressStyle::default_bar())),
            );
            bar.set_prefix(stage.to_string());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let ticker = bar.clone().map(|bar| tick(bar, progress.clone()));
        tracing::debug!(stage, parts, "stage begins");
        StageReport { stage: stage.to_string(), started: Instant::now(), bar, progress, ticker }
    }

    /// Says a line that belongs to no stage.
    pub fn say(&self, line: &str) {
        match &self.bars {
            Some(bars) => {
                let _ = bars.println(line);
            }
            None => tracing::info!("{line}"),
        }
    }

    /// As [`Self::say`], of what somebody should look into.
    pub fn warn(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| tracing::warn!("{line}")),
            None => tracing::warn!("{line}"),
        }
    }
}

/// Shows rows a second and resident memory while a stage runs.
fn tick(bar: ProgressBar, progress: Arc<Progress>) -> JoinHandle<()> {
    let started = Instant::now();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let rows = progress.rows.load(Ordering::Relaxed);
            let rate = rows as f64 / started.elapsed().as_secs_f64().max(1e-3);
            bar.set_message(format!("{rows} rows {rate:.0}/s {} MiB", resident_bytes() >> 20));
        }
    })
}

/// Resident memory of this process.
pub fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()));
    pages.unwrap_or(0) * 4096
}

impl StageReport {
    /// `parts` more partitions are done.
    pub fn advance(&self, parts: usize) {
        if let Some(bar) = &self.bar {
            bar.inc(parts as u64);
        }
    }

    /// The stage is done. Returns its time.
    pub fn finish(self, computed: usize, reused: usize, rows: u64, quarantined: u64) -> Duration {
        let elapsed = self.started.elapsed();
        if let Some(ticker) = &self.ticker {
            ticker.abort();
        }
        if let Some(bar) = &self.bar {
            bar.finish_with_message(format!("{rows} rows, {quarantined} quarantined"));
        } else {
            let elapsed_ms = elapsed.as_millis() as u64;
            tracing::info!(stage = self.stage, rows, quarantined, computed, reused, elapsed_ms, "stage done");
        }
        elapsed
    }
}
