//! Synthetic worlds with known truth: a retail company with three customer systems, campaigns, stores, reviews, its
//! messy raw tables, and a record of who is who, of every planted fault, of the latent traits behind what people do,
//! and of how well these could be found at best.
//!
//! A world is a function of its [`WorldSettings`]: every random number is a hash of seed, topic, entity and counter,
//! so any file can be made without any other and on any machine. Files are named after the local day on which they
//! arrive; every row of `arrived-D` has its `ingested_at` within local day D. Generating one arrival day after the
//! other therefore only adds files, and ends with the files of bulk generation.
//!
//! What arrives when: rows come on the day they happen, a few seconds to minutes later; duplicates the same day or two
//! days later; late rows in the early morning 2 or 5 days later, too late ones 10 days later. What would arrive after
//! the last day is never delivered, nor listed in `truth/mess`. The first day brings the snapshot of all accounts and
//! consents from before, of the products, zones and stores, and of who was logged in on which device. Messages arrive
//! with their outcome two days after they were sent, counts of social activity the day after, the weather at night.

mod campaigns;
mod ceilings;
mod columns;
mod consents;
mod crm;
mod day;
mod delivery;
mod erasures;
mod events;
mod formats;
mod guard;
mod holders;
mod identity;
mod intent;
mod manners;
mod mess;
mod messages;
mod names;
mod observed;
mod order_columns;
mod orders;
mod persons;
mod phrases;
mod places;
mod products;
mod rising;
mod rng;
mod sessions;
mod settings;
mod social;
mod texts;
mod truth;
mod weather;
mod world;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, PutPayload};

pub use guard::generate_into;
pub use mess::Kind as MessKind;
pub use settings::{MessRates, WorldSettings};

use crate::lake::{store_error, volatile};
use crate::{Context, Result};
use truth::TruthFile;
use world::World;

/// What was written for one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableSummary {
    /// Rows, duplicates included.
    pub rows: u64,
    /// Bytes of Parquet.
    pub bytes: u64,
    /// Files.
    pub files: u64,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GenerateSummary {
    /// By table; truth tables are named `truth/...`.
    pub tables: BTreeMap<&'static str, TableSummary>,
}

impl GenerateSummary {
    /// The sum over all tables.
    pub fn total(&self) -> TableSummary {
        let mut total = TableSummary::default();
        for table in self.tables.values() {
            total.add(table.rows, table.bytes, table.files);
        }
        total
    }
}

impl std::fmt::Display for GenerateSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (table, written) in &self.tables {
            let mib = written.bytes as f64 / (1 << 20) as f64;
            writeln!(f, "{table:20} {:>12} rows {:>6} files {mib:>9.1} MiB", written.rows, written.files)?;
        }
        Ok(())
    }
}

impl TableSummary {
    fn add(&mut self, rows: u64, bytes: u64, files: u64) {
        self.rows += rows;
        self.bytes += bytes;
        self.files += files;
    }
}

/// A piece of the world that one blocking task makes.
#[derive(Debug, Clone, Copy)]
enum Task {
    Ceilings,
    Truth { chunk: u32 },
    Day { day: u32, chunk: u32 },
}

struct Made {
    files: Vec<write::File>,
    truth: Vec<(&'static str, RecordBatch)>,
}

impl Task {
    fn all(world: &World) -> Vec<Task> {
        let truth = (0..world.chunks()).map(|chunk| Task::Truth { chunk });
        let days =
            (0..world.days()).flat_map(|day| (0..world.chunks()).map(move |chunk| Task::Day { day, chunk }));
        std::iter::once(Task::Ceilings).chain(truth).chain(days).collect()
    }

    fn make(self, world: &World) -> Result<Made> {
        match self {
            Task::Ceilings => {
                let truth = vec![
                    ("truth/ceilings", ceilings::batch(world)?),
                    ("truth/rising_terms", rising::truth(world)?),
                ];
                Ok(Made { files: Vec::new(), truth })
            }
            Task::Truth { chunk } => Ok(Made { files: Vec::new(), truth: truth::of_chunk(world, chunk)? }),
            Task::Day { day, chunk } => {
                let made = day::make_day(world, day, chunk)?;
                let truth = vec![
                    ("truth/mess", truth::mess_batch(&made.mess)?),
                    ("truth/texts", texts::truth(&made.texts)?),
                    ("truth/shared_sessions", holders::truth(world, &made.shared)?),
                ];
                Ok(Made { files: made.files, truth })
            }
        }
    }
}

/// Writes a world: `ROOT/raw/TABLE/...parquet`, those that arrive within `settings.arrived`, and
/// `ROOT/truth/*.parquet`, always whole. Files already there are replaced; [`generate_into`] looks first
/// whose they are. Runs on a Tokio runtime, `settings.threads` files at a time; memory is bounded by about
/// 150 bytes a person and 300 MB a thread at any scale.
///
/// # Errors
/// [`crate::Error::Usage`] when a setting is outside its limits; otherwise what the store reports, with the file's path.
pub async fn generate(
    settings: &WorldSettings,
    store: Arc<dyn ObjectStore>,
    root: &Path,
) -> Result<GenerateSummary> {
    settings.validate()?;
    let given = settings.clone();
    let world =
        tokio::task::spawn_blocking(move || World::new(&given)).await.context("drawing the persons")??;
    let mut summary = GenerateSummary::default();
    let mut truth = Vec::new();
    for table in truth::TABLES {
        truth.push(TruthFile::create(store.clone(), root, table)?);
    }
    // `buffered` keeps the order of the tasks, and with it that of the rows of truth
    let mut done = futures::stream::iter(Task::all(&world))
        .map(|task| make_and_put(task, world.clone(), store.clone(), root.clone()))
        .buffered(settings.threads);
    while let Some(made) = done.next().await {
        let made = made?;
        for (table, written) in made.written {
            summary.tables.entry(table).or_default().add(written.rows, written.bytes, written.files);
        }
        for (table, batch) in made.truth {
            for file in truth.iter_mut().filter(|file| file.table == table) {
                file.append(&batch).await?;
            }
        }
    }
    for file in truth {
        let (table, rows) = (file.table, file.rows);
        summary.tables.entry(table).or_default().add(rows, file.close().await?, 1);
    }
    Ok(summary)
}

struct Written {
    written: Vec<(&'static str, TableSummary)>,
    truth: Vec<(&'static str, RecordBatch)>,
}

async fn make_and_put(
    task: Task,
    world: Arc<World>,
    store: Arc<dyn ObjectStore>,
    root: Path,
) -> Result<Written> {
    let made = tokio::task::spawn_blocking(move || task.make(&world))
        .await
        .context(format!("making {task:?}"))??;
    let mut written = Vec::with_capacity(made.files.len());
    for file in made.files {
        let path = Path::from_iter(root.parts().chain(file.path.parts()));
        let bytes = file.bytes.len() as u64;
        written.push((file.table, TableSummary { rows: file.rows, bytes, files: 1 }));
        let put = store.put_opts(&path, PutPayload::from_bytes(file.bytes), volatile()).await;
        put.map_err(|error| store_error(format!("writing {path}"), error))?;
    }
    Ok(Written { written, truth: made.truth })
}
