//! Links the records of a generated world by Strata and by Splink on DuckDB, in turn:
//! `cargo run -p strata-benches --bin links -- --scale 1`.
//!
//! Both start from `identity.records`, the cleaned fields of every customer record, and end with a cluster for each.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::{Value, json};

use strata::bench::{Usage, clear, generate, measure, median, text};
use strata_benches::binary::build_strata;
use strata_benches::python;

#[derive(Debug, Parser)]
struct Args {
    /// Scale of the world: 1 is 200,000 customer records.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Memory that each engine is told to stay within.
    #[arg(long, default_value = "4GiB")]
    memory: String,
    /// Threads of each engine.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Times that each links the records; the median counts.
    #[arg(long, default_value_t = 3)]
    times: usize,
    /// Use this lake, and its raw files if it has some, instead of a temporary one.
    #[arg(long)]
    lake: Option<PathBuf>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let temporary = tempfile::tempdir()?;
    let lake = args.lake.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    let (strata, python) = (build_strata()?, python::environment()?);
    if !lake.join("raw").exists() {
        generate(&strata, args.scale, text(&lake)?)?;
    }
    let threads = args.threads.to_string();
    let run = |stage: &str| {
        let run = ["run", "--lake", text(&lake)?, "--as-of", "latest", "--select", stage];
        measure(&strata, &[&run[..], &["--threads", &threads, "--memory", &args.memory]].concat())
    };
    let script = python::scripts().join("with_splink.py");
    let out = temporary.path().join("clusters.parquet");
    let (mut ours, mut theirs, mut seconds) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.times {
        clear(&lake)?;
        run("identity.records")?;
        run("identity.accounts")?;
        ours.push(run("identity.matches")?.0);
        let records = format!("{}/*/*.parquet", text(&lake.join("stages/identity/records/data"))?);
        let arguments = [text(&script)?, &records, text(&out)?, "0.99", &threads, &args.memory];
        let (usage, said) = measure(&python, &arguments)?;
        let last = said.lines().last().context("Splink's script prints what it took")?;
        let told: Value = serde_json::from_str(last).with_context(|| format!("no figures: {last}"))?;
        seconds.push(told["seconds"].as_f64().context("the script tells its seconds")?);
        theirs.push(usage);
    }
    let (wall, splink) = (median(ours.iter().map(|usage| usage.wall_seconds)), median(seconds));
    report("Strata", wall, &ours, wall);
    report("Splink", splink, &theirs, wall);
    println!("{}", json!({"scale": args.scale, "strata_seconds": wall, "splink_seconds": splink}));
    Ok(())
}

fn report(name: &str, wall: f64, times: &[Usage], ours: f64) {
    let cpu = median(times.iter().map(|usage| usage.cpu_seconds));
    let mib = median(times.iter().map(|usage| usage.peak_bytes as f64)) / f64::from(1 << 20);
    println!("{name:8} {wall:8.1} s = {:.2}, {cpu:8.1} CPU s, {mib:8.0} MiB", wall / ours);
}
