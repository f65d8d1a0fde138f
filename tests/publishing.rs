//! Publications are built on the last whole state: what runs that died, were refused or were overtaken committed counts
//! for no other run, whatever the store answered.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrow::json::LineDelimitedWriter;
use futures::{FutureExt, TryStreamExt};
use strata::engine::{EngineOptions, planning_state};
use strata::lake::{DataFile, Lake, files_at};
use strata::project::Project;
use strata::query::Reader;
use strata::run::{Outcome, Reporter, RunOptions, run};
use strata::{Error, Result};
use tempfile::TempDir;

use crate::support::project::{tiny, tiny_lake, write};
use crate::support::store::{Hooked, Operation, When, broken};
use crate::support::text;
use crate::support::world::copy;

/// What customers spent more than at the last published instant, and what that instant was.
const GROWTH: &str = "-- What each customer spent since the run before.\n\
    -- grain: as_of, customer\n-- store: table\n\
    select\n    s.customer,\n    $as_of as as_of,\n    s.amount - coalesce(max(b.amount), 0) as more,\n    \
    max(b.as_of) as since\n\
    from segments.spend as s\nleft join spend as b on s.customer = b.customer\n\
    group by s.customer, s.amount\n";

/// Every amount that was ever published, in one table that is replaced whole.
const HISTORY: &str = "-- What was published when.\n\
    -- grain: customer, at\n-- store: table\n-- publish: all\n\
    select customer, as_of as at, amount from spend\n\
    union all\nselect customer, as_of as at, amount from segments.spend\n";

/// A table in several partitions of an instant.
const TOTALS: &str = "-- Spend of all.\n\
    -- grain: as_of, size\n-- store: table\n-- partition_by: size\n\
    select\n    case when amount > 5 then 'large' else 'small' end as size,\n    $as_of as as_of,\n    count(*) as customers\n\
    from segments.spend\ngroup by 1\n";

fn project() -> TempDir {
    tiny(&[
        ("segments/growth.sql", GROWTH),
        ("segments/history.sql", HISTORY),
        ("segments/totals.sql", TOTALS),
    ])
}

/// Raw sales of three days; the sales of later days were known all along.
fn lake() -> TempDir {
    tiny_lake()
}

fn in_process<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(work)
}

/// Runs for the day after `day` of January 2025.
async fn run_day(lake: &Lake, project: &Path, day: u32) -> Result<Outcome> {
    run_with(lake, project, day, RunOptions::default()).await
}

async fn run_with(lake: &Lake, project: &Path, day: u32, options: RunOptions) -> Result<Outcome> {
    let project = Project::load(text(project), &planning_state().unwrap()).unwrap();
    let as_of = format!("2025-01-{:02}", day + 1).parse().unwrap();
    let engine = EngineOptions { threads: 1, memory_bytes: 256 << 20, ..EngineOptions::default() };
    run(lake, &project, &RunOptions { as_of, engine, ..options }, &Reporter::new(true)).await
}

fn open(folder: &Path) -> Lake {
    Lake::open(text(folder)).unwrap()
}

const TABLES: [(&str, &str); 4] = [
    ("spend", "as_of, customer"),
    ("growth", "as_of, customer"),
    ("history", "customer, at"),
    ("totals", "as_of, size"),
];

/// The published rows of each table, as the last run's versions and as the newest versions say: what Strata's readers
/// see, and what a reader sees who takes each table as it is.
async fn published(lake: &Lake) -> BTreeMap<String, String> {
    let options = EngineOptions { threads: 1, ..EngineOptions::default() };
    let reader = Reader::open(lake, options).await.unwrap();
    let mut seen = BTreeMap::new();
    for (table, grain) in TABLES.iter().chain(&[("current_runs", "as_of")]) {
        let columns = if *table == "current_runs" { "as_of, is_last, run_id" } else { "*" };
        let query = format!("select {columns} from {table} order by {grain}");
        let batches: Vec<_> = reader.query(&query).await.unwrap().try_collect().await.unwrap();
        let mut writer = LineDelimitedWriter::new(Vec::new());
        writer.write_batches(&batches.iter().collect::<Vec<_>>()).unwrap();
        writer.finish().unwrap();
        seen.insert(table.to_string(), String::from_utf8(writer.into_inner()).unwrap());
    }
    for (table, _) in TABLES {
        let version = reader.run().published[table].version;
        let of_run = files_at(lake, table, Some(version)).await.unwrap().unwrap();
        let newest = files_at(lake, table, None).await.unwrap().unwrap();
        let paths = |files: &[DataFile]| files.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
        assert_eq!(
            paths(&of_run.files),
            paths(&newest.files),
            "{table}: its newest version is the last run's"
        );
    }
    seen
}

/// A lake on which runs for these days were made, one after the other.
async fn undisturbed(project: &Path, days: &[u32]) -> BTreeMap<String, String> {
    let folder = lake();
    let lake = open(folder.path());
    for day in days {
        run_day(&lake, project, *day).await.unwrap();
    }
    published(&lake).await
}

/// The copy of a lake's folder.
fn copied(folder: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    copy(folder, &to.path().join("lake"));
    to
}

#[test]
fn a_run_that_dies_at_any_commit_is_no_part_of_the_next_run() {
    in_process(async {
        let project = project();
        let expected = undisturbed(project.path(), &[1, 3]).await;
        let begun = lake();
        run_day(&open(begun.path()), project.path(), 1).await.unwrap();
        let mut died = 0;
        for commits in 0.. {
            let folder = copied(begun.path());
            let path = folder.path().join("lake");
            // from here on the store takes nothing more that is published
            let made = Arc::new(AtomicUsize::new(0));
            let dying = Hooked::lake(text(&path), move |when, operation: Operation| {
                let made = made.clone();
                async move {
                    if when == When::Before && operation.publishes() && made.load(Ordering::SeqCst) >= commits
                    {
                        let is_data = operation.path.contains("/data/") && !operation.path.contains("runs/");
                        return if is_data { Ok(()) } else { Err(broken(&operation.path)) };
                    }
                    if when == When::After && operation.is_commit() {
                        made.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(())
                }
                .boxed()
            });
            match run_day(&dying, project.path(), 2).await {
                Err(_) => died += 1,
                Ok(_) => break,
            }
            let lake = open(&path);
            run_day(&lake, project.path(), 3).await.unwrap();
            assert_eq!(published(&lake).await, expected, "after a death with {commits} commits made");
        }
        // before each of the four tables and before `runs`
        assert_eq!(died, 5);
    });
}

#[test]
fn a_refused_run_commits_nothing() {
    in_process(async {
        let ours = project();
        let folder = lake();
        let lake = open(folder.path());
        run_day(&lake, ours.path(), 1).await.unwrap();
        let before = versions(&lake).await;
        // one column less in the last table that is published
        let files = [
            ("segments/growth.sql", GROWTH),
            ("segments/history.sql", HISTORY),
            (
                "segments/totals.sql",
                "-- Spend of all.\n-- grain: as_of, size\n-- store: table\n-- partition_by: size\n\
                 select 'all' as size, $as_of as as_of, 1 as people from segments.spend\n",
            ),
        ];
        let theirs = tiny(&files);
        let refused = run_day(&lake, theirs.path(), 2).await.unwrap_err();
        assert_eq!(refused.exit_code(), 2, "{refused}");
        assert!(refused.to_string().contains("drop column `customers`"), "{refused}");
        assert_eq!(versions(&lake).await, before);
        run_day(&lake, ours.path(), 3).await.unwrap();
        assert_eq!(published(&lake).await, undisturbed(ours.path(), &[1, 3]).await);
    });
}

#[test]
fn a_table_that_may_not_be_written_is_found_before_the_first_commit() {
    in_process(async {
        let project = project();
        let folder = lake();
        let lake = open(folder.path());
        run_day(&lake, project.path(), 1).await.unwrap();
        let before = versions(&lake).await;
        let denied = Hooked::lake(text(folder.path()), |when, operation| {
            let denied = when == When::Before
                && operation.publishes()
                && operation.path.contains("published/totals/_delta_log/");
            let path = operation.path.clone();
            async move {
                if denied {
                    let source = "not yours".into();
                    return Err(object_store::Error::PermissionDenied { path, source });
                }
                Ok(())
            }
            .boxed()
        });
        let refused = run_day(&denied, project.path(), 2).await.unwrap_err();
        assert_eq!(refused.exit_code(), 3, "{refused}");
        assert_eq!(versions(&lake).await, before);
    });
}

/// The newest version of each table.
async fn versions(lake: &Lake) -> Vec<Option<i64>> {
    let mut versions = Vec::new();
    for (table, _) in TABLES.iter().chain(&[("runs", ""), ("current_runs", "")]) {
        versions.push(strata::lake::table_version(lake, table).await.unwrap());
    }
    versions
}

#[test]
fn a_commit_whose_answer_was_lost_is_a_commit() {
    in_process(async {
        let project = project();
        let expected = undisturbed(project.path(), &[1, 2]).await;
        let exists = |path: &str| object_store::Error::AlreadyExists {
            path: path.to_owned(),
            source: "a retry met the first attempt".into(),
        };
        // the answer of the n-th commit is lost, or a retry of the store meets what the first attempt wrote
        for (lost, as_existing) in (0..6).flat_map(|lost| [(lost, false), (lost, true)]) {
            let folder = lake();
            let seen = Arc::new(AtomicUsize::new(0));
            let forgetful = Hooked::lake(text(folder.path()), move |when, operation: Operation| {
                let seen = seen.clone();
                async move {
                    let counts = when == When::After && operation.is_commit();
                    if counts && seen.fetch_add(1, Ordering::SeqCst) == lost {
                        let error =
                            if as_existing { exists(&operation.path) } else { broken(&operation.path) };
                        return Err(error);
                    }
                    Ok(())
                }
                .boxed()
            });
            run_day(&forgetful, project.path(), 1).await.unwrap();
            let lake = open(folder.path());
            run_day(&lake, project.path(), 2).await.unwrap();
            assert_eq!(published(&lake).await, expected, "answer {lost} lost, as existing: {as_existing}");
        }
    });
}

/// Lets another process hold the lake: the next epoch is taken and released.
async fn take_over(lake: &Lake) {
    let newest = lake.list("locks").await.unwrap();
    let number = |name: &str| name.split('.').next()?.parse::<u64>().ok();
    let newest = newest.iter().filter_map(|meta| number(meta.location.filename()?)).max().unwrap_or(0);
    lake.put(&format!("locks/{:010}.json", newest + 1), "{}".into()).await.unwrap();
    lake.put(&format!("locks/{:010}.done", newest + 1), "{}".into()).await.unwrap();
}

/// Where a driver was stopped, and how its run ended.
struct Stopped {
    at: Option<Operation>,
    ended: Result<Outcome>,
}

/// A run for day 2 that is stopped before its `stop`-th operation on what it publishes, or on the lock, after the first
/// check of the lock that precedes a commit; meanwhile `others` do their work.
fn stopped_run(folder: &Path, project: &Path, stop: usize, others: impl Future<Output = ()>) -> Stopped {
    let (reached, at_stop) = tokio::sync::oneshot::channel::<Operation>();
    let (go_on, may_go) = tokio::sync::oneshot::channel::<()>();
    let (reached, may_go) = (Arc::new(Mutex::new(Some(reached))), Arc::new(Mutex::new(Some(may_go))));
    let count = Arc::new(AtomicUsize::new(0));
    let ready = Arc::new(AtomicUsize::new(0));
    let slow = Hooked::lake(text(folder), move |when, operation: Operation| {
        let (reached, may_go) = (reached.clone(), may_go.clone());
        let (count, ready) = (count.clone(), ready.clone());
        async move {
            // the probes of the logs end the checks: what follows are fences and commits
            if operation.path.ends_with("_strata_probe") && operation.kind == "delete" {
                ready.fetch_add(1, Ordering::SeqCst);
            }
            let is_lock = operation.path.contains("locks") && !operation.path.ends_with(".beat");
            let concerns =
                is_lock || operation.path.contains("published") || operation.path.contains("_runs");
            let committing = ready.load(Ordering::SeqCst) >= TABLES.len();
            if when == When::Before && concerns && committing && count.fetch_add(1, Ordering::SeqCst) == stop
            {
                if let Some(reached) = reached.lock().unwrap().take() {
                    let _ = reached.send(operation);
                }
                let waiting = may_go.lock().unwrap().take();
                if let Some(waiting) = waiting {
                    let _ = waiting.await;
                }
            }
            Ok(())
        }
        .boxed()
    });
    std::thread::scope(|threads| {
        // the driver owns its store, so that it is gone when a run ends without being stopped
        let driver = threads.spawn(move || in_process(async { run_day(&slow, project, 2).await }));
        let at = in_process(async {
            let at = at_stop.await.ok();
            if at.is_some() {
                others.await;
            }
            at
        });
        let _ = go_on.send(());
        Stopped { at, ended: driver.join().unwrap() }
    })
}

#[test]
fn a_driver_stopped_anywhere_while_it_commits_and_overtaken_changes_nothing() {
    let project = project();
    let project = project.path();
    let (without, with) = in_process(async {
        (undisturbed(project, &[1, 3, 4]).await, undisturbed(project, &[1, 2, 3, 4]).await)
    });
    let begun = lake();
    in_process(async { run_day(&open(begun.path()), project, 1).await.unwrap() });
    let mut stops = 0;
    for stop in 0.. {
        let folder = copied(begun.path());
        let path = folder.path().join("lake");
        let lake = open(&path);
        let other = async {
            take_over(&lake).await;
            run_day(&lake, project, 3).await.unwrap();
        };
        let Stopped { at, ended } = stopped_run(&path, project, stop, other);
        let Some(at) = at else { break };
        stops += 1;
        // it was published if its row in `runs` stood before it was stopped
        let expected = match &ended {
            Ok(_) => &with,
            Err(Error::Locked(_)) => &without,
            Err(error) => panic!("stopped before {at:?}: {error}"),
        };
        let seen = in_process(async {
            run_day(&lake, project, 4).await.unwrap();
            published(&lake).await
        });
        assert_eq!(&seen, expected, "stopped before {at:?}");
    }
    assert!(stops > 20, "only {stops} places to stop at");
    println!("stopped at {stops} places");
}

#[test]
fn what_another_program_cleaned_away_is_not_published() {
    in_process(async {
        let project = project();
        let folder = lake();
        let lake = open(folder.path());
        run_day(&lake, project.path(), 1).await.unwrap();
        run_day(&lake, project.path(), 2).await.unwrap();
        // the rows of day 1 in one table, whose stage results lie in the same files
        let files = files_at(&lake, "growth", None).await.unwrap().unwrap().files;
        let of_first =
            |file: &&DataFile| file.partition["as_of"].as_deref().unwrap().starts_with("2025-01-02");
        for file in files.iter().filter(of_first) {
            lake.delete(&file.path).await.unwrap();
        }
        run_day(&lake, project.path(), 3).await.unwrap();
        let reader = Reader::open(&lake, EngineOptions::default()).await.unwrap();
        for (table, _) in TABLES {
            let batches: Vec<_> = reader
                .query(&format!("select * from {table}"))
                .await
                .unwrap()
                .try_collect()
                .await
                .unwrap_or_else(|error| panic!("{table}: {error}"));
            assert!(batches.iter().any(|batch| batch.num_rows() > 0), "{table}");
        }
        // a run for that day computes them again
        run_day(&lake, project.path(), 1).await.unwrap();
        let healed = published(&lake).await;
        assert_eq!(
            healed["growth"].lines().count(),
            undisturbed(project.path(), &[1, 2, 3]).await["growth"].lines().count()
        );
    });
}

#[test]
fn a_commit_torn_by_a_loss_of_power_is_set_aside() {
    in_process(async {
        let project = project();
        let expected = undisturbed(project.path(), &[1, 3]).await;
        for (table, torn) in [("totals", ""), ("totals", "{\"add\":{\"pa"), ("runs", ""), ("spend", "")] {
            let folder = lake();
            let lake = open(folder.path());
            run_day(&lake, project.path(), 1).await.unwrap();
            // what a run for day 2 left when the power went
            let log = format!("published/{table}/_delta_log/{:020}.json", 1);
            write(folder.path(), &[(&log, torn)]);
            run_day(&lake, project.path(), 3).await.unwrap();
            assert_eq!(published(&lake).await, expected, "{table} {torn}");
        }
    });
}
