//! What earlier runs left: the manifest of each run, and the state that the next run inherits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cost::{Cost, Pace};
use super::why::Again;
use crate::engine::ScanMetrics;
use crate::lake::Lake;
use crate::project::Ingredients;
use crate::{Context, Result};

/// A model as carried from run to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedModel {
    /// Hash of the model stage's definition; another definition is trained anew.
    pub definition: String,
    /// The fingerprint under which the model's result lies.
    pub fingerprint: String,
    /// The `as_of` of the run that made it.
    #[serde(default)]
    pub as_of: String,
    /// The fingerprint of the model that it followed, which a repeated run for the same `as_of` follows again.
    #[serde(default)]
    pub before: Option<String>,
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
    /// Raw files read (path and footer hash) by source.
    pub inputs: BTreeMap<String, Vec<String>>,
    pub stages: BTreeMap<String, StageRun>,
    pub audits: Vec<String>,
    pub models: BTreeMap<String, CarriedModel>,
    pub published: BTreeMap<String, PublishedTable>,
    /// `local` or `ballista`.
    pub engine: String,
    /// The program and the released versions that it computes with.
    #[serde(default)]
    pub version: String,
    /// How the run was made: what its command line said that changes no row.
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
}

impl RunManifest {
    /// What a model that this run left and `now` is kept from was made of.
    pub(super) fn kept_from(&self, stage: &str, now: &CarriedModel) -> Option<Ingredients> {
        let kept = self.models.get(stage).is_some_and(|left| left.fingerprint == now.fingerprint);
        self.stages.get(stage).filter(|_| kept).map(|run| run.made_of.clone())
    }

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
