//! How a stage's missing parts are divided into jobs.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::execute::{Runner, lock};
use super::plan::Part;
use super::tables::date32;
use crate::Result;
use crate::engine::DayBytes;
use crate::project::{Fingerprint, Relation, Stage};

/// Raw bytes that one job of a daily stage reads, as a share of the memory given: columns decode to several times
/// their size, and sorts hold them.
const JOB_SHARE_OF_MEMORY: u64 = 64;

/// The same for a job of one day a partition: these are held side by side.
const DAYS_SHARE_OF_MEMORY: u64 = 16;

impl Runner<'_> {
    /// Parts that are computed together: days, one or several a partition, until their raw bytes reach the bound. A
    /// partition that has days to itself needs no exchange, and holds one of them at a time.
    pub(super) fn jobs(
        &self,
        stage: &Stage,
        missing: &BTreeMap<Part, Fingerprint>,
    ) -> Result<Vec<BTreeMap<Part, Fingerprint>>> {
        let options = self.engine.options();
        let mut sources = self.project.stored_inputs(&stage.name);
        sources.retain(|relation| matches!(relation, Relation::Source(_)));
        let bytes = self.bytes_of_days(&sources, &missing.keys().flatten().copied().collect())?;
        let of_part = |part: &Part| part.and_then(|day| bytes.get(&date32(day))).copied().unwrap_or_default();
        let sizes: Vec<u64> = missing.keys().map(of_part).collect();
        let mut parts = missing.iter().map(|(part, print)| (*part, print.clone()));
        let days_a_job = days_a_job(&sizes, options.memory_bytes as u64, options.threads);
        Ok(days_a_job.into_iter().map(|days| parts.by_ref().take(days).collect()).collect())
    }

    /// Stored bytes of these days in all inputs that have days.
    pub(super) fn bytes_of_days(
        &self,
        inputs: &BTreeSet<Relation>,
        days: &BTreeSet<NaiveDate>,
    ) -> Result<DayBytes> {
        let results = lock(&self.results)?;
        let mut bytes = DayBytes::new();
        for relation in inputs.iter().filter(|relation| self.project.by_day(relation)) {
            let sources = match relation {
                Relation::Source(name) => self.sources.get(name),
                _ => None,
            };
            let of_source = sources.into_iter().flat_map(|source| &source.files);
            let of_source = of_source.filter_map(|file| Some((file.day?, file.bytes)));
            let parts = match relation {
                Relation::Stage(name) => results.get(name),
                _ => None,
            };
            let of_stage = parts.into_iter().flatten();
            let of_stage = of_stage.filter_map(|(part, manifest)| Some(((*part)?, manifest.bytes())));
            for (day, size) in of_source.chain(of_stage).filter(|(day, _)| days.contains(day)) {
                *bytes.entry(date32(day)).or_default() += size;
            }
        }
        Ok(bytes)
    }
}

/// How many of the days, whose raw bytes are given in order, each job takes.
fn days_a_job(sizes: &[u64], memory: u64, partitions: usize) -> Vec<usize> {
    let mut jobs: Vec<usize> = Vec::new();
    let mut bytes = u64::MAX;
    for row in sizes.chunks(partitions.max(1)) {
        let size: u64 = row.iter().sum();
        // days that are too large to lie side by side are exchanged between the partitions
        let steps: Vec<(usize, u64)> = match size <= memory / DAYS_SHARE_OF_MEMORY {
            true => vec![(row.len(), size)],
            false => row.iter().map(|size| (1, *size)).collect(),
        };
        for (days, size) in steps {
            bytes = bytes.saturating_add(size);
            match jobs.last_mut() {
                Some(job) if bytes <= memory / JOB_SHARE_OF_MEMORY => *job += days,
                _ => {
                    jobs.push(days);
                    bytes = size;
                }
            }
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::days_a_job;

    #[test]
    fn jobs_take_days_for_all_partitions_as_far_as_memory_goes() {
        // a job reads 10, or 40 when that is a day for each partition
        let memory = 640;
        assert_eq!(days_a_job(&[1; 25], memory, 2), [10, 10, 5]);
        assert_eq!(days_a_job(&[2; 9], memory, 2), [4, 5]);
        assert_eq!(days_a_job(&[15; 5], memory, 2), [2, 2, 1]);
        assert_eq!(days_a_job(&[30; 3], memory, 2), [1, 1, 1]);
        assert_eq!(days_a_job(&[4, 30, 30, 4], memory, 2), [2, 2]);
        assert_eq!(days_a_job(&[3; 7], memory, 8), [7]);
        assert_eq!(days_a_job(&[0], memory, 2), [1]);
        assert!(days_a_job(&[], memory, 2).is_empty());
    }
}
