//! Raw files that are replaced while a run reads them: noticed before what was computed from them is kept.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};

use super::contents::{FileRead, FileState, disk_states, local_paths, object_state, states};
use super::execute::Runner;
use super::plan::Part;
use super::raw::RawFile;
use crate::lake::Lake;
use crate::project::{Fingerprint, Relation, Source, Stage};
use crate::{Error, Result};

/// From this many objects on one listing is cheaper than a request for each.
const LISTED_FROM: usize = 100;

/// Requests at the same time.
const REQUESTS_AT_ONCE: usize = 16;

impl Runner<'_> {
    /// Refuses the results of a job whose raw files are not what they were when they were inspected.
    ///
    /// # Errors
    /// [`Error::Contract`] names the first such file.
    pub(super) async fn check_inputs(&self, stage: &Stage, job: &BTreeMap<Part, Fingerprint>) -> Result<()> {
        let days: BTreeSet<NaiveDate> = job.keys().flatten().copied().collect();
        for relation in self.project.stored_inputs(&stage.name) {
            let Relation::Source(name) = &relation else { continue };
            let (Some(source), Some(files)) = (self.project.sources.get(name), self.sources.get(name)) else {
                continue;
            };
            let some_days = stage.by_day && self.project.by_day(&relation);
            let is_read = |file: &&RawFile| !some_days || file.day.is_some_and(|day| days.contains(&day));
            check_unchanged(self.lake, source, files.files.iter().filter(is_read).collect()).await?;
        }
        Ok(())
    }
}

/// Refuses when one of the files is not what it was when it was inspected.
async fn check_unchanged(lake: &Lake, source: &Source, files: Vec<&RawFile>) -> Result<()> {
    let now = states_now(lake, source, &files).await?;
    for (file, now) in files.into_iter().zip(now) {
        let what = match now {
            None => "is gone",
            Some(now) if now == file.state => continue,
            Some(now) if !file.state.is_rewritten(&now) && holds_the_same(lake, file).await? => continue,
            Some(_) => "was changed",
        };
        return Err(Error::Contract(format!(
            "source `{}`: file {} {what} while the run read it, so nothing that was computed from it is kept\nhelp: run \
             again when its delivery is complete",
            source.name, file.relative
        )));
    }
    Ok(())
}

/// What the store says of the files now.
async fn states_now(lake: &Lake, source: &Source, files: &[&RawFile]) -> Result<Vec<Option<FileState>>> {
    if let Some(paths) = local_paths(lake, files.iter().map(|file| &file.path)) {
        return disk_states(paths).await;
    }
    if files.len() < LISTED_FROM {
        let states = files.iter().map(|file| object_state(lake, &file.path));
        return futures::stream::iter(states).buffered(REQUESTS_AT_ONCE).try_collect().await;
    }
    let listed = lake.list(&source.location).await?;
    let states = states(lake, &listed).await?;
    let found: BTreeMap<_, _> = listed.into_iter().map(|meta| meta.location).zip(states).collect();
    Ok(files.iter().map(|file| found.get(&file.path).cloned().flatten()).collect())
}

/// Whether a file still has the content that was inspected.
async fn holds_the_same(lake: &Lake, file: &RawFile) -> Result<bool> {
    let read = FileRead::of(lake, &file.path, None).await?;
    Ok(read.state.is_some() && file.content.as_ref().is_some_and(|content| content.hash == read.hash()))
}

#[cfg(test)]
mod tests;
