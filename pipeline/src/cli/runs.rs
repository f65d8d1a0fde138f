//! `strata runs`: what ran, what it read, what it wrote, what it rejected.

use std::fmt::Write;

use crate::engine::{Engine, EngineOptions};
use crate::lake::Lake;
use crate::query::Reader;
use crate::run::{FinishedRun, RunManifest, runs_rows};
use crate::{Error, Result};
use arrow::util::pretty::pretty_format_batches;

use super::LakeArgs;
use super::print::{print, print_query};
use super::query::OutputFormat;

#[derive(Debug, clap::Args)]
pub struct RunsArgs {
    /// A run by its id or epoch; without it all runs are listed.
    run: Option<String>,
    #[command(flatten)]
    lake: LakeArgs,
}

pub async fn runs(args: RunsArgs) -> Result<()> {
    let lake = args.lake.connect().await?;
    match args.run {
        None => {
            let reader = Reader::open(&lake, EngineOptions::default()).await?;
            let query = "select run_id, epoch, as_of, engine, started_at, finished_at, rows_quarantined from runs order by epoch";
            print_query(&reader, query, OutputFormat::Table).await
        }
        Some(run) => {
            let manifest = find(&lake, &run).await?;
            print(report(&manifest))
        }
    }
}

/// The newest finished run with this id, or that of this epoch.
async fn find(lake: &Lake, run: &str) -> Result<RunManifest> {
    let rows = runs_rows(&Engine::local(lake, EngineOptions::default())?, lake).await?;
    let finished = FinishedRun::of(&rows)?;
    let meant = |row: &&FinishedRun| row.run_id == run || run.parse() == Ok(row.epoch);
    match finished.iter().filter(meant).map(|row| row.epoch).max() {
        Some(epoch) => RunManifest::load(lake, epoch)
            .await?
            .ok_or_else(|| Error::other(format!("the manifest of run {run} is gone"))),
        None => {
            let known = pretty_format_batches(&rows).map(|table| table.to_string()).unwrap_or_default();
            Err(Error::Usage(format!("there is no run `{run}`\n{known}")))
        }
    }
}

/// A run in full, as text.
fn report(manifest: &RunManifest) -> String {
    let mut out = String::new();
    let _ =
        writeln!(out, "run       {} (epoch {}, engine {})", manifest.run_id, manifest.epoch, manifest.engine);
    let _ = writeln!(out, "by        {}", manifest.version);
    let options: Vec<String> =
        manifest.options.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let _ = writeln!(out, "options   {}", options.join(" "));
    let _ = writeln!(out, "as of     {}", manifest.as_of);
    if let Some(pseudonyms) = &manifest.pseudonyms {
        let _ = writeln!(out, "key       {} (fingerprint of the pseudonym key)", pseudonyms.key);
    }
    let _ = writeln!(out, "started   {}\nfinished  {}", manifest.started_at, manifest.finished_at);
    let _ = writeln!(out, "\nread");
    for (source, files) in &manifest.inputs {
        let _ = writeln!(out, "  {source:32} {:>6} files", files.len());
    }
    let _ = writeln!(
        out,
        "\nstages{:31}{:>12}{:>12}{:>12}{:>10}{:>10}",
        "", "rows in", "rows", "rejected", "computed", "ms"
    );
    for (name, stage) in &manifest.stages {
        let rows_in = stage.rows_in.map(|rows| rows.to_string()).unwrap_or_default();
        let _ = writeln!(
            out,
            "  {name:34} {rows_in:>12} {:>11} {:>11} {:>9} {:>9}",
            stage.rows, stage.quarantined, stage.computed, stage.elapsed_ms
        );
        for (rule, rows) in &stage.by_rule {
            let _ = writeln!(out, "    rejected by {rule:27} {rows:>29}");
        }
    }
    if !manifest.computed_again.is_empty() {
        let _ = writeln!(out, "\ncomputed again");
        for again in &manifest.computed_again {
            let _ = writeln!(out, "  {again}");
        }
    }
    let _ = writeln!(out, "\npublished");
    for (table, published) in &manifest.published {
        let _ = writeln!(out, "  {table:32} version {}", published.version);
    }
    let _ = writeln!(out, "\naudits passed: {}", manifest.audits.join(", "));
    out
}
