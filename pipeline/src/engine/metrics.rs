//! What a run read: files opened, bytes and rows, taken from the scans of an executed plan.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use datafusion::datasource::physical_plan::ParquetSource;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::Progress;

/// What the scans of one plan read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanMetrics {
    /// Paths of the files that were opened.
    pub files: BTreeSet<String>,
    pub bytes: u64,
    pub rows: u64,
    /// Bytes that operators spilled to disk.
    pub spilled_bytes: u64,
    /// Bytes in memory of the rows that went from partition to partition, which a cluster writes to shuffle files.
    #[serde(default)]
    pub exchanged_bytes: u64,
}

impl ScanMetrics {
    /// Sums over all scans below `plan`.
    pub fn of(plan: &dyn ExecutionPlan) -> ScanMetrics {
        let mut found = ScanMetrics::default();
        let mut open: Vec<&dyn ExecutionPlan> = vec![plan];
        while let Some(node) = open.pop() {
            open.extend(node.children().into_iter().map(|child| child.as_ref()));
            let Some(metrics) = node.metrics() else { continue };
            found.spilled_bytes += metrics.spilled_bytes().unwrap_or(0) as u64;
            if is_exchange(node) {
                let outputs = metrics.iter().filter(|metric| metric.value().name() == "output_bytes");
                found.exchanged_bytes += outputs.map(|metric| metric.value().as_usize() as u64).sum::<u64>();
            }
            if !node.is::<DataSourceExec>() {
                continue;
            }
            found.rows += metrics.output_rows().unwrap_or(0) as u64;
            for metric in metrics.iter().filter(|metric| metric.value().name() == "bytes_scanned") {
                let bytes = metric.value().as_usize() as u64;
                found.bytes += bytes;
                let file = metric.labels().iter().find(|label| label.name() == "filename");
                found.files.extend(file.filter(|_| bytes > 0).map(|label| label.value().to_string()));
            }
        }
        found
    }

    /// What the scans below `plan` are to read, where their own counts stay elsewhere: every file, and its whole size.
    pub fn planned(plan: &dyn ExecutionPlan) -> ScanMetrics {
        let mut found = ScanMetrics::default();
        let mut open: Vec<&dyn ExecutionPlan> = vec![plan];
        while let Some(node) = open.pop() {
            open.extend(node.children().into_iter().map(|child| child.as_ref()));
            let Some(scan) = node.downcast_ref::<DataSourceExec>() else { continue };
            let Some((config, _)) = scan.downcast_to_file_source::<ParquetSource>() else { continue };
            for file in config.file_groups.iter().flat_map(|group| group.files()) {
                let range = file.range.as_ref().map(|range| (range.end - range.start).unsigned_abs());
                found.bytes += range.unwrap_or(file.object_meta.size);
                found.files.insert(file.object_meta.location.to_string());
            }
        }
        found
    }

    /// Adds what another plan read.
    pub fn add(&mut self, other: &ScanMetrics) {
        self.files.extend(other.files.iter().cloned());
        self.bytes += other.bytes;
        self.rows += other.rows;
        self.spilled_bytes += other.spilled_bytes;
        self.exchanged_bytes += other.exchanged_bytes;
    }
}

/// Whether rows leave a node in other partitions than they came.
fn is_exchange(node: &dyn ExecutionPlan) -> bool {
    node.is::<RepartitionExec>()
        || node.is::<CoalescePartitionsExec>()
        || node.is::<SortPreservingMergeExec>()
}

/// Copies the rows written so far by `sink` into `progress` until stopped.
pub(super) fn watch_rows(sink: Arc<dyn ExecutionPlan>, progress: Arc<Progress>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let rows = sink.metrics().and_then(|metrics| metrics.output_rows()).unwrap_or(0);
            progress.rows.store(rows as u64, Ordering::Relaxed);
        }
    })
}
