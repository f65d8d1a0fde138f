//! Cleaning up: what no kept run needs any more is found by reading what the kept runs name, and removed.
//!
//! A file is needed when a kept run's stage result or Delta version, or the newest version of a table, names it. Which
//! versions a run has says its row in `runs`, so that they stay when its manifest is lost. Of several attempts at one day
//! the last one is the result. What is younger than the grace period stays in any case: a run that died may be resumed, a
//! reader may still be reading.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use object_store::ObjectMeta;

use super::history::RunManifest;
use super::last::{FinishedRun, runs_rows};
use crate::Result;
use crate::engine::Engine;
use crate::lake::{
    DayResults, Lake, Lock, LogFiles, StageManifest, StoredManifest, files_at, stored_manifests,
    table_prefix, table_version,
};

/// Deletions under way at the same time.
const DELETED_AT_ONCE: usize = 16;

/// A stage, a day of it (none for the whole) and a fingerprint: what attempts are made at.
type Aim<'a> = (&'a str, Option<&'a str>, &'a str);

/// What is to stay.
#[derive(Debug, Clone)]
pub struct Retention {
    /// The newest runs, at least the last one.
    pub runs: usize,
    /// Runs that finished within this time before now, besides.
    pub age: Option<Duration>,
    /// Nothing younger is removed, and nothing that a reader needs who began to read within this time.
    pub grace: Duration,
}

/// A run that stays.
struct KeptRun {
    row: FinishedRun,
    /// None when it is lost: which stage results the run took is unknown then.
    manifest: Option<RunManifest>,
}

/// Files that are not needed, by what they are.
#[derive(Debug, Clone, Default)]
pub struct Garbage {
    /// Epochs of the runs that stay whole.
    pub kept_runs: Vec<u64>,
    /// Manifests of results that no kept run needs.
    pub results: Vec<ObjectMeta>,
    /// Manifests of several days of which some are needed, and what stays of each.
    shrunk: Vec<(String, DayResults)>,
    /// Data files of unneeded results, and of attempts that came to nothing.
    pub data: Vec<ObjectMeta>,
    /// Data files of tables in versions that no kept run names.
    pub versions: Vec<ObjectMeta>,
    /// Delta commits and checkpoints before those that kept versions are read from.
    pub logs: Vec<ObjectMeta>,
}

impl Garbage {
    /// What is to be removed, by kind: the manifests first, so that a removal that is broken off leaves no result
    /// without its files.
    pub fn kinds(&self) -> [(&'static str, &[ObjectMeta]); 4] {
        [
            ("results", &self.results),
            ("data of results and attempts", &self.data),
            ("data of table versions", &self.versions),
            ("Delta log entries", &self.logs),
        ]
    }

    /// Bytes of all that is to be removed.
    pub fn bytes(&self) -> u64 {
        self.kinds().iter().flat_map(|(_, files)| files.iter()).map(|file| file.size).sum()
    }

    /// Finds what is not needed. Removes nothing.
    pub async fn find(lake: &Lake, engine: &Engine, keep: &Retention, now: DateTime<Utc>) -> Result<Garbage> {
        let runs = kept_runs(lake, engine, keep, now).await?;
        let is_old = |meta: &ObjectMeta| meta.last_modified <= now - keep.grace;
        let mut garbage =
            Garbage { kept_runs: runs.iter().map(|run| run.row.epoch).collect(), ..Garbage::default() };
        let manifests: Vec<&RunManifest> = runs.iter().filter_map(|run| run.manifest.as_ref()).collect();
        let stored = stored_manifests(lake).await?;
        let last = last_attempts(&stored, &is_old);
        let mut needed_files = BTreeSet::new();
        for stored in &stored {
            garbage.sort(stored, &manifests, &last, &is_old, &mut needed_files);
        }
        let mut tables: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
        for (name, version) in runs.iter().flat_map(|run| &run.row.tables) {
            tables.entry(name.clone()).or_default().insert(*version);
        }
        for name in folders(lake, "published").await? {
            let newest = table_version(lake, &name).await?;
            tables.entry(name).or_default().extend(newest);
        }
        let mut untouched = Vec::new();
        for (name, versions) in &tables {
            let log = LogFiles::list(lake, name).await?;
            // versions that an earlier cleanup took away need nothing
            let first = log.first_readable().unwrap_or_default();
            let mut lost = versions.range(first..).find_map(|version| log.damage(Some(*version)));
            for version in versions.range(first..) {
                if lost.is_some() {
                    break;
                }
                match files_at(lake, name, Some(*version)).await {
                    Ok(found) => {
                        needed_files.extend(found.into_iter().flat_map(|s| s.files).map(|file| file.path));
                    }
                    Err(error) => lost = Some(log.torn(lake, *version).await?.ok_or(error)?),
                }
            }
            if let Some(commit) = lost {
                tracing::warn!("{commit} is gone, empty or cut: nothing of table `{name}` is removed");
                untouched.push(format!("{}/", table_prefix(name)));
                continue;
            }
            if let Some(oldest) = versions.range(first..).next() {
                garbage.logs.extend(log.before(*oldest).into_iter().filter(is_old));
            }
        }
        let is_needed =
            |meta: &ObjectMeta| lake.relative(&meta.location).is_none_or(|path| needed_files.contains(path));
        let in_data = |meta: &ObjectMeta| {
            lake.relative(&meta.location)
                .is_some_and(|path| path.contains("/data/") || path.contains("/torn/"))
        };
        let stray = |meta: &ObjectMeta| in_data(meta) && is_old(meta) && !is_needed(meta);
        garbage.data = lake.list("stages").await?.into_iter().filter(stray).collect();
        let in_reach = |meta: &ObjectMeta| {
            let path = lake.relative(&meta.location).unwrap_or_default();
            !untouched.iter().any(|folder| path.starts_with(folder))
        };
        let published = lake.list("published").await?.into_iter();
        garbage.versions = published.filter(|meta| stray(meta) && in_reach(meta)).collect();
        Ok(garbage)
    }

    /// Decides on the results of one manifest, and notes the files of those that stay.
    fn sort(
        &mut self,
        stored: &StoredManifest,
        runs: &[&RunManifest],
        last: &BTreeMap<Aim<'_>, &str>,
        is_old: &impl Fn(&ObjectMeta) -> bool,
        needed_files: &mut BTreeSet<String>,
    ) {
        let is_needed = |result: &StageManifest| {
            let day = result.day.as_deref().unwrap_or_default();
            // models stay: a run for an earlier instant may follow the one that was there then
            result.model.is_some()
                || runs.iter().any(|run| {
                    let own = run.stages.get(&result.stage).map(|stage| &stage.fingerprints);
                    // new pseudonyms follow old ones by what the runs before left
                    let changes = run.pseudonyms.iter().flat_map(|pseudonyms| pseudonyms.changed.values());
                    let former = changes.flatten().filter_map(|results| results.get(&result.stage));
                    own.into_iter().chain(former).any(|prints| prints.get(day) == Some(&result.fingerprint))
                })
        };
        let is_superseded =
            |result: &StageManifest| last.get(&aim(result)).is_some_and(|last| *last > stored.path.as_str());
        let old = is_old(&stored.meta);
        let (kept, dropped): (Vec<_>, Vec<_>) =
            stored.results.iter().partition(|result| !old || (is_needed(result) && !is_superseded(result)));
        needed_files.extend(kept.iter().flat_map(|result| &result.files).map(|file| file.path.clone()));
        match (kept.is_empty(), dropped.is_empty()) {
            (true, _) if old => self.results.push(stored.meta.clone()),
            (true, _) | (false, true) => {}
            (false, false) => self.shrunk.push((stored.path.clone(), DayResults::of(&kept))),
        }
    }

    /// Removes what was found; the caller holds the lake. What is broken off is found again by the next call.
    pub async fn remove(&self, lake: &Lake, fence: &Lock) -> Result<()> {
        fence.check().await?;
        for (path, days) in &self.shrunk {
            days.replace(lake, path).await?;
        }
        for (_, files) in self.kinds() {
            fence.check().await?;
            let deleted = files.iter().filter_map(|file| lake.relative(&file.location));
            let deleted = futures::stream::iter(deleted.map(|path| lake.delete(path)));
            let mut deleted = futures::StreamExt::buffer_unordered(deleted, DELETED_AT_ONCE);
            while let Some(done) = futures::StreamExt::next(&mut deleted).await {
                done?;
            }
        }
        Ok(())
    }
}

/// The path of the manifest that holds the last attempt at each aim: the one that counts when [`DayResults`] are loaded,
/// which are in the order of paths, too. Those that are not old are left out: a reader may have begun without them.
fn last_attempts<'a>(
    stored: &'a [StoredManifest],
    is_old: &impl Fn(&ObjectMeta) -> bool,
) -> BTreeMap<Aim<'a>, &'a str> {
    let mut last = BTreeMap::new();
    for stored in stored.iter().filter(|stored| is_old(&stored.meta)) {
        for result in &stored.results {
            let path = last.entry(aim(result)).or_insert(stored.path.as_str());
            *path = stored.path.as_str().max(*path);
        }
    }
    last
}

fn aim(result: &StageManifest) -> Aim<'_> {
    (&result.stage, result.day.as_deref(), &result.fingerprint)
}

/// The runs that stay whole: the newest, those of the given age, and those that a reader may still be reading.
async fn kept_runs(
    lake: &Lake,
    engine: &Engine,
    keep: &Retention,
    now: DateTime<Utc>,
) -> Result<Vec<KeptRun>> {
    let mut finished = FinishedRun::of(&runs_rows(engine, lake).await?)?;
    finished.sort_by_key(|run| std::cmp::Reverse(run.epoch));
    let mut kept = Vec::new();
    // when the run after this one finished: from then on no reader begins with this one
    let mut superseded: Option<DateTime<Utc>> = None;
    for row in finished {
        let manifest = RunManifest::load(lake, row.epoch).await?;
        // A run whose manifest is lost finished before the one after it did. When it is the last one, the run before
        // stays as if none had followed: the next run inherits from the newest manifest that is left.
        let finished = match &manifest {
            Some(run) => DateTime::parse_from_rfc3339(&run.finished_at).map(|at| at.with_timezone(&Utc)).ok(),
            None => superseded,
        };
        let is_young = |at: Option<DateTime<Utc>>, age: Duration| at.is_none_or(|at| at > now - age);
        let by_age = keep.age.is_some_and(|age| is_young(finished, age));
        if kept.len() < keep.runs.max(1) || by_age || is_young(superseded, keep.grace) {
            kept.push(KeptRun { row, manifest });
        }
        superseded = finished;
    }
    Ok(kept)
}

/// The names of the folders directly below one.
async fn folders(lake: &Lake, rel: &str) -> Result<BTreeSet<String>> {
    let listed = lake.list(rel).await?;
    let prefix = format!("{rel}/");
    let names = listed.iter().filter_map(|meta| {
        let below = lake.relative(&meta.location)?.strip_prefix(&prefix)?;
        Some(below.split_once('/')?.0.to_string())
    });
    Ok(names.collect())
}
