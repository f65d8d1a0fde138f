//! Running after each day's delivery gives what one run over everything gives, and reads only what is new.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use chrono::{Days, NaiveDate};
use serde_json::Value;
use strata::run::RunManifest;
use tempfile::TempDir;

use crate::support::world::{SMALL, copy, files, generate, last_run, published_hashes, rows, small_lake};
use crate::support::{fails, ok, text};

/// `look_back_days` of the retail project.
const LOOK_BACK: u64 = 7;

/// A lake that was run after each of the days from 22 to 29 January, and how it was before the last of these runs.
struct History {
    folder: TempDir,
    /// The day that was delivered before each run, and what the run did.
    runs: Vec<(NaiveDate, RunManifest)>,
}

impl History {
    fn lake(&self) -> PathBuf {
        self.folder.path().join("lake")
    }

    /// A copy of the lake with the last day's files, before they were run.
    fn before_last(&self) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().join("lake");
        copy(&self.folder.path().join("before"), &lake);
        (folder, lake)
    }

    fn last(&self) -> &(NaiveDate, RunManifest) {
        self.runs.last().unwrap()
    }
}

fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2025, 1, day).unwrap()
}

fn run_after(lake: &Path, last_day: NaiveDate) -> RunManifest {
    ok(&["run", "--lake", text(lake), "--as-of", &(last_day + Days::new(1)).to_string()]);
    last_run(lake)
}

fn history() -> &'static History {
    static HISTORY: OnceLock<History> = OnceLock::new();
    HISTORY.get_or_init(|| {
        let mut history = History { folder: tempfile::tempdir().unwrap(), runs: Vec::new() };
        let lake = history.lake();
        generate(&lake, &[SMALL, &["--arrived-before", &day(22).to_string()]].concat());
        run_after(&lake, day(21));
        for number in 22..=29 {
            let (from, before) = (day(number).to_string(), day(number + 1).to_string());
            generate(&lake, &[SMALL, &["--arrived-from", &from, "--arrived-before", &before]].concat());
            if number == 29 {
                copy(&lake, &history.folder.path().join("before"));
            }
            let run = run_after(&lake, day(number));
            history.runs.push((day(number), run));
        }
        history
    })
}

fn event_day(path: &str) -> Option<NaiveDate> {
    let (_, folder) = path.split_once("raw/events/event_date=")?;
    folder.split('/').next()?.parse().ok()
}

/// The event files of a lake by whether they lie in a folder to which `arrived` has brought a file.
fn event_files(lake: &Path, arrived: NaiveDate) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
    let delivered = format!("arrived-{arrived}.parquet");
    let known = files(&lake.join("raw/events")).into_iter().filter(|file| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap();
        name <= delivered.as_str()
    });
    known.partition(|file| file.with_file_name(&delivered).exists())
}

#[test]
fn a_run_opens_only_event_files_of_the_look_back_and_of_days_with_a_new_file() {
    let history = history();
    let mut without_too_late = 0;
    for (last_day, run) in &history.runs {
        let opened: BTreeSet<&str> = run
            .stages
            .values()
            .flat_map(|stage| &stage.scan.files)
            .filter_map(|path| path.find("raw/events/").map(|at| &path[at..]))
            .collect();
        let days: BTreeSet<NaiveDate> = opened.iter().filter_map(|path| event_day(path)).collect();
        let (changed, others) = event_files(&history.lake(), *last_day);
        let lake = history.lake();
        let below = |file: &PathBuf| file.strip_prefix(&lake).unwrap().to_str().unwrap().to_string();
        let changed: BTreeSet<String> = changed.iter().map(below).collect();
        let look_back = *last_day - Days::new(LOOK_BACK)..=*last_day;
        let too_late: BTreeSet<NaiveDate> = changed
            .iter()
            .filter_map(|file| event_day(file))
            .filter(|day| !look_back.contains(day))
            .collect();

        assert!(days.contains(last_day), "{last_day}: {opened:?}");
        let allowed = |day: &NaiveDate| look_back.contains(day) || too_late.contains(day);
        assert!(days.iter().all(allowed), "{last_day}: {days:?}, too late for {too_late:?}");
        // of the look-back itself only the days that changed, each whole
        assert!(opened.iter().copied().eq(changed.iter().map(String::as_str)), "{last_day}: {opened:?}");
        assert!(others.len() > changed.len(), "{last_day}: there was little to leave closed");
        without_too_late += usize::from(too_late.is_empty());
    }
    assert!(
        (1..history.runs.len()).contains(&without_too_late),
        "{without_too_late} days without a too late row"
    );
}

#[test]
fn the_last_result_equals_a_full_refresh() {
    let history = history();
    let (last_day, incremental) = history.last();
    let (_folder, lake) = history.before_last();
    ok(&["run", "--lake", text(&lake), "--full-refresh", "--as-of", &(*last_day + Days::new(1)).to_string()]);
    let refreshed = last_run(&lake);
    assert_eq!(published_hashes(&lake), published_hashes(&history.lake()));
    assert_eq!(refreshed.run_id, incremental.run_id);
    assert_eq!(refreshed.models, incremental.models);
    for (name, stage) in refreshed.stages.iter().filter(|(name, _)| !refreshed.models.contains_key(*name)) {
        assert_eq!(stage.computed, stage.fingerprints.len(), "{name} was not refreshed");
        assert_eq!(stage.by_rule, incremental.stages[name].by_rule, "{name}");
    }
    // the days were as messy as they should be
    let rejected = &incremental.stages["facts.daily_activity"].by_rule;
    assert!(rejected["duplicate_event"] > 0 && rejected["too_late_event"] > 0, "{rejected:?}");
    let late = [2, 5].map(|days| *last_day - Days::new(days));
    let arrived = event_files(&lake, *last_day).0;
    assert!(
        late.iter().all(|day| arrived.iter().any(|file| event_day(text(file)) == Some(*day))),
        "{arrived:?}"
    );
}

/// Columns of `customer_360` that come from models, which are learned at different times.
const LEARNED: &[&str] = &[
    "segment",
    "segment_name",
    "segment_name_zh",
    "segment_silhouette",
    "lookalike_lists",
    "recency_score",
    "frequency_score",
    "monetary_score",
    "rfm_score",
    "rfm_type",
    "rfm_segment",
    "spending_level",
];

#[test]
fn the_last_result_equals_one_run_over_all_raw_files() {
    let history = history();
    let (last_day, incremental) = history.last();
    // it holds what arrived later too, which must not be seen
    let at_once = small_lake();
    // both know their customers and link records as the first run learned to
    run_after(at_once.path(), day(21));
    ok(&[
        "run",
        "--lake",
        text(at_once.path()),
        "--full-refresh",
        "--as-of",
        &(*last_day + Days::new(1)).to_string(),
    ]);
    let single = last_run(at_once.path());
    assert!(
        single.stages["facts.daily_activity"].computed > incremental.stages["facts.daily_activity"].computed
    );
    let learned = |name: &str| {
        let layer = name.split('.').next().unwrap();
        ["models", "segments", "portraits"].contains(&layer) || ["tags.rfm", "tags.value"].contains(&name)
    };
    let compared: Vec<&String> = single.stages.keys().filter(|name| !learned(name)).collect();
    for name in ["facts.daily_activity", "facts.daily_purchases", "features.customers", "tags.life_cycle"] {
        assert!(compared.iter().any(|stage| *stage == name), "{name} is not compared");
    }
    for name in compared {
        let query = format!("select * from {name}");
        assert_eq!(sorted(rows(at_once.path(), &query)), sorted(rows(&history.lake(), &query)), "{name}");
        let (one, many) = (&single.stages[name], &incremental.stages[name]);
        assert_eq!((one.rows_in, one.rows, &one.by_rule), (many.rows_in, many.rows, &many.by_rule), "{name}");
    }
    let newest = "select * from customer_360 where as_of = (select max(as_of) from customer_360)";
    let features = |lake: &Path| {
        let mut found = rows(lake, newest);
        for row in found.iter_mut().filter_map(Value::as_object_mut) {
            row.retain(|column, _| !LEARNED.contains(&column.as_str()));
        }
        sorted(found)
    };
    let single = features(at_once.path());
    assert!(single.len() > 500);
    assert_eq!(single, features(&history.lake()));
}

fn sorted(rows: Vec<Value>) -> Vec<String> {
    let mut lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    lines.sort();
    lines
}

#[test]
fn a_day_whose_file_was_changed_is_read_again_however_old_it_is_and_though_the_footer_is_the_same() {
    let history = history();
    let (last_day, _) = history.last();
    let as_of = (*last_day + Days::new(1)).to_string();
    for old in [false, true] {
        let (_folder, lake) = history.before_last();
        let (arrived, others) = event_files(&lake, *last_day);
        let file = if old { others } else { arrived }.pop_first().unwrap();
        spoil(&file);
        let said = fails(3, &["run", "--lake", text(&lake), "--as-of", &as_of]);
        assert!(said.contains(text(file.strip_prefix(&lake).unwrap())), "{said}");
    }
}

/// Overwrites all data of a Parquet file and leaves its footer.
fn spoil(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let trailer = bytes.len() - 8;
    let footer = u32::from_le_bytes(bytes[trailer..trailer + 4].try_into().unwrap()) as usize;
    bytes[4..trailer - footer].fill(0xff);
    // links to the file in other lakes keep their content
    std::fs::remove_file(file).unwrap();
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_second_run_computes_nothing() {
    let history = history();
    let (last_day, first) = history.last();
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    copy(&history.lake(), &lake);
    let second = run_after(&lake, *last_day);
    assert_eq!(second.run_id, first.run_id);
    assert!(second.epoch > first.epoch);
    assert!(second.stages.values().all(|stage| stage.computed == 0 && stage.scan.files.is_empty()));
    assert_eq!(published_hashes(&lake), published_hashes(&history.lake()));
}
