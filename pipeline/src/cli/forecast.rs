//! What `run --dry-run` prints: parts to compute, and what they would cost.

use std::fmt::Write;

use indicatif::BinaryBytes;

use crate::run::{Amount, Expected, Forecast};

/// Which run and which machines a forecast is for.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub amount: Amount,
    pub executors: usize,
    pub cores: usize,
}

/// A line a stage, and what the whole run would take.
pub fn describe(forecast: &Forecast, scenario: Scenario) -> String {
    let Scenario { amount, executors, cores } = scenario;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:34}{:>16}{:>12}{:>12}{:>12}{:>12}",
        "stage", "to compute", "CPU s", "read", "exchanged", "written"
    );
    for stage in &forecast.stages {
        let parts = match amount {
            Amount::Missing => format!("{} of {}", stage.missing, stage.all),
            Amount::Times(_) => format!("{} of {}", stage.all, stage.all),
        };
        let cost = stage.expected(amount).map_or_else(|| format!("{:>12}", "unknown"), figures);
        let _ = writeln!(out, "{:34}{parts:>16}{cost}", stage.stage);
    }
    if amount == Amount::Missing && !forecast.again.is_empty() {
        out.push('\n');
        for again in &forecast.again {
            let _ = writeln!(out, "computing again: {again}");
        }
        out.push('\n');
    }
    let Some(pace) = forecast.pace else {
        let _ = writeln!(out, "\nno finished run of this lake in one process says what stages cost");
        return out;
    };
    let _ = writeln!(out, "{:50}{}", "with reading, planning, audits", figures(forecast.total(amount)));
    let unknown: Vec<&str> = forecast.unknown(amount).collect();
    if !unknown.is_empty() {
        let _ = writeln!(out, "not counted, for no run has computed them: {}", unknown.join(", "));
    }
    let seconds = forecast.wall_seconds(amount, executors, cores);
    let machines = if executors == 1 { "one process".to_string() } else { format!("{executors} executors") };
    let _ = writeln!(
        out,
        "\n{seconds:.0} s on {machines} of {cores} cores, by the run that took {:.0} s on {} threads and {:.0} CPU s",
        pace.wall_seconds, pace.threads, pace.cpu_seconds
    );
    out
}

fn figures(cost: Expected) -> String {
    let bytes = |bytes: f64| BinaryBytes(bytes as u64).to_string();
    format!(
        "{:>12.1}{:>12}{:>12}{:>12}",
        cost.cpu_seconds,
        bytes(cost.scanned_bytes),
        bytes(cost.exchanged_bytes),
        bytes(cost.written_bytes)
    )
}
