//! Segments of customers by Strata and by its peers, on the same features, in turn.
//!
//! `cargo run -p strata-benches --bin segments -- --rows 1000000` writes features of so many customers and has every engine
//! learn twelve segments, give every customer one and write them, several times, one engine after the other
//! (`benches/peers/segments_job` is that job of Strata). One program then tells the inertia of all results over all rows,
//! beside Lloyd's iteration over all rows from the best of them and from starts of its own.
//!
//! `--seeds 10 --sample-rows 16384` has Strata alone learn from so small a sample, once for each seed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde_json::{Value, json};

use strata::bench::{Usage, clear, measure, median, text};
use strata_benches::binary::build_strata;
use strata_benches::{features, python};

/// Segments that everyone looks for; the job of Strata says the same.
const SEGMENTS: &str = "12";

#[derive(Debug, Parser)]
struct Args {
    /// Customers.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Rows that are learned from.
    #[arg(long, default_value_t = 262_144)]
    sample_rows: u64,
    /// Starts, of which the best stays; MLlib knows one only.
    #[arg(long, default_value_t = 4)]
    starts: u64,
    /// Steps of Strata over all rows, each of which reads the features once.
    #[arg(long, default_value_t = 1)]
    polish: u64,
    /// Memory given to each engine that can be told.
    #[arg(long, default_value = "4GiB")]
    memory: String,
    /// Threads of each engine.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Times that each engine does the job; the median counts.
    #[arg(long, default_value_t = 3)]
    times: usize,
    /// The peers: scikit-learn, FAISS, FAISS with its own size of a sample, Spark's MLlib.
    #[arg(long, value_delimiter = ',', default_values = ["sklearn", "faiss", "faiss-default", "spark"])]
    peers: Vec<String>,
    /// Instead of beside its peers, measure Strata with so many seeds.
    #[arg(long)]
    seeds: Option<u64>,
    /// Starts of Lloyd's iteration over all rows, besides those from the results.
    #[arg(long, default_value_t = 4)]
    full_starts: u64,
    /// Use this lake, and its features if it has some, instead of a temporary one.
    #[arg(long)]
    lake: Option<PathBuf>,
    /// Measure this binary of Strata instead of the one of this program's profile.
    #[arg(long)]
    strata: Option<PathBuf>,
}

/// What an engine took each time.
struct Engine {
    name: String,
    /// Seconds to start, told by the engine.
    starts: Vec<f64>,
    times: Vec<Usage>,
    phases: Vec<Value>,
    /// Where its segments lie.
    result: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let temporary = tempfile::tempdir()?;
    let lake = args.lake.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    let strata = match &args.strata {
        Some(there) => there.clone(),
        None => build_strata()?,
    };
    let python = python::environment()?;
    let features = lake.join("raw/features");
    if !features.exists() {
        features::write(&features, args.rows, 7)?;
    }
    // not in the lake, of which only the raw files outlive a run
    let results = tempfile::tempdir()?;
    let job = Job { args: &args, lake: &lake, strata: &strata };
    let mut engines = Vec::new();
    match args.seeds {
        Some(seeds) => {
            for seed in 1..=seeds {
                let name = format!("seed {seed}");
                let mut engine = Engine::new(&name, results.path().join(&name));
                job.run(&mut engine, seed)?;
                copy_parquet(&lake.join("published/segments/data"), &engine.result)?;
                engines.push(engine);
            }
        }
        None => {
            let ours = Engine::new("strata", lake.join("published/segments/data"));
            let peers = args.peers.iter().map(|name| Engine::new(name, results.path().join(name)));
            engines = std::iter::once(ours).chain(peers).collect();
            for _ in 0..args.times {
                let Some((ours, peers)) = engines.split_first_mut() else { bail!("no engine") };
                job.run(ours, 7)?;
                for peer in peers {
                    job.run_peer(&python, peer)?;
                }
            }
        }
    }
    let inertia = inertia(&args, &python, &features, &engines)?;
    report(&args, &engines, &inertia)
}

/// What every engine does.
struct Job<'a> {
    args: &'a Args,
    lake: &'a Path,
    strata: &'a Path,
}

impl Job<'_> {
    /// A run of Strata on nothing but the features.
    fn run(&self, engine: &mut Engine, seed: u64) -> Result<()> {
        clear(self.lake)?;
        let Args { sample_rows, starts, polish, threads, .. } = self.args;
        let settings =
            [("sample_rows", *sample_rows), ("starts", *starts), ("seed", seed), ("polish", *polish)];
        let project = project(&settings)?;
        let threads = threads.to_string();
        let run = ["run", "--project", text(project.path())?, "--lake", text(self.lake)?];
        let limits = ["--as-of", "2026-01-01", "--threads", &threads, "--memory", &self.args.memory];
        let (usage, _) = measure(self.strata, &[&run[..], &limits].concat())?;
        let manifest = std::fs::read_to_string(self.lake.join("stages/_runs/0000000001.json"))?;
        let manifest: Value = serde_json::from_str(&manifest)?;
        let stages = manifest["stages"].as_object().context("a run has stages")?;
        let scanned = stages.values().filter_map(|stage| stage["scan"]["rows"].as_u64());
        let passes = scanned.sum::<u64>() as f64 / self.args.rows as f64;
        let seconds = stages.iter().map(|(name, stage)| (name.clone(), stage["elapsed_ms"].clone()));
        engine.add(
            usage,
            0.0,
            json!({ "passes": passes, "stage_ms": seconds.collect::<serde_json::Map<_, _>>() }),
        );
        Ok(())
    }

    /// The same by a peer, which says its phases as the last line.
    fn run_peer(&self, python: &Path, engine: &mut Engine) -> Result<()> {
        let Args { sample_rows, starts, threads, memory, .. } = self.args;
        let (name, own_sample) = match engine.name.strip_suffix("-default") {
            Some(name) => (name, true),
            None => (engine.name.as_str(), false),
        };
        let script = python::scripts().join(format!("segments_{name}.py"));
        let sample = if own_sample { "0".to_string() } else { sample_rows.to_string() };
        let (features, starts, threads) =
            (self.lake.join("raw/features"), starts.to_string(), threads.to_string());
        let files = [text(&script)?, text(&features)?, text(&engine.result)?];
        let (usage, said) =
            measure(python, &[&files[..], &[SEGMENTS, &sample, &starts, &threads, memory]].concat())?;
        let last = said.lines().last().context("a peer prints its phases")?;
        let phases: Value = serde_json::from_str(last).with_context(|| format!("no phases: {last}"))?;
        let start = phases["seconds"]["start"].as_f64().context("a peer tells its start")?;
        engine.add(usage, start, phases["seconds"].clone());
        Ok(())
    }
}

/// Strata's job with these settings of its trainer in place of those that it has.
fn project(settings: &[(&str, u64)]) -> Result<tempfile::TempDir> {
    let (from, to) = (python::scripts().join("segments_job"), tempfile::tempdir()?);
    for file in ["project.toml", "raw/features.sql", "models/segment_model.sql", "segments/segments.sql"] {
        let mut text = std::fs::read_to_string(from.join(file))?;
        if file.starts_with("models") {
            let set = |line: &str| {
                let key = settings.iter().find(|(key, _)| line.starts_with(&format!("-- {key}: ")));
                key.map_or(line.to_string(), |(key, value)| format!("-- {key}: {value}"))
            };
            text = text.lines().map(set).collect::<Vec<_>>().join("\n") + "\n";
        }
        let file = to.path().join(file);
        std::fs::create_dir_all(file.parent().context("a file lies in a folder")?)?;
        std::fs::write(file, text)?;
    }
    Ok(to)
}

/// Copies the Parquet files of a folder and its folders into one.
fn copy_parquet(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in from.read_dir()? {
        let path = entry?.path();
        if path.is_dir() {
            copy_parquet(&path, to)?;
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            std::fs::copy(&path, to.join(path.file_name().context("a file has a name")?))?;
        }
    }
    Ok(())
}

/// The inertia of each result over all rows, in their order, and at last that of full Lloyd's.
fn inertia(args: &Args, python: &Path, features: &Path, engines: &[Engine]) -> Result<Vec<f64>> {
    let (script, starts) = (python::scripts().join("segments_inertia.py"), args.full_starts.to_string());
    let mut arguments = vec![text(&script)?, text(features)?, SEGMENTS, &starts];
    for engine in engines {
        arguments.push(text(&engine.result)?);
    }
    let (_, said) = measure(python, &arguments)?;
    let last = said.lines().last().context("the inertia is told")?;
    serde_json::from_str(last).with_context(|| format!("no inertia: {last}"))
}

fn report(args: &Args, engines: &[Engine], inertia: &[f64]) -> Result<()> {
    let full = inertia.last().context("full Lloyd's has an inertia")?;
    let ours = engines.first().context("no engine")?.medians();
    println!("full Lloyd's over {} rows: inertia {full:.1}", args.rows);
    for (engine, inertia) in engines.iter().zip(inertia) {
        let taken = engine.medians();
        println!(
            "{:14} {:8.2} s = {:5.2} of Strata, {:8.1} CPU s, {:6.0} MiB = {:5.2}; start {:.2} s; inertia {:.5} of full; {}",
            engine.name,
            taken.wall_seconds,
            taken.wall_seconds / ours.wall_seconds,
            taken.cpu_seconds,
            taken.peak_bytes as f64 / f64::from(1 << 20),
            taken.peak_bytes as f64 / ours.peak_bytes as f64,
            median(engine.starts.iter().copied()),
            inertia / full,
            engine.phases.last().unwrap_or(&Value::Null),
        );
        println!(
            "{}",
            json!({
                "engine": engine.name, "rows": args.rows, "sample_rows": args.sample_rows, "starts": args.starts,
                "polish": args.polish, "threads": args.threads, "memory": args.memory, "times": engine.times,
                "start_seconds": engine.starts, "phases": engine.phases, "inertia": inertia, "of_full": inertia / full,
            })
        );
    }
    if args.seeds.is_some() {
        let mean = inertia[..engines.len()].iter().sum::<f64>() / engines.len() as f64;
        println!("samples of {} rows: mean inertia {:.5} of full Lloyd's", args.sample_rows, mean / full);
    }
    Ok(())
}

impl Engine {
    fn new(name: &str, result: PathBuf) -> Engine {
        Engine { name: name.to_string(), starts: Vec::new(), times: Vec::new(), phases: Vec::new(), result }
    }

    fn add(&mut self, usage: Usage, start: f64, phases: Value) {
        self.times.push(usage);
        self.starts.push(start);
        self.phases.push(phases);
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
}
