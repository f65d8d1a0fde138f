//! Measures a whole run against the scan floor: the time plain DataFusion takes to hash every raw column.
//!
//! `cargo run -p strata-benches -- --scale 1` generates a world, takes the floor (warm, median of several), runs
//! `strata` as a process of its own, and prints seconds, CPU seconds, peak memory and ratios, as text and as JSON.
//! `--executors 2` runs the same on a cluster of this machine, `--s3 s3://bucket/folder` over object storage.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use futures::StreamExt;
use serde_json::{Value, json};

use strata_benches::binary::{build_strata, clear, generate, manifest, median, mib};
use strata_benches::cluster::Cluster;
use strata_benches::process::{Usage, measure};

#[derive(Debug, Parser)]
struct Args {
    /// Scale of the world: 1 is 100,000 people and 20 million events.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Memory given to the run, and to each executor.
    #[arg(long, default_value = "4GiB")]
    memory: String,
    /// Times that the floor is taken; the median counts.
    #[arg(long, default_value_t = 5)]
    times: usize,
    /// Use this lake, and its raw files if it has some, instead of a temporary one.
    #[arg(long)]
    lake: Option<PathBuf>,
    /// Run once more on a cluster of so many executors of one core each.
    #[arg(long)]
    executors: Option<usize>,
    /// Run once more over a world in this folder of an S3 store, which AWS_* variables name.
    #[arg(long)]
    s3: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let temporary = tempfile::tempdir()?;
    let lake = args.lake.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    let strata = build_strata()?;
    let lake_text = lake.to_str().context("the lake's path is not UTF-8")?;
    let generated = if lake.join("raw").exists() {
        None
    } else {
        Some(measure(&strata, &generate(&args.scale.to_string(), lake_text))?.0)
    };
    let floor = scan_floor(&lake, args.times).await?;
    clear(&lake);
    let run =
        ["run", "--lake", lake_text, "--memory", &args.memory, "--as-of", "latest", "--log-format", "json"];
    let (usage, _) = measure(&strata, &run)?;
    let alone = report(&args, &lake, generated.as_ref(), &floor, &usage)?;
    if let Some(executors) = args.executors {
        clear(&lake);
        let cluster = Cluster::start(&strata, executors, &args.memory)?;
        let threads = executors.to_string();
        let engine = cluster.engine();
        let driver = [&run[..], &["--engine", &engine, "--threads", &threads]].concat();
        let (driver, _) = measure(&strata, &driver)?;
        let workers = cluster.usage();
        let taken = Usage { cpu_seconds: driver.cpu_seconds + workers.cpu_seconds, ..driver };
        compare(&format!("{executors} executors"), &usage, &taken);
        println!("peak memory      {:.0} MiB of an executor", mib(workers.peak_bytes));
        compare_stages(&alone, &stages_of(&lake)?);
    }
    if let Some(s3) = &args.s3 {
        measure(&strata, &generate(&args.scale.to_string(), s3))?;
        let on_s3 = ["run", "--lake", s3, "--memory", &args.memory, "--as-of", "latest"];
        compare("S3", &usage, &measure(&strata, &on_s3)?.0);
    }
    Ok(())
}

/// The stages of the first run of a lake, as its manifest tells.
fn stages_of(lake: &Path) -> Result<serde_json::Map<String, Value>> {
    manifest(lake)?["stages"].as_object().cloned().context("a manifest has stages")
}

/// Prints a run beside the same run by one process on disk.
fn compare(what: &str, alone: &Usage, other: &Usage) {
    println!(
        "{what:16} {:.2} s = {:.2} of one process on disk, CPU {:.1} s = {:.2}",
        other.wall_seconds,
        other.wall_seconds / alone.wall_seconds,
        other.cpu_seconds,
        other.cpu_seconds / alone.cpu_seconds
    );
    println!(
        "{}",
        json!({ "what": what, "wall_seconds": other.wall_seconds, "cpu_seconds": other.cpu_seconds,
            "ratio": other.wall_seconds / alone.wall_seconds })
    );
}

/// Prints what stages take longer by: the median of all, and those that differ most. Stages run side by side.
fn compare_stages(alone: &serde_json::Map<String, Value>, other: &serde_json::Map<String, Value>) {
    let seconds = |stage: &Value| stage["elapsed_ms"].as_f64().unwrap_or_default() / 1000.0;
    let mut longer: Vec<(f64, f64, &str)> = alone
        .iter()
        .filter_map(|(name, stage)| Some((seconds(stage), seconds(other.get(name)?), name.as_str())))
        .collect();
    longer.sort_by(|a, b| (b.1 - b.0).total_cmp(&(a.1 - a.0)));
    if let Some((before, after, _)) = longer.get(longer.len() / 2) {
        println!("a stage          {:+.2} s (median of {})", after - before, longer.len());
    }
    for (before, after, name) in longer.iter().take(8) {
        println!("                 {:+.2} s {name} ({before:.2} s by one process)", after - before);
    }
}

/// What the floor's scan cost: wall seconds of each time, sorted, and rows by table.
struct Floor {
    seconds: Vec<f64>,
    rows: u64,
    bytes: u64,
}

/// An order-free hash of every column of every raw table, by plain DataFusion: its scan, its hash, summed up.
async fn scan_floor(lake: &Path, times: usize) -> Result<Floor> {
    let mut config = SessionConfig::new();
    config.options_mut().execution.parquet.schema_force_view_types = false;
    let context = SessionContext::new_with_config(config);
    let mut tables = Vec::new();
    let mut bytes = 0;
    for entry in std::fs::read_dir(lake.join("raw"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).context("a table's name")?.to_string();
        bytes += folder_bytes(&path)?;
        context
            .register_parquet(&name, path.to_str().context("a path")?, ParquetReadOptions::default())
            .await?;
        tables.push(name);
    }
    let mut seconds = Vec::new();
    let (mut rows, mut digest) = (0, None);
    for time in 0..=times {
        let started = Instant::now();
        let mut total = (0, 0);
        for table in &tables {
            let streams = context.table(table).await?.execute_stream_partitioned().await?;
            for task in streams.into_iter().map(|stream| tokio::spawn(hash_rows(stream))).collect::<Vec<_>>()
            {
                let (rows, hash) = task.await??;
                total = (total.0 + rows, hash.wrapping_add(total.1));
            }
        }
        rows = total.0;
        if *digest.get_or_insert(total.1) != total.1 {
            bail!("two scans of the same files differ");
        }
        // The first time warms the cache.
        if time > 0 {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    Ok(Floor { seconds, rows, bytes })
}

/// Rows of a stream, and the sum of their hashes.
async fn hash_rows(mut stream: SendableRecordBatchStream) -> Result<(u64, u64)> {
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

fn folder_bytes(path: &Path) -> Result<u64> {
    if !path.is_dir() {
        return Ok(path.metadata()?.len());
    }
    std::fs::read_dir(path)?.map(|entry| folder_bytes(&entry?.path())).sum()
}

fn report(
    args: &Args,
    lake: &Path,
    generated: Option<&Usage>,
    floor: &Floor,
    run: &Usage,
) -> Result<serde_json::Map<String, Value>> {
    let stages = stages_of(lake)?;
    let read: u64 = stages.values().filter_map(|stage| stage["scan"]["bytes"].as_u64()).sum();
    let facts = stages["facts.daily_activity"]["elapsed_ms"].as_f64().unwrap_or_default() / 1000.0;
    let events = stages["facts.daily_activity"]["rows_in"].as_f64().unwrap_or_default();
    let median = median(floor.seconds.iter().copied());
    println!("raw              {} rows, {:.0} MiB", floor.rows, mib(floor.bytes));
    if let Some(usage) = generated {
        println!("generator        {:.0} complete events/s and core", events / usage.cpu_seconds);
    }
    println!("scan floor       {median:.2} s (all: {:.2?})", floor.seconds);
    println!("events to facts  {facts:.2} s = {:.1} floors", facts / median);
    println!("whole run        {:.2} s = {:.1} floors", run.wall_seconds, run.wall_seconds / median);
    println!("CPU              {:.1} s", run.cpu_seconds);
    println!("peak memory      {:.0} MiB of {}", mib(run.peak_bytes), args.memory);
    println!("bytes read       {:.0} MiB", mib(read));
    let result = json!({
        "scale": args.scale, "rows": floor.rows, "raw_bytes": floor.bytes, "floor_seconds": floor.seconds,
        "generate_cpu_seconds": generated.map(|usage| usage.cpu_seconds), "facts_seconds": facts,
        "run_wall_seconds": run.wall_seconds, "run_cpu_seconds": run.cpu_seconds, "run_peak_bytes": run.peak_bytes,
        "run_read_bytes": read,
    });
    println!("{result}");
    Ok(stages)
}
