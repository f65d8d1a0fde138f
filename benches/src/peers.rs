//! The same job by Strata and by its peers, on the same files, in turn.
//!
//! `cargo run -p strata-benches --bin peers -- --scale 1` generates a world and has every engine do `benches/peers/job`
//! from raw files to segments, several times, one after the other. It checks that all computed the same features and
//! clusters about as good, and prints medians and ratios, as text and as JSON. The time that a peer takes to start and
//! load its libraries is told apart.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde_json::{Value, json};

use strata::bench::{Usage, clear, generate, measure, measure_within, median, text};
use strata::cli::parse_bytes;
use strata_benches::binary::build_strata;
use strata_benches::python;

#[derive(Debug, Parser)]
struct Args {
    /// Scale of the world: 1 is 100,000 people and 20 million events.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Memory given to each engine that can be told.
    #[arg(long, default_value = "4GiB")]
    memory: String,
    /// End an engine that holds more resident memory than that, Strata too.
    #[arg(long)]
    hold: bool,
    /// Threads of each engine.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Times that each engine does the job; the median counts.
    #[arg(long, default_value_t = 3)]
    times: usize,
    /// Use this lake, and its raw files if it has some, instead of a temporary one.
    #[arg(long)]
    lake: Option<PathBuf>,
    /// The peers, by the names of their scripts.
    #[arg(long, value_delimiter = ',', default_values = ["duckdb", "polars", "spark"])]
    peers: Vec<String>,
}

/// What an engine took each time.
struct Engine {
    name: String,
    /// Seconds to start, told by the engine.
    starts: Vec<f64>,
    times: Vec<Usage>,
    phases: Vec<Value>,
    /// What it had taken when it held too much memory.
    ended: Option<Usage>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let temporary = tempfile::tempdir()?;
    let lake = args.lake.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    let scripts = python::scripts();
    let strata = build_strata()?;
    let python = python::environment()?;
    if !lake.join("raw").exists() {
        generate(&strata, args.scale, text(&lake)?)?;
    }
    let names = std::iter::once("strata").chain(args.peers.iter().map(String::as_str));
    let mut engines: Vec<Engine> = names.map(Engine::new).collect();
    let results = tempfile::tempdir()?;
    let most_bytes = match args.hold {
        true => parse_bytes(&args.memory).map_err(anyhow::Error::msg)? as u64,
        false => u64::MAX,
    };
    for time in 0..args.times {
        clear(&lake)?;
        let (job, threads) = (scripts.join("job"), args.threads.to_string());
        let run = ["run", "--project", text(&job)?, "--lake", text(&lake)?, "--as-of", "latest"];
        let limits = ["--threads", &threads, "--memory", &args.memory];
        match measure_within(&strata, &[&run[..], &limits].concat(), most_bytes)? {
            (usage, Some(_)) => engines[0].times.push(usage),
            (usage, None) => bail!("Strata held {:.0} MiB of {}", mib(usage.peak_bytes), args.memory),
        }
        engines[0].starts.push(0.0);
        let raw = lake.join("raw");
        let as_of = as_of(&lake)?;
        for engine in engines.iter_mut().skip(1).filter(|engine| engine.ended.is_none()) {
            let script = scripts.join(format!("with_{}.py", engine.name));
            let out = results.path().join(&engine.name);
            let arguments = [text(&script)?, text(&raw)?, text(&out)?, &as_of, &threads, &args.memory];
            match measure_within(&python, &arguments, most_bytes)? {
                (usage, Some(said)) => engine.add(usage, &said)?,
                (usage, None) => {
                    engine.ended = Some(usage);
                    continue;
                }
            }
            if time == 0 {
                let (compare, ours) = (scripts.join("compare.py"), lake.join("published/segments/data"));
                let (_, same) = measure(&python, &[text(&compare)?, text(&ours)?, text(&out)?])?;
                println!("{:8} gives the same: {}", engine.name, same.trim());
            }
        }
    }
    let ours = engines[0].medians();
    for engine in &engines {
        engine.report(&args, &ours);
    }
    Ok(())
}

impl Engine {
    fn new(name: &str) -> Engine {
        Engine {
            name: name.to_string(),
            starts: Vec::new(),
            times: Vec::new(),
            phases: Vec::new(),
            ended: None,
        }
    }

    /// Adds a time of which the engine said its phases as the last line.
    fn add(&mut self, usage: Usage, said: &str) -> Result<()> {
        let last = said.lines().last().context("a peer prints its phases")?;
        let phases: Value = serde_json::from_str(last).with_context(|| format!("no phases: {last}"))?;
        self.starts.push(phases["seconds"]["start"].as_f64().context("a peer tells its start")?);
        self.times.push(usage);
        self.phases.push(phases["seconds"].clone());
        Ok(())
    }

    /// Medians: wall seconds after the start, CPU seconds, peak memory.
    fn medians(&self) -> Usage {
        let work = self.times.iter().zip(&self.starts).map(|(time, start)| time.wall_seconds - start);
        Usage {
            wall_seconds: median(work),
            cpu_seconds: median(self.times.iter().map(|time| time.cpu_seconds)),
            peak_bytes: median(self.times.iter().map(|time| time.peak_bytes as f64)) as u64,
        }
    }

    fn report(&self, args: &Args, ours: &Usage) {
        if let Some(ended) = &self.ended {
            let (memory, after) = (mib(ended.peak_bytes), ended.wall_seconds);
            println!(
                "{:8} was ended after {after:.1} s: it held {memory:.0} MiB of {}",
                self.name, args.memory
            );
            println!(
                "{}",
                json!({ "engine": self.name, "scale": args.scale, "memory": args.memory, "ended": ended })
            );
            return;
        }
        let taken = self.medians();
        println!(
            "{:8} {:8.2} s = {:5.2} of Strata, {:8.1} CPU s, {:6.0} MiB = {:5.2}; start {:.2} s",
            self.name,
            taken.wall_seconds,
            taken.wall_seconds / ours.wall_seconds,
            taken.cpu_seconds,
            mib(taken.peak_bytes),
            taken.peak_bytes as f64 / ours.peak_bytes as f64,
            median(self.starts.iter().copied()),
        );
        let walls: Vec<f64> = self.times.iter().map(|time| time.wall_seconds).collect();
        println!(
            "{}",
            json!({
                "engine": self.name, "scale": args.scale, "threads": args.threads, "memory": args.memory,
                "wall_seconds": walls, "start_seconds": self.starts, "cpu_seconds": taken.cpu_seconds,
                "peak_bytes": taken.peak_bytes, "phases": self.phases,
            })
        );
    }
}

/// Mebibytes.
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The instant of the lake's only run, in UTC, as the peers read it.
fn as_of(lake: &Path) -> Result<String> {
    let manifest = std::fs::read_to_string(lake.join("stages/_runs/0000000001.json"))?;
    let manifest: Value = serde_json::from_str(&manifest)?;
    let as_of = manifest["as_of"].as_str().context("a run has an as_of")?;
    Ok(as_of.trim_end_matches('Z').replace('T', " "))
}
