//! `kill -9` at any point of a run: readers see the old tables or the new, and the next run ends what was begun.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arrow::util::display::array_value_to_string;
use futures::TryStreamExt;
use serde_json::Value;
use strata::engine::EngineOptions;
use strata::lake::{Lake, files_at};
use strata::query::Reader;

use crate::support::process::Running;
use crate::support::world::{
    PUBLISHED, copy, files, last_run, published_hashes, rows, small_lake, small_run,
};
use crate::support::{ok, set_environment, text};

/// A kill is tried again on a new copy of the lake when the run ended before it, so often.
const TRIES: usize = 20;

/// A lake before and after one undisturbed run.
struct Run {
    before: PathBuf,
    after: PathBuf,
    old: View,
    new: View,
    /// Results and commits before the run.
    had: (usize, usize),
    /// Results that the undisturbed run computes, and commits that it makes after the last of them.
    makes: (usize, usize),
}

impl Run {
    fn of(before: &Path, after: &Path) -> Run {
        let had = (results(before), commits(before));
        Run {
            before: before.to_path_buf(),
            after: after.to_path_buf(),
            old: view(before),
            new: view(after),
            had,
            makes: (results(after) - had.0, commits(after) - had.1),
        }
    }

    /// Steps of the undisturbed run: results and commits.
    fn steps(&self) -> usize {
        self.makes.0 + self.makes.1
    }

    /// Steps made in a lake since the state before.
    fn progress(&self, lake: &Path) -> usize {
        match commits(lake) - self.had.1 {
            0 => results(lake) - self.had.0,
            commits => self.makes.0 + commits,
        }
    }

    /// A run killed at each of these steps, counted from the state before, and at last left alone.
    fn torment(&self, points: &[usize]) {
        let done = (0..TRIES).any(|_| self.is_tormented(points));
        assert!(done, "the run always ended before it could be killed at each of {points:?}");
    }

    /// Whether every run could be killed in time.
    fn is_tormented(&self, points: &[usize]) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().join("lake");
        copy(&self.before, &lake);
        let poll = Poll::start(&lake);
        for point in points {
            let target = *point.max(&(self.progress(&lake) + 1));
            let mut run = Running::start(&["run", "--lake", text(&lake)]);
            while self.progress(&lake) < target {
                if let Some(status) = run.ended() {
                    assert!(status.success(), "{}", run.said());
                    return false;
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            if !run.is_killed() {
                return false;
            }
            let committed = versions(&lake, "runs") > versions(&self.before, "runs");
            let expected = if committed { &self.new } else { &self.old };
            assert_eq!(&view(&lake), expected, "after a kill at step {point} of {}", self.steps());
        }
        let finished = results(&lake) - self.had.0;
        ok(&["run", "--lake", text(&lake)]);
        assert_eq!(published_hashes(&lake), published_hashes(&self.after), "after kills at steps {points:?}");
        assert_eq!(view(&lake), self.new);
        let seen = poll.stop();
        assert_eq!(seen, [self.old.clone(), self.new.clone()], "what a reader saw, without repetitions");

        let computed: usize = last_run(&lake).stages.values().map(|stage| stage.computed).sum();
        assert_eq!(computed + finished, self.makes.0, "finished results are not computed again");
        for (table, grain) in PUBLISHED.iter().chain(&[("runs", "epoch")]) {
            let twice =
                rows(&lake, &format!("select {grain} from {table} group by {grain} having count(*) > 1"));
            assert!(twice.is_empty(), "{table}: {twice:?}");
        }
        true
    }
}

/// Finished results, each a manifest or a day in one.
fn results(lake: &Path) -> usize {
    let layers = folders(&lake.join("stages")).into_iter().filter(|layer| !layer.ends_with("_runs"));
    let manifests =
        layers.flat_map(|layer| folders(&layer)).flat_map(|stage| files(&stage.join("manifests")));
    let count = |manifest: PathBuf| {
        let text = std::fs::read_to_string(manifest).unwrap();
        let manifest: Value = serde_json::from_str(&text).unwrap();
        manifest["days"].as_array().map_or(1, Vec::len)
    };
    manifests.filter(|file| is_whole(file)).map(count).sum()
}

/// Versions of all published tables, and manifests of runs. A run makes them when it has all results.
fn commits(lake: &Path) -> usize {
    let tables = folders(&lake.join("published"));
    let versions: usize = tables.iter().map(|table| versions(lake, text(table))).sum();
    versions + count_json(&lake.join("stages/_runs"))
}

/// Versions of a published table.
fn versions(lake: &Path, table: &str) -> usize {
    count_json(&lake.join("published").join(table).join("_delta_log"))
}

fn count_json(folder: &Path) -> usize {
    files(folder).iter().filter(|file| is_whole(file)).count()
}

/// A file being written has a name that ends otherwise.
fn is_whole(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "json")
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// What a reader sees in two tables that one run writes; nothing before the first run.
type View = Option<[String; 2]>;

const QUERIES: [&str; 2] = [
    "select row_digest(row_hash(customer_id, as_of, segment, rfm_type, monetary_total, events)) from customer_360",
    "select row_digest(row_hash(customer_id, family, segment, valid_from, valid_to, reason)) from segment_membership",
];

fn view(lake: &Path) -> View {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let lake = Lake::open(text(lake)).unwrap();
        let reader = match Reader::open(&lake, EngineOptions { threads: 1, ..EngineOptions::default() }).await
        {
            Err(error) if error.to_string().contains("holds no finished run") => return None,
            reader => reader.unwrap(),
        };
        let mut seen = [String::new(), String::new()];
        for (query, seen) in QUERIES.iter().zip(&mut seen) {
            let batches: Vec<_> = reader.query(query).await.unwrap().try_collect().await.unwrap();
            *seen = array_value_to_string(batches[0].column(0), 0).unwrap();
        }
        Some(seen)
    })
}

/// A reader that looks at a lake all along.
struct Poll {
    stopped: Arc<AtomicBool>,
    reader: Option<JoinHandle<Vec<View>>>,
}

impl Poll {
    fn start(lake: &Path) -> Poll {
        let stopped = Arc::new(AtomicBool::new(false));
        let (lake, stop) = (lake.to_path_buf(), stopped.clone());
        let reader = std::thread::spawn(move || {
            let mut seen = Vec::new();
            loop {
                let last_look = stop.load(Ordering::Acquire);
                let now = view(&lake);
                if seen.last() != Some(&now) {
                    seen.push(now);
                }
                if last_look {
                    return seen;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Poll { stopped, reader: Some(reader) }
    }

    /// What was seen, in order, without repetitions.
    fn stop(mut self) -> Vec<View> {
        self.stopped.store(true, Ordering::Release);
        self.reader.take().unwrap().join().expect("the reader could always read")
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// `count` steps from 1 to `steps` - 1, one at a pseudo-random place of each of `count` equal stretches.
fn kill_points(count: usize, steps: usize, seed: u64) -> Vec<usize> {
    let mut state = seed;
    let mut random = || {
        // xorshift64*, Vigna 2016
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    };
    let width = (steps - 1) as f64 / count as f64;
    (0..count).map(|stretch| 1 + ((stretch as f64 + random()) * width) as usize).collect()
}

/// Runs take the lock of one that was killed as soon as they may.
fn take_over_soon() {
    set_environment(vec![("STRATA_LOCK_TIMEOUT".into(), "1".into())]);
}

#[test]
fn a_run_killed_at_any_point_ends_as_if_nothing_had_happened() {
    take_over_soon();
    let raw = small_lake();
    ok(&["run", "--lake", text(raw.path()), "--as-of", "2025-02-27"]);
    let folder = tempfile::tempdir().unwrap();
    let after = folder.path().join("after");
    copy(raw.path(), &after);
    ok(&["run", "--lake", text(&after)]);
    let run = Run::of(raw.path(), &after);
    assert_ne!(run.old, run.new);
    let computed: usize = last_run(&after).stages.values().map(|stage| stage.computed).sum();
    // a commit for each table but `person_aliases`, as nobody's id changed, `segment_migration`, which leaves out the ways
    // of few, and the two of lookalikes, for which there is no list; one for `runs` and for `current_runs`, and the run's
    // manifest
    assert_eq!(run.makes, (computed, PUBLISHED.len() - 1));

    // a sample, or with `STRATA_SOAK=1` four times as many
    let runs = if is_soak() { 8 } else { 2 };
    let points = kill_points(4 * runs, run.steps(), 7);
    for first in 0..runs {
        run.torment(&points.iter().skip(first).step_by(runs).copied().collect::<Vec<_>>());
    }
}

#[test]
fn a_first_run_killed_at_4_points_shows_nothing_until_it_is_whole() {
    take_over_soon();
    let raw = small_lake();
    let run = Run::of(raw.path(), small_run());
    assert_eq!(run.old, None);
    run.torment(&kill_points(4, run.steps(), 11));
}

fn is_soak() -> bool {
    std::env::var_os("STRATA_SOAK").is_some()
}

/// Numbers of commits after which a run is killed: a sample, or with `STRATA_SOAK=1` every one.
fn commits_before_death() -> Vec<usize> {
    let all = PUBLISHED.len();
    match is_soak() {
        true => (1..all).collect(),
        false => vec![1, all / 2, all - 5],
    }
}

#[test]
fn a_day_whose_run_died_is_no_part_of_later_days() {
    let raw = small_lake();
    ok(&["run", "--lake", text(raw.path()), "--as-of", "2025-02-26"]);
    let folder = tempfile::tempdir().unwrap();
    let undisturbed = folder.path().join("undisturbed");
    copy(raw.path(), &undisturbed);
    ok(&["run", "--lake", text(&undisturbed)]);
    let expected = published_hashes(&undisturbed);
    for made in commits_before_death() {
        let lake = folder.path().join(format!("died-{made}"));
        let had = commits(raw.path());
        let died = (0..TRIES).any(|_| {
            let _ = std::fs::remove_dir_all(&lake);
            copy(raw.path(), &lake);
            let mut run = Running::start(&["run", "--lake", text(&lake), "--as-of", "2025-02-28"]);
            while commits(&lake) - had < made && run.ended().is_none() {
                std::thread::sleep(Duration::from_micros(200));
            }
            run.is_killed() && versions(&lake, "runs") == versions(raw.path(), "runs")
        });
        assert!(died, "the run always ended before it could be killed after {made} commits");
        ok(&["run", "--lake", text(&lake)]);
        assert_eq!(published_hashes(&lake), expected, "after a death with {made} commits made");
        assert_newest_is_last(&lake);
        std::fs::remove_dir_all(&lake).unwrap();
    }
}

/// Whoever takes each table at its newest version sees the last run.
fn assert_newest_is_last(lake: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let run = last_run(lake);
    runtime.block_on(async {
        let lake = Lake::open(text(lake)).unwrap();
        for (table, published) in &run.published {
            let of_run = files_at(&lake, table, Some(published.version)).await.unwrap().unwrap();
            let newest = files_at(&lake, table, None).await.unwrap().unwrap();
            assert_eq!(of_run.files, newest.files, "{table}");
        }
    });
}
