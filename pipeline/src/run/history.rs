//! What earlier runs left: the manifest of each run, and the models that the next run inherits.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::cost::{Cost, Pace};
use super::last::{FinishedRun, Last};
use super::model::{StoredModel, next_segment};
use super::plan::as_of_text;
use super::pseudonyms::Pseudonyms;
use super::publish::ALL;
use super::why::Again;
use crate::engine::ScanMetrics;
use crate::lake::{Lake, RUN_MANIFESTS, read_or_set_aside};
use crate::project::Ingredients;
use crate::{Context, Error, Result};

/// A model as carried from run to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedModel {
    /// Hash of the model stage's definition; a stage with another definition is trained again.
    pub definition: String,
    /// The fingerprint under which the model's result lies.
    pub fingerprint: String,
    /// The `as_of` of the run that made it.
    #[serde(default)]
    pub as_of: String,
    /// The fingerprint of the model that it followed, which a repeated run for the same `as_of` follows again.
    #[serde(default)]
    pub before: Option<String>,
    /// Whether that one had the same definition, so that it may stay.
    #[serde(default)]
    pub before_is_alike: bool,
    /// Segments that continue none got ids from this one on.
    #[serde(default)]
    pub ids_from: i32,
    /// The latest `as_of` for which it, or a model that it follows, was made.
    #[serde(default)]
    pub knows_until: String,
}

/// The models that a lake carries from run to run. A run for an earlier instant than the last one uses them, and leaves
/// them as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedState {
    /// The latest `as_of` of the runs since the last reset.
    pub as_of: String,
    /// The models of that run, by stage.
    pub models: BTreeMap<String, CarriedModel>,
    /// The first segment id that no run has ever used, by model stage.
    pub next_segments: BTreeMap<String, i32>,
}

/// Which models a run starts from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StateOf {
    /// Those that the lake carries.
    #[default]
    Lake,
    /// Those that had been made by the instant of the run, whatever later runs made.
    Then,
    /// None: all are trained.
    Nothing,
}

/// What a run inherits.
#[derive(Debug, Clone, Default)]
pub struct Inherited {
    /// What the last run of the lake left.
    pub last: Last,
    /// The last run for the same `as_of`.
    pub again: Option<RunManifest>,
    /// The models to start from, by stage.
    pub models: BTreeMap<String, CarriedModel>,
}

impl Inherited {
    /// Reads what a run for `as_of` (µs since 1970 UTC) inherits.
    ///
    /// # Errors
    /// When the manifest of a run that it needs is gone.
    pub async fn read(lake: &Lake, mut last: Last, as_of: i64, from: StateOf) -> Result<Inherited> {
        let newest = last.finished.iter().max_by_key(|run| run.epoch);
        let same = last.finished.iter().filter(|run| run.as_of == as_of).max_by_key(|run| run.epoch);
        if let Some(run) = last.run.as_mut().filter(|run| run.carried.as_of.is_empty()) {
            run.carried = run.state_before_there_was_one(lake, newest).await?;
        }
        // one that retention has removed tells nothing
        let again = match same {
            Some(run) => RunManifest::load(lake, run.epoch).await?,
            None => None,
        };
        let models = match from {
            StateOf::Nothing => BTreeMap::new(),
            StateOf::Lake => last.run.as_ref().map(|run| run.carried.models.clone()).unwrap_or_default(),
            StateOf::Then => known_then(lake, &last.finished, as_of).await?,
        };
        Ok(Inherited { last, again, models })
    }

    /// The state that the last run left.
    pub fn state(&self) -> CarriedState {
        self.last.run.as_ref().map(|run| run.carried.clone()).unwrap_or_default()
    }

    /// The first segment id that no run has ever used, of a model stage.
    pub fn next_segment(&self, stage: &str) -> i32 {
        let last = self.last.run.as_ref().and_then(|run| run.carried.next_segments.get(stage));
        last.copied().unwrap_or_default()
    }
}

/// The models of the latest run up to `as_of` that used none made for a later instant; none when there is no such run.
async fn known_then(
    lake: &Lake,
    finished: &[FinishedRun],
    as_of: i64,
) -> Result<BTreeMap<String, CarriedModel>> {
    let mut runs: Vec<&FinishedRun> = finished.iter().filter(|run| run.as_of <= as_of).collect();
    runs.sort_by_key(|run| std::cmp::Reverse((run.as_of, run.epoch)));
    for run in runs {
        let Some(manifest) = RunManifest::of(lake, Some(run)).await? else { continue };
        let now = as_of_text(run.as_of);
        if manifest.models.values().all(|model| model.as_of <= now && model.knows_until <= now) {
            return Ok(manifest.models);
        }
    }
    Ok(BTreeMap::new())
}

/// A published table after a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedTable {
    /// Delta version.
    pub version: i64,
    /// Fingerprint of each `as_of` in the table (`all` for a table that is replaced whole).
    pub parts: BTreeMap<String, String>,
}

/// What a run did to one stage.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StageRun {
    /// Fingerprint by day; the empty day for a result that is whole.
    pub fingerprints: BTreeMap<String, String>,
    /// What its fingerprints hash, by name: values and hashes.
    #[serde(default)]
    pub made_of: Ingredients,
    /// Partitions computed by this run; the others were reused.
    pub computed: usize,
    pub rows: u64,
    pub quarantined: u64,
    /// Source rows read, where the stage accounts for them.
    pub rows_in: Option<u64>,
    pub by_rule: BTreeMap<String, u64>,
    /// What this run's scans read.
    pub scan: ScanMetrics,
    pub elapsed_ms: u64,
    /// What the stage costs: measured by this run, or by the last one that computed more of it.
    #[serde(default)]
    pub cost: Option<Cost>,
}

/// The manifest of one run: everything needed to trace a number back to its files.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RunManifest {
    pub run_id: String,
    /// The lock's epoch under which the run committed; later runs have larger ones.
    pub epoch: u64,
    pub project: String,
    /// RFC 3339, UTC.
    pub as_of: String,
    pub params: BTreeMap<String, String>,
    /// Of a project that derives pseudonyms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pseudonyms: Option<Pseudonyms>,
    /// Raw files read by source: path and hash of the content (on S3 the etag of a Parquet file).
    pub inputs: BTreeMap<String, Vec<String>>,
    pub stages: BTreeMap<String, StageRun>,
    pub audits: Vec<String>,
    /// The models that it used, by stage.
    pub models: BTreeMap<String, CarriedModel>,
    /// What the next run inherits.
    #[serde(default)]
    pub carried: CarriedState,
    pub published: BTreeMap<String, PublishedTable>,
    /// `local` or `ballista`.
    pub engine: String,
    /// The program and the released versions that it computes with.
    #[serde(default)]
    pub version: String,
    /// How the run was made: what its command line said.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Why stages that the run before had were computed again, and which.
    #[serde(default)]
    pub computed_again: Vec<Again>,
    /// Of this run, or of the last one that computed more.
    #[serde(default)]
    pub pace: Option<Pace>,
    pub started_at: String,
    pub finished_at: String,
    /// Made anew whenever a manifest is saved, so that the file of another run is never taken for one's own.
    #[serde(default)]
    pub writer: String,
}

impl RunManifest {
    /// What a model that this run left and `now` is kept from was made of.
    pub(super) fn kept_from(&self, stage: &str, now: &CarriedModel) -> Option<Ingredients> {
        let kept = self.models.get(stage).is_some_and(|left| left.fingerprint == now.fingerprint);
        self.stages.get(stage).filter(|_| kept).map(|run| run.made_of.clone())
    }

    fn path(epoch: u64) -> String {
        format!("{RUN_MANIFESTS}/{epoch:010}.json")
    }

    /// Writes the manifest and returns its path below the lake.
    ///
    /// # Errors
    /// [`Error::Locked`] when another run has left one under this epoch.
    pub async fn save(&self, lake: &Lake) -> Result<String> {
        let path = Self::path(self.epoch);
        let ours = RunManifest { writer: Uuid::new_v4().to_string(), ..self.clone() };
        let body = serde_json::to_vec_pretty(&ours).context("cannot write the run's manifest")?;
        if lake.create(&path, body.into()).await? {
            return Ok(path);
        }
        let theirs = Self::load(lake, self.epoch).await?.unwrap_or_default();
        Err(Error::Locked(format!(
            "{}{path} is the manifest of another run ({}, as of {}, finished at {}) under the same epoch: another process \
             has taken over, or the lake's `locks` folder was emptied during this run; nothing more is \
             written\nhelp: run again",
            lake.url(),
            theirs.run_id,
            theirs.as_of,
            theirs.finished_at
        )))
    }

    /// The manifest of a finished run.
    pub(super) async fn of(lake: &Lake, run: Option<&FinishedRun>) -> Result<Option<RunManifest>> {
        let Some(FinishedRun { epoch, .. }) = run else { return Ok(None) };
        let manifest = RunManifest::load(lake, *epoch).await?;
        manifest.map(Some).ok_or_else(|| Error::other(format!("the manifest of run epoch {epoch} is gone")))
    }

    /// What a run of a version that did not write `carried` left.
    async fn state_before_there_was_one(
        &self,
        lake: &Lake,
        run: Option<&FinishedRun>,
    ) -> Result<CarriedState> {
        let mut next_segments = BTreeMap::new();
        for (stage, model) in &self.models {
            let stored = StoredModel::load(lake, stage, &model.fingerprint).await?;
            let next = stored.and_then(|model| next_segment(&model.value));
            next_segments.extend(next.map(|next| (stage.clone(), next)));
        }
        let as_of = run.map(|run| as_of_text(run.as_of)).unwrap_or_default();
        Ok(CarriedState { as_of, models: self.models.clone(), next_segments })
    }

    /// The manifest of the run that committed under `epoch`. One that cannot be read is set aside.
    pub async fn load(lake: &Lake, epoch: u64) -> Result<Option<RunManifest>> {
        let path = Self::path(epoch);
        let body = lake.get(&path).await?;
        Ok(read_or_set_aside(lake, &path, body.as_deref()).await)
    }

    /// The manifest of the run that committed last, by the rows of the table `runs`. When it is lost, what it
    /// said of published tables is taken from these rows, and the rest (the models that the next run
    /// inherits) from the newest manifest that is left; its results of stages are unknown then.
    pub async fn newest(lake: &Lake, finished: &[FinishedRun]) -> Result<Option<RunManifest>> {
        let mut rows = finished.to_vec();
        rows.sort_by_key(|row| std::cmp::Reverse(row.epoch));
        let Some(last) = rows.first() else { return Ok(None) };
        let mut found = None;
        let mut lost = 0;
        for row in &rows {
            found = Self::load(lake, row.epoch).await?;
            if found.is_some() {
                break;
            }
            lost += 1;
        }
        if lost == 0 {
            return Ok(found);
        }
        let carried = found.as_ref().map_or("no models".to_owned(), |run| {
            format!("the models of epoch {}, as of {}", run.epoch, run.as_of)
        });
        tracing::warn!(
            "lake {}: the manifest of run {} (epoch {}) is lost: the tables it published stay, the next run \
             inherits {carried}",
            lake.url(),
            last.run_id,
            last.epoch
        );
        Ok(Some(last.without_manifest(&rows[..lost], found.unwrap_or_default())))
    }
}

impl FinishedRun {
    /// The manifest of this run made up from `rows`, those of all runs since `before`. What stages read of
    /// published tables has other fingerprints then, so that nothing old is taken for it.
    fn without_manifest(&self, rows: &[FinishedRun], before: RunManifest) -> RunManifest {
        let mut published = BTreeMap::new();
        for (name, version) in &self.tables {
            let mut parts = before.published.get(name).map(|table| table.parts.clone()).unwrap_or_default();
            for row in rows.iter().filter(|row| row.tables.contains_key(name)) {
                let part = if parts.contains_key(ALL) { ALL.to_string() } else { as_of_text(row.as_of) };
                parts.insert(part, format!("epoch {}", row.epoch));
            }
            published.insert(name.clone(), PublishedTable { version: *version, parts });
        }
        let as_of = DateTime::from_timestamp_micros(self.as_of).unwrap_or_default();
        RunManifest {
            run_id: self.run_id.clone(),
            epoch: self.epoch,
            project: self.project.clone(),
            as_of: as_of.to_rfc3339_opts(SecondsFormat::Micros, true),
            stages: BTreeMap::new(),
            published,
            ..before
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_run_never_overwrites_the_manifest_of_another() {
        let lake = Lake::open("memory://").unwrap();
        let run = |id: &str| RunManifest { run_id: id.into(), epoch: 3, ..RunManifest::default() };
        assert_eq!(run("first").save(&lake).await.unwrap(), "stages/_runs/0000000003.json");
        for id in ["second", "first"] {
            let refused = run(id).save(&lake).await.unwrap_err();
            assert_eq!(refused.exit_code(), 75);
            for part in ["stages/_runs/0000000003.json", "another run (first", "`locks`"] {
                assert!(refused.to_string().contains(part), "{part} is not in: {refused}");
            }
        }
        assert_eq!(RunManifest::load(&lake, 3).await.unwrap().unwrap().run_id, "first");
    }
}
