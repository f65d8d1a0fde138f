//! The key of a run's pseudonyms: that there is one, that it is the last run's, and what a run under another one left. Only
//! fingerprints of keys are stored and hashed.

use std::collections::BTreeMap;

use datafusion::scalar::ScalarValue;
use serde::{Deserialize, Serialize};
use strata_udfs::text::LEAST_KEY_BYTES;

use super::RunOptions;
use super::history::RunManifest;
use crate::lake::{DataFile, Lake, StageManifest};
use crate::project::{Project, Relation};
use crate::{Error, Result};

/// Results of a run, by stage and part: their fingerprints.
pub type FormerResults = BTreeMap<String, BTreeMap<String, String>>;

/// From which key a run derived pseudonyms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pseudonyms {
    /// The key's fingerprint.
    pub key: String,
    /// For each `as_of` whose run took another key than the run before it: what that run left of the stages that
    /// `former.stem` names, so that old and new pseudonyms can be told from each other by any later run for this `as_of`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<String, Vec<FormerResults>>,
}

/// Refuses to run a project that derives pseudonyms without a key.
pub fn check_given(project: &Project, options: &RunOptions) -> Result<()> {
    if !project.has_pseudonyms() || options.pseudonym_key.is_some() {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "project `{}` derives pseudonyms and was given no key\nhelp: keep a secret of at least {LEAST_KEY_BYTES} bytes \
         (`openssl rand -base64 32`) and set STRATA_PSEUDONYM_KEY to it, or name --pseudonym-key-file or \
         --pseudonym-key-command; every run of a lake needs the same one",
        project.name
    )))
}

/// The pseudonyms of a run for `as_of`; `None` when the project has none.
///
/// # Errors
/// [`Error::Usage`] when the last run had another key and new pseudonyms are not asked for.
pub fn of_run(
    lake: &Lake,
    project: &Project,
    options: &RunOptions,
    last: Option<&RunManifest>,
    as_of: &str,
) -> Result<Option<Pseudonyms>> {
    let Some(key) = options.pseudonym_key.as_ref().filter(|_| project.has_pseudonyms()) else {
        return Ok(None);
    };
    let key = key.fingerprint();
    let Some(last) = last else { return Ok(Some(Pseudonyms { key, changed: BTreeMap::new() })) };
    let before = last.pseudonyms.clone().unwrap_or_default();
    if before.key == key {
        return Ok(Some(before));
    }
    if !options.new_pseudonyms {
        let theirs = match before.key.as_str() {
            "" => "no key that is known".to_owned(),
            theirs => format!("another key (fingerprint {theirs})"),
        };
        return Err(Error::Usage(format!(
            "lake {}: the last run derived pseudonyms from {theirs}, not from this one ({key})\nhelp: give the same \
             key; or --new-pseudonyms derives all of them again from this one and publishes which became which",
            lake.url()
        )));
    }
    let former = project.stages.iter().flat_map(|stage| project.inputs(&stage.name).values());
    let former = former.filter_map(|relation| match relation {
        Relation::Former(name) => Some((name.clone(), last.stages.get(name)?.fingerprints.clone())),
        _ => None,
    });
    let mut changed = before.changed;
    changed.entry(as_of.to_owned()).or_default().push(former.collect());
    Ok(Some(Pseudonyms { key, changed }))
}

/// What the runs before a change of the key left, if it changed at this `as_of`.
pub fn former<'a>(pseudonyms: Option<&'a Pseudonyms>, as_of: &str) -> &'a [FormerResults] {
    pseudonyms.and_then(|pseudonyms| pseudonyms.changed.get(as_of)).map_or(&[], Vec::as_slice)
}

/// The value of `$pseudonym_key`: a fingerprint.
pub fn param(pseudonyms: Option<&Pseudonyms>) -> ScalarValue {
    ScalarValue::Utf8(pseudonyms.map(|pseudonyms| pseudonyms.key.clone()))
}

/// The files of a stage's result as runs before a change of the key left it.
pub async fn former_files(lake: &Lake, former: &[FormerResults], stage: &str) -> Result<Vec<DataFile>> {
    let mut files = Vec::new();
    for prints in former.iter().filter_map(|results| results.get(stage)) {
        let parts = StageManifest::load_parts(lake, stage, prints).await?;
        if parts.len() != prints.len() {
            return Err(Error::other(format!(
                "the result of {stage} before the pseudonym key changed is gone, by which new pseudonyms follow old ones"
            )));
        }
        files.extend(parts.iter().flat_map(StageManifest::good_files).cloned());
    }
    Ok(files)
}
