//! Measures the k-means kernel on rows in memory, one thread: `cargo run -p strata-benches --bin kmeans`.
//!
//! Assignment beside `matrixmultiply`'s sgemm of the same shape (rows x features by features x centroids), which is
//! the arithmetic that any assignment by dot products needs; passes of Lloyd's iteration beside those of FAISS from the
//! same centroids.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde_json::{Value, json};
use strata::cluster::{Assigner, Fit, Matrix, Screen, lloyd};

use strata::bench::{measure, median, text};
use strata_benches::python;

#[derive(Debug, Parser)]
struct Args {
    #[arg(long, default_value_t = 262_144)]
    rows: usize,
    #[arg(long, default_value_t = 32)]
    features: usize,
    #[arg(long, default_value_t = 12)]
    segments: usize,
    /// Passes of Lloyd's iteration.
    #[arg(long, default_value_t = 25)]
    passes: usize,
    /// Times that each is measured; the median counts.
    #[arg(long, default_value_t = 5)]
    times: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let (n, d, k) = (args.rows, args.features, args.segments);
    let points = Matrix { values: clouds(n, d, k), width: d };
    let centroids = points.values[..k * d].to_vec();

    let screen = Screen::new(&points);
    let mut nearest = vec![0; n];
    let assignment = timed(args.times, || {
        Assigner::new(&screen, &centroids).assign(0..n, &mut nearest);
        Ok(())
    })?;
    let singles = |values: &[f64]| values.iter().map(|value| *value as f32).collect::<Vec<_>>();
    let (rows, columns, mut products) = (singles(&points.values), singles(&centroids), vec![0f32; n * k]);
    let sgemm = timed(args.times, || multiply(&rows, &columns, &mut products, (n, d, k)))?;
    println!(
        "assignment       {:8.2} ms, sgemm {:8.2} ms = {:.2}",
        assignment * 1e3,
        sgemm * 1e3,
        assignment / sgemm
    );

    let mut fit: Option<Fit> = None;
    let all = timed(args.times, || {
        fit = Some(lloyd(&Screen::new(&points), centroids.clone(), args.passes, None, 1)?);
        Ok(())
    })?;
    let fit = fit.context("nothing was measured")?;
    if fit.iterations < args.passes {
        bail!("the rows settle after {} passes; ask for fewer", fit.iterations);
    }
    let ours = all / fit.iterations as f64;
    let faiss = faiss(&args, &points, &centroids)?;
    let theirs = faiss["seconds"].as_f64().context("FAISS gives its seconds")? / fit.iterations as f64;
    let inertia = faiss["inertia"].as_f64().context("FAISS gives its inertia")?;
    println!(
        "pass of Lloyd    {:8.2} ms, FAISS {:8.2} ms = {:.2}; inertia {:.6} of FAISS's after {} passes",
        ours * 1e3,
        theirs * 1e3,
        ours / theirs,
        fit.inertia_units() / inertia,
        fit.iterations,
    );
    println!(
        "{}",
        json!({
            "rows": n, "features": d, "segments": k, "passes": fit.iterations, "assignment_ms": assignment * 1e3,
            "sgemm_ms": sgemm * 1e3, "pass_ms": ours * 1e3, "faiss_pass_ms": theirs * 1e3,
        })
    );
    Ok(())
}

/// Rows about as many centres as there are segments, with so much noise that Lloyd's iteration takes long to settle.
fn clouds(n: usize, d: usize, k: usize) -> Vec<f64> {
    let mut state = 42u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1u64 << 31) as f64 - 0.5
    };
    let centres: Vec<f64> = (0..k * d).map(|_| next() * 3.0).collect();
    let grid = f64::from(1 << 20);
    (0..n * d)
        .map(|i| {
            let value = centres[i / d % k * d + i % d] + (next() + next() + next()) * 6.0;
            (value * grid).round() / grid
        })
        .collect()
}

/// Median seconds.
fn timed(times: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut seconds = Vec::new();
    for _ in 0..times {
        let start = Instant::now();
        work()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(median(seconds))
}

/// The product of rows (n x d) and the transpose of columns (k x d).
fn multiply(rows: &[f32], columns: &[f32], out: &mut [f32], (n, d, k): (usize, usize, usize)) -> Result<()> {
    let rows = ndarray::ArrayView2::from_shape((n, d), rows)?;
    let columns = ndarray::ArrayView2::from_shape((k, d), columns)?;
    let mut out = ndarray::ArrayViewMut2::from_shape((n, k), out)?;
    // ndarray without BLAS multiplies by `matrixmultiply`
    ndarray::linalg::general_mat_mul(1.0, &rows, &columns.t(), 0.0, &mut out);
    Ok(())
}

/// The same passes by FAISS, on one thread.
fn faiss(args: &Args, points: &Matrix, centroids: &[f64]) -> Result<Value> {
    let folder = tempfile::tempdir()?;
    let (script, rows) = (python::scripts().join("kmeans_faiss.py"), folder.path().join("rows"));
    let bytes = points.values.iter().chain(centroids).flat_map(|value| value.to_le_bytes());
    std::fs::write(&rows, bytes.collect::<Vec<u8>>())?;
    let (script, rows) = (text(&script)?, text(&rows)?);
    let numbers = [args.features, args.segments, args.passes, args.times].map(|number| number.to_string());
    let mut arguments = vec![script, rows];
    arguments.extend(numbers.iter().map(String::as_str));
    let (_, said) = measure(&python::environment()?, &arguments)?;
    match said.lines().last().map(serde_json::from_str) {
        Some(Ok(value)) => Ok(value),
        _ => bail!("FAISS gave no figures: {said}"),
    }
}
