//! What stages cost, and what a run to come would.
//!
//! A run that computes a stage writes down what that took: CPU seconds, bytes scanned, exchanged between partitions and
//! written. A forecast multiplies: cost of a part x parts to compute x how much more data there is. Costs grow with the
//! rows; only a trainer with a full sample costs the same for any number of them.

use serde::{Deserialize, Serialize};

use super::history::RunManifest;
use super::why::Again;
use crate::project::{Kind, Project, Stage};

/// What computing a stage took in one process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Partitions computed: days, or 1 for a stage that is whole.
    pub parts: usize,
    /// CPU time of the threads that computed it, in seconds.
    pub cpu_seconds: f64,
    pub scanned_rows: u64,
    pub scanned_bytes: u64,
    /// Bytes in memory of the rows that changed partition: what a cluster shuffles.
    pub exchanged_bytes: u64,
    pub written_bytes: u64,
}

/// How fast a process worked off a run: what turns CPU seconds of stages into time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Parts that the run computed.
    pub parts: usize,
    pub threads: usize,
    pub wall_seconds: f64,
    /// All CPU time of the process during the run.
    pub cpu_seconds: f64,
    /// The part of it that stages account for; the rest are file reads of the kernel, audits, planning, publishing.
    pub stages_cpu_seconds: f64,
}

impl Pace {
    /// CPU seconds of the process for each that stages account for.
    fn overhead(&self) -> f64 {
        if self.stages_cpu_seconds > 0.0 {
            (self.cpu_seconds / self.stages_cpu_seconds).max(1.0)
        } else {
            1.0
        }
    }

    /// The share of its threads' time that the run used.
    fn utilisation(&self) -> f64 {
        let most = self.wall_seconds * self.threads as f64;
        if most > 0.0 { (self.cpu_seconds / most).clamp(0.05, 1.0) } else { 1.0 }
    }
}

/// Of two measurements the one that says more of a whole run: that of more parts, and of equal ones the newer.
pub fn telling<T>(old: Option<T>, new: Option<T>, parts: impl Fn(&T) -> usize) -> Option<T> {
    match (old, new) {
        (Some(old), Some(new)) if parts(&new) < parts(&old) => Some(old),
        (old, new) => new.or(old),
    }
}

/// A stage of a run to come.
#[derive(Debug, Clone)]
pub struct StageForecast {
    pub stage: String,
    /// Parts that are not there yet.
    pub missing: usize,
    /// All parts that the run needs.
    pub all: usize,
    /// What an earlier run of this lake took; `None` when no run in one process has computed the stage.
    pub cost: Option<Cost>,
    /// Whether it trains a model, which the driver does.
    pub trains: bool,
    /// The most rows that its trainer learns from.
    pub sample_rows: Option<usize>,
}

/// What a run would compute, and what that costs.
#[derive(Debug, Clone, Default)]
pub struct Forecast {
    pub stages: Vec<StageForecast>,
    /// Why stages that the last run had are to be computed again.
    pub again: Vec<Again>,
    /// The pace of an earlier run of this lake.
    pub pace: Option<Pace>,
}

/// Which run is meant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// What is missing in this lake.
    Missing,
    /// Everything, from raw files of so many times the data.
    Times(f64),
}

/// What something would take, in CPU seconds and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Expected {
    pub cpu_seconds: f64,
    pub scanned_bytes: f64,
    pub exchanged_bytes: f64,
    pub written_bytes: f64,
}

impl From<Cost> for Expected {
    fn from(cost: Cost) -> Expected {
        Expected {
            cpu_seconds: cost.cpu_seconds,
            scanned_bytes: cost.scanned_bytes as f64,
            exchanged_bytes: cost.exchanged_bytes as f64,
            written_bytes: cost.written_bytes as f64,
        }
    }
}

impl std::iter::Sum for Expected {
    fn sum<I: Iterator<Item = Expected>>(costs: I) -> Expected {
        costs.fold(Expected::default(), |sum, cost| Expected {
            cpu_seconds: sum.cpu_seconds + cost.cpu_seconds,
            scanned_bytes: sum.scanned_bytes + cost.scanned_bytes,
            exchanged_bytes: sum.exchanged_bytes + cost.exchanged_bytes,
            written_bytes: sum.written_bytes + cost.written_bytes,
        })
    }
}

impl StageForecast {
    /// Of a stage that needs `missing` of `all` parts, by what the last run of the lake says.
    pub fn of(stage: &Stage, missing: usize, all: usize, last: Option<&RunManifest>) -> StageForecast {
        let sample_rows = match &stage.kind {
            Kind::Model { trainer, .. } => trainer.sample_rows(),
            _ => None,
        };
        StageForecast {
            stage: stage.name.clone(),
            missing,
            all,
            cost: last.and_then(|last| last.stages.get(&stage.name)).and_then(|run| run.cost),
            trains: stage.is_model(),
            sample_rows,
        }
    }

    /// What the stage would take; `None` when nothing is known of it.
    pub fn expected(&self, amount: Amount) -> Option<Expected> {
        let (parts, times) = match amount {
            Amount::Missing => (self.missing, 1.0),
            Amount::Times(times) => (self.all, times),
        };
        if parts == 0 {
            return Some(Expected::default());
        }
        let cost = self.cost.filter(|cost| cost.parts > 0)?;
        let factor = parts as f64 / cost.parts as f64 * times;
        let learnt = self.sample_rows.map(|most| (most as f64 / cost.scanned_rows.max(1) as f64).max(1.0));
        Some(Expected {
            cpu_seconds: cost.cpu_seconds * learnt.map_or(factor, |full| factor.min(full)),
            scanned_bytes: cost.scanned_bytes as f64 * factor,
            exchanged_bytes: cost.exchanged_bytes as f64 * factor,
            written_bytes: cost.written_bytes as f64 * factor,
        })
    }
}

impl Forecast {
    /// Of all that a run needed, by what it says itself.
    pub fn of_run(project: &Project, run: &RunManifest) -> Forecast {
        let stages = project.stages.iter().filter_map(|stage| {
            let all = run.stages.get(&stage.name)?.fingerprints.len();
            Some(StageForecast::of(stage, 0, all, Some(run)))
        });
        Forecast { stages: stages.collect(), again: Vec::new(), pace: run.pace }
    }

    /// The same costs, for what another run has computed.
    pub fn of_computed(mut self, run: &RunManifest) -> Forecast {
        for stage in &mut self.stages {
            stage.missing = run.stages.get(&stage.stage).map_or(0, |run| run.computed);
        }
        self
    }

    /// The stages with something to compute of which nothing is known.
    pub fn unknown(&self, amount: Amount) -> impl Iterator<Item = &str> {
        let unknown = self.stages.iter().filter(move |stage| stage.expected(amount).is_none());
        unknown.map(|stage| stage.stage.as_str())
    }

    /// What all stages of which something is known would take, and the run's own part of the CPU time.
    pub fn total(&self, amount: Amount) -> Expected {
        let sum: Expected = self.stages.iter().filter_map(|stage| stage.expected(amount)).sum();
        Expected { cpu_seconds: sum.cpu_seconds * self.overhead(), ..sum }
    }

    /// Seconds that a run would take on so many processes of so many cores, like those that the pace was measured on:
    /// stages on all of them, training on the driver's only, and as much waiting as there was.
    pub fn wall_seconds(&self, amount: Amount, processes: usize, cores: usize) -> f64 {
        let pace = self.pace.unwrap_or_default();
        let training = self.stages.iter().filter(|stage| stage.trains);
        let training: f64 =
            training.filter_map(|stage| stage.expected(amount)).map(|cost| cost.cpu_seconds).sum::<f64>()
                * self.overhead();
        let spread = self.total(amount).cpu_seconds - training;
        let cores = cores.max(1) as f64;
        (spread / (cores * processes.max(1) as f64) + training / cores) / pace.utilisation()
    }

    fn overhead(&self) -> f64 {
        self.pace.map_or(1.0, |pace| pace.overhead())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(missing: usize, all: usize, cost: Option<Cost>, sample_rows: Option<usize>) -> StageForecast {
        let trains = sample_rows.is_some();
        StageForecast { stage: "facts.days".into(), missing, all, cost, trains, sample_rows }
    }

    const COST: Cost = Cost {
        parts: 10,
        cpu_seconds: 5.0,
        scanned_rows: 1_000,
        scanned_bytes: 100,
        exchanged_bytes: 20,
        written_bytes: 40,
    };

    #[test]
    fn costs_grow_with_parts_and_data() {
        let daily = stage(2, 20, Some(COST), None);
        let missing = daily.expected(Amount::Missing).unwrap();
        assert_eq!((missing.cpu_seconds, missing.scanned_bytes, missing.written_bytes), (1.0, 20.0, 8.0));
        let all = daily.expected(Amount::Times(100.0)).unwrap();
        assert_eq!((all.cpu_seconds, all.exchanged_bytes), (1_000.0, 4_000.0));
    }

    #[test]
    fn training_ends_to_grow_with_a_full_sample() {
        let whole = Cost { parts: 1, ..COST };
        let trained = stage(1, 1, Some(whole), Some(3_000));
        let cpu = |times| trained.expected(Amount::Times(times)).unwrap().cpu_seconds;
        assert_eq!((cpu(2.0), cpu(3.0), cpu(1_000.0)), (10.0, 15.0, 15.0));
        let full = stage(1, 1, Some(whole), Some(500));
        assert_eq!(full.expected(Amount::Times(1_000.0)).unwrap().cpu_seconds, 5.0);
    }

    #[test]
    fn a_forecast_says_what_it_does_not_know() {
        let forecast = Forecast { stages: vec![stage(0, 3, None, None)], pace: None, ..Forecast::default() };
        assert_eq!(forecast.unknown(Amount::Missing).count(), 0);
        assert_eq!(forecast.unknown(Amount::Times(1.0)).collect::<Vec<_>>(), ["facts.days"]);
    }

    #[test]
    fn executors_share_stages_but_not_training() {
        let stages =
            vec![stage(10, 10, Some(COST), None), stage(1, 1, Some(Cost { parts: 1, ..COST }), Some(1))];
        let pace =
            Pace { parts: 11, threads: 2, wall_seconds: 8.0, cpu_seconds: 12.0, stages_cpu_seconds: 10.0 };
        let forecast = Forecast { stages, pace: Some(pace), ..Forecast::default() };
        assert!((forecast.wall_seconds(Amount::Times(1.0), 1, 2) - 8.0).abs() < 1e-9);
        // 60 CPU seconds of stages on 16 cores, 6 of training on 2, three quarters of the time at work
        let on_eight = forecast.wall_seconds(Amount::Times(10.0), 8, 2);
        assert!((on_eight - (60.0 / 16.0 + 6.0 / 2.0) / 0.75).abs() < 1e-9, "{on_eight}");
    }

    #[test]
    fn the_measurement_of_more_parts_stays() {
        let of = |parts| Some(Cost { parts, ..COST });
        let parts = |cost: &Cost| cost.parts;
        assert_eq!(telling(of(365), of(1), parts), of(365));
        let newer = Some(Cost { cpu_seconds: 1.0, ..COST });
        assert_eq!(telling(of(10), newer, parts), newer);
        assert_eq!(telling(of(10), None, parts), of(10));
    }
}
