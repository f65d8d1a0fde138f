//! What earlier runs left: the manifest of each run, and the models that the next run inherits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cost::{Cost, Pace};
use super::model::{StoredModel, next_segment};
use super::plan::as_of_text;
use crate::engine::ScanMetrics;
use crate::lake::Lake;
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
    /// The last run of the lake.
    pub last: Option<RunManifest>,
    /// The last run for the same `as_of`.
    pub again: Option<RunManifest>,
    /// The models to start from, by stage.
    pub models: BTreeMap<String, CarriedModel>,
}

impl Inherited {
    /// Reads what a run for `as_of` (µs since 1970 UTC) inherits; `finished` are all runs.
    ///
    /// # Errors
    /// When the manifest of a run that it needs is gone.
    pub async fn read(lake: &Lake, finished: &[FinishedRun], as_of: i64, from: StateOf) -> Result<Inherited> {
        let newest = finished.iter().max_by_key(|run| run.epoch);
        let same = finished.iter().filter(|run| run.as_of == as_of).max_by_key(|run| run.epoch);
        let mut last = RunManifest::of(lake, newest).await?;
        if let Some(last) = last.as_mut().filter(|last| last.carried.as_of.is_empty()) {
            last.carried = last.state_before_there_was_one(lake, newest).await?;
        }
        // one that retention has removed tells nothing
        let again = match same {
            Some(run) => RunManifest::load(lake, run.epoch).await?,
            None => None,
        };
        let models = match from {
            StateOf::Nothing => BTreeMap::new(),
            StateOf::Lake => last.as_ref().map(|last| last.carried.models.clone()).unwrap_or_default(),
            StateOf::Then => known_then(lake, finished, as_of).await?,
        };
        Ok(Inherited { last, again, models })
    }

    /// The state that the last run left.
    pub fn state(&self) -> CarriedState {
        self.last.as_ref().map(|last| last.carried.clone()).unwrap_or_default()
    }

    /// The first segment id that no run has ever used, of a model stage.
    pub fn next_segment(&self, stage: &str) -> i32 {
        let last = self.last.as_ref().and_then(|last| last.carried.next_segments.get(stage));
        last.copied().unwrap_or_default()
    }
}

/// A finished run, as the table `runs` lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinishedRun {
    /// µs since 1970 UTC.
    pub as_of: i64,
    pub epoch: u64,
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
    /// Raw files read (path and footer hash) by source.
    pub inputs: BTreeMap<String, Vec<String>>,
    pub stages: BTreeMap<String, StageRun>,
    pub audits: Vec<String>,
    /// The models that it used, by stage.
    pub models: BTreeMap<String, CarriedModel>,
    /// What the next run inherits.
    #[serde(default)]
    pub carried: CarriedState,
    pub published: BTreeMap<String, PublishedTable>,
    pub engine: String,
    /// Of this run, or of the last one that computed more.
    #[serde(default)]
    pub pace: Option<Pace>,
    pub started_at: String,
    pub finished_at: String,
}

impl RunManifest {
    fn path(epoch: u64) -> String {
        format!("stages/_runs/{epoch:010}.json")
    }

    /// Writes the manifest and returns its path below the lake.
    pub async fn save(&self, lake: &Lake) -> Result<String> {
        let path = Self::path(self.epoch);
        let body = serde_json::to_vec_pretty(self).context("cannot write the run's manifest")?;
        lake.put(&path, body.into()).await?;
        Ok(path)
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

    /// The manifest of the run that committed under `epoch`.
    pub async fn load(lake: &Lake, epoch: u64) -> Result<Option<RunManifest>> {
        match lake.get(&Self::path(epoch)).await? {
            Some(body) => {
                serde_json::from_slice(&body).map(Some).context(format!("{} is broken", Self::path(epoch)))
            }
            None => Ok(None),
        }
    }
}
