//! The scan floor: how long plain DataFusion takes to hash every column of every raw table, which nothing that reads
//! all of the data can undercut by much.

use std::path::Path;
use std::time::Instant;

use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use futures::StreamExt;
use serde::Serialize;

use super::text;
use crate::{Context, Error, Result};

/// What the scans of a world's raw tables took.
#[derive(Debug, Clone, Serialize)]
pub struct Floor {
    /// Wall seconds of each scan, sorted.
    pub seconds: Vec<f64>,
    pub rows: u64,
    /// Rows of `raw/events`.
    pub events: u64,
    pub bytes: u64,
}

/// Scans all tables below `raw` once to warm the cache, then `times` times. The session is DataFusion's own, without
/// anything of ours.
pub async fn scan_floor(raw: &Path, threads: usize, times: usize) -> Result<Floor> {
    let mut config = SessionConfig::new().with_target_partitions(threads);
    config.options_mut().execution.parquet.schema_force_view_types = false;
    let context = SessionContext::new_with_config(config);
    let mut tables = Vec::new();
    let mut floor = Floor { seconds: Vec::new(), rows: 0, events: 0, bytes: 0 };
    for entry in raw.read_dir().context(format!("cannot read {}", raw.display()))? {
        let path = entry.context("cannot read a raw table")?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_string();
        floor.bytes += folder_bytes(&path).context(format!("cannot read {}", path.display()))?;
        let folder = text(&path)?;
        context.register_parquet(&name, folder, ParquetReadOptions::default()).await.context(folder)?;
        tables.push(name);
    }
    let mut digest = None;
    for time in 0..=times {
        let started = Instant::now();
        let (mut rows, mut sum) = (0, 0_u64);
        for table in &tables {
            let scanned = scan(&context, table).await.context(format!("scan raw.{table}"))?;
            rows += scanned.0;
            sum = sum.wrapping_add(scanned.1);
            if table == "events" {
                floor.events = scanned.0;
            }
        }
        floor.rows = rows;
        if *digest.get_or_insert(sum) != sum {
            return Err(Error::other("two scans of the same files differ"));
        }
        if time > 0 {
            floor.seconds.push(started.elapsed().as_secs_f64());
        }
    }
    floor.seconds.sort_by(f64::total_cmp);
    Ok(floor)
}

async fn scan(context: &SessionContext, table: &str) -> datafusion::error::Result<(u64, u64)> {
    let streams = context.table(table).await?.execute_stream_partitioned().await?;
    let tasks: Vec<_> = streams.into_iter().map(|stream| SpawnedTask::spawn(hash_rows(stream))).collect();
    let (mut rows, mut sum) = (0, 0_u64);
    for task in tasks {
        let part = task
            .join_unwind()
            .await
            .map_err(|error| datafusion::error::DataFusionError::External(Box::new(error)))??;
        rows += part.0;
        sum = sum.wrapping_add(part.1);
    }
    Ok((rows, sum))
}

/// Rows of a stream, and the sum of their hashes.
async fn hash_rows(mut stream: SendableRecordBatchStream) -> datafusion::error::Result<(u64, u64)> {
    let state = RandomState::default();
    let (mut rows, mut sum) = (0, 0_u64);
    let mut hashes = Vec::new();
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        hashes.clear();
        hashes.resize(batch.num_rows(), 0);
        create_hashes(batch.columns(), &state, &mut hashes)?;
        sum = hashes.iter().fold(sum, |sum, hash| sum.wrapping_add(*hash));
        rows += batch.num_rows() as u64;
    }
    Ok((rows, sum))
}

fn folder_bytes(path: &Path) -> std::io::Result<u64> {
    if !path.is_dir() {
        return Ok(path.metadata()?.len());
    }
    path.read_dir()?.map(|entry| folder_bytes(&entry?.path())).sum()
}
