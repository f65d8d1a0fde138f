//! Rows delivered again under another day: what a contract calls the key is the key across days, within a stated
//! number of them. Days are computed apart, so each day is told the rows of other days that share a key with one of
//! its own; which delivery counts is for the SQL to say. A day's results depend on what it is told, by its content.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Field, Int32Type, Int64Type, Schema};
use chrono::NaiveDate;
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::{
    Expr, JoinType, LogicalPlan, LogicalPlanBuilder, bitwise_shift_right, cast, col, lit,
};
use futures::TryStreamExt;

use super::Sources;
use super::raw::SourceFiles;
use super::repeated::{Seen, passes};
use super::tables::{date32, known_before, source_table, written_table};
use crate::engine::{Engine, Progress};
use crate::lake::{DataFile, Lake, SinkSpec, stage_data_prefix};
use crate::project::{FOR_DAY, Project, Source};
use crate::{Context, Error, Result};

/// Days whose keys are looked at in one scan.
const DAYS_A_SCAN: usize = 16;

/// Keys take this part of the memory given; where they need more, they are read several times.
const SHARE_OF_MEMORY: u64 = 32;

const LEAST_BYTES_A_ROW: u64 = 16;

/// A row's key as a number.
const KEY: &str = "$key";

/// The rows of one source whose key lies on several days.
#[derive(Debug, Clone, Default)]
pub struct Redelivered {
    /// Each row once for every day that is told of it.
    files: Vec<DataFile>,
    /// A digest of the rows that a day is told, by day.
    prints: BTreeMap<NaiveDate, String>,
}

impl Redelivered {
    /// What a part's results depend on: the rows of one day, or of all.
    pub fn fingerprint(&self, day: Option<NaiveDate>) -> String {
        match day {
            Some(day) => self.prints.get(&day).cloned().unwrap_or_default(),
            None => format!("{:?}", self.prints),
        }
    }

    /// The rows that some of these days, or all, are told, as far as they were known before `cut` (µs).
    pub fn table(
        &self,
        lake: &Lake,
        source: &Source,
        cut: i64,
        days: Option<&BTreeSet<NaiveDate>>,
    ) -> Result<Arc<dyn TableProvider>> {
        let told = |days: &BTreeSet<NaiveDate>| days.iter().any(|day| self.prints.contains_key(day));
        if self.prints.is_empty() || !days.is_none_or(told) {
            // the planner sees that there is no row, and leaves out all that would be done with them
            let nothing = LogicalPlanBuilder::empty(false).build().context("cannot plan no rows")?;
            let LogicalPlan::EmptyRelation(mut nothing) = nothing else {
                return Err(Error::other("an empty plan is not empty"));
            };
            let schema = datafusion::common::DFSchema::try_from(source.redelivered_schema());
            nothing.schema = Arc::new(schema.context(format!("columns of {}", source.name))?);
            return Ok(Arc::new(ViewTable::new(LogicalPlan::EmptyRelation(nothing), None)));
        }
        let files: Vec<&DataFile> = self.files.iter().collect();
        let table = written_table(lake, &source.redelivered_schema(), &files)?;
        let plan = known(scan(&source.name, table)?, source, cut)?;
        Ok(Arc::new(ViewTable::new(plan.build().context("cannot read rows delivered again")?, None)))
    }

    /// Removes what the run no longer needs.
    pub async fn remove(&self, lake: &Lake) {
        for file in &self.files {
            if let Err(error) = lake.delete(&file.path).await {
                tracing::debug!(%error, file = %file.path, "a file of rows delivered again stays");
            }
        }
    }
}

/// The rows of all sources that were delivered again, as known before `cut` (µs).
///
/// # Errors
/// When a raw file cannot be read.
pub async fn find(
    lake: &Lake,
    project: &Project,
    engine: &Engine,
    sources: &Sources,
    cut: i64,
) -> Result<BTreeMap<String, Redelivered>> {
    let mut found = BTreeMap::new();
    for source in project.sources.values() {
        let (Some(within), Some(files)) = (source.redelivered_within, sources.get(&source.name)) else {
            continue;
        };
        let search = Search { lake, engine, source, files, within };
        match search.find(cut).await {
            Ok(rows) if rows.files.is_empty() => {}
            Ok(rows) => {
                found.insert(source.name.clone(), rows);
            }
            Err(error) if error.exit_code() == 1 => {
                super::raw::find_undecodable(lake, source, files).await?;
                return Err(error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// One source and where it is looked at.
struct Search<'a> {
    lake: &'a Lake,
    engine: &'a Engine,
    source: &'a Source,
    files: &'a SourceFiles,
    /// Days.
    within: i32,
}

impl Search<'_> {
    async fn find(&self, cut: i64) -> Result<Redelivered> {
        let (keys, days) = self.repeated(&suspects(self.files, self.within)).await?;
        if keys.is_empty() {
            return Ok(Redelivered::default());
        }
        let plan = self.told(&keys, &days)?;
        let attempt = uuid::Uuid::new_v4().simple().to_string();
        let stem = self.source.name.rsplit('.').next().unwrap_or_default();
        let prefix = stage_data_prefix(&format!("redelivered.{stem}"), &attempt)?;
        let spec = SinkSpec::new(self.lake, prefix);
        let files = self.engine.write(&plan, &spec, &Arc::new(Progress::default())).await?.files;
        let prints = self.digests(&files, cut).await?;
        Ok(Redelivered { files, prints })
    }

    fn rows_of(&self, days: &BTreeSet<NaiveDate>) -> Result<LogicalPlanBuilder> {
        let mut files = self.files.clone();
        files.files.retain(|file| file.day.is_some_and(|day| days.contains(&day)));
        let rows = scan(&self.source.name, source_table(self.lake, self.source, &files, None, None)?)?;
        let whole = self.source.keys.iter().map(|key| col(quoted(key)).is_not_null());
        let whole = whole.reduce(Expr::and).unwrap_or(lit(true));
        rows.filter(whole).context("cannot plan keys")
    }

    /// A key of one whole number is that number; others are hashed to 63 bits. Keys that collide are told in vain: SQL
    /// compares the keys themselves.
    fn key(&self) -> Result<Expr> {
        if let [key] = self.source.keys.as_slice()
            && self
                .source
                .schema
                .field_with_name(key)
                .is_ok_and(|field| field.data_type() == &DataType::Int64)
        {
            return Ok(col(quoted(key)).alias(KEY));
        }
        let hash = self.engine.state().scalar_functions().get("row_hash").cloned();
        let hash = hash.ok_or_else(|| Error::other("there is no row_hash"))?;
        let hash = hash.call(self.source.keys.iter().map(|key| col(quoted(key))).collect());
        Ok(cast(bitwise_shift_right(hash, lit(1_u64)), DataType::Int64).alias(KEY))
    }

    fn day(&self) -> Expr {
        col(quoted(self.source.day.as_deref().unwrap_or_default()))
    }

    /// Keys, as numbers, that lie in several of these days, and the days in which they lie.
    async fn repeated(&self, suspects: &BTreeSet<NaiveDate>) -> Result<(BTreeSet<i64>, BTreeSet<NaiveDate>)> {
        let suspects: Vec<NaiveDate> = suspects.iter().copied().collect();
        let memory = self.engine.options().memory_bytes as u64 / SHARE_OF_MEMORY;
        let passes = passes(self.rows_at_once(&suspects), memory);
        let (mut keys, mut days) = (BTreeSet::new(), BTreeSet::new());
        for pass in 0..passes {
            let mut seen = Seen::new(pass, passes);
            for some in suspects.chunks(DAYS_A_SCAN) {
                self.look_at(some, &mut seen).await?;
                let last = some.last().map_or(0, |day| date32(*day));
                seen.forget_before(last.saturating_sub(self.within));
            }
            let (of_pass, on_days) = seen.repeated();
            keys.extend(of_pass);
            days.extend(on_days);
        }
        let date =
            |day: &i32| NaiveDate::default().checked_add_signed(chrono::Duration::days(i64::from(*day)));
        Ok((keys, days.iter().filter_map(date).collect()))
    }

    /// The most rows of which keys are remembered at once.
    fn rows_at_once(&self, suspects: &[NaiveDate]) -> u64 {
        let mut rows: BTreeMap<NaiveDate, u64> = BTreeMap::new();
        for file in &self.files.files {
            // files without statistics are texts: a row takes some bytes
            if let Some(day) = file.day {
                *rows.entry(day).or_default() += file.rows.unwrap_or(file.bytes / LEAST_BYTES_A_ROW);
            }
        }
        let at_once = |some: &[NaiveDate]| {
            let (first, last) = (some.first()?, some.last()?);
            let from = first.checked_sub_days(chrono::Days::new(u64::try_from(self.within).ok()?))?;
            Some(rows.range(from..=*last).map(|(_, rows)| rows).sum::<u64>())
        };
        suspects.chunks(DAYS_A_SCAN).filter_map(at_once).max().unwrap_or_default()
    }

    async fn look_at(&self, days: &[NaiveDate], seen: &mut Seen) -> Result<()> {
        let plan = self
            .rows_of(&days.iter().copied().collect())?
            .project(vec![self.key()?, cast(self.day(), DataType::Int32)])
            .and_then(LogicalPlanBuilder::build)
            .context("cannot plan keys")?;
        let mut batches = self.engine.stream(&plan).await?;
        while let Some(batch) = batches.try_next().await.context(format!("keys of {}", self.source.name))? {
            let (Some(keys), Some(days)) = (
                batch.column(0).as_primitive_opt::<Int64Type>(),
                batch.column(1).as_primitive_opt::<Int32Type>(),
            ) else {
                return Err(Error::other("keys are not numbers and days"));
            };
            seen.add(keys.values(), days.values());
        }
        Ok(())
    }

    /// Each row with one of these keys for every day, near enough, that has the key: its own day as well.
    fn told(&self, keys: &BTreeSet<i64>, days: &BTreeSet<NaiveDate>) -> Result<LogicalPlan> {
        let schema = Arc::new(Schema::new(vec![Field::new("repeated", DataType::Int64, false)]));
        let keys = Int64Array::from_iter_values(keys.iter().copied());
        let plan = || {
            let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(keys)])?;
            let keys = scan_raw("keys", Arc::new(MemTable::try_new(schema.clone(), vec![vec![batch]])?))?;
            let columns = self.source.schema.fields().iter().map(|field| col(quoted(field.name())));
            let rows = self
                .rows_of(days)
                .map_err(|error| datafusion::error::DataFusionError::External(Box::new(error)))?
                .project(columns.clone().chain(self.key().ok()).collect::<Vec<_>>())?
                .join(
                    keys.build()?,
                    JoinType::LeftSemi,
                    (vec![quoted(KEY)], vec!["repeated".to_string()]),
                    None,
                )?;
            let places = rows
                .clone()
                .project(vec![col(quoted(KEY)).alias("other"), self.day().alias(FOR_DAY)])?
                .distinct()?
                .alias("places")?;
            let apart = cast(self.day(), DataType::Int32) - cast(col(FOR_DAY), DataType::Int32);
            rows.join(places.build()?, JoinType::Inner, (vec![quoted(KEY)], vec!["other".to_string()]), None)?
                .filter(apart.between(lit(-self.within), lit(self.within)))?
                .project(columns.chain([col(FOR_DAY)]).collect::<Vec<_>>())?
                .build()
        };
        plan().context(format!("cannot plan the rows of {} that were delivered again", self.source.name))
    }

    /// A digest of the rows that each day is told.
    async fn digests(&self, files: &[DataFile], cut: i64) -> Result<BTreeMap<NaiveDate, String>> {
        let schema = self.source.redelivered_schema();
        let table = written_table(self.lake, &schema, &files.iter().collect::<Vec<_>>())?;
        let rows = known(scan(&self.source.name, table)?, self.source, cut)?;
        let state = self.engine.state();
        let (Some(hash), Some(digest)) =
            (state.scalar_functions().get("row_hash"), state.aggregate_functions().get("row_digest"))
        else {
            return Err(Error::other("there is no row_digest"));
        };
        let columns = schema.fields().iter().map(|field| col(quoted(field.name()))).collect();
        let plan = rows
            .aggregate(vec![col(FOR_DAY)], vec![digest.call(vec![hash.call(columns)])])
            .and_then(LogicalPlanBuilder::build)
            .context("cannot plan digests")?;
        let mut prints = BTreeMap::new();
        for batch in self.engine.collect(&plan).await? {
            let days = batch.column(0).as_primitive::<Date32Type>();
            let digests = batch.column(1).as_string::<i32>();
            for row in (0..batch.num_rows()).filter(|row| days.is_valid(*row)) {
                if let Some(day) = days.value_as_date(row) {
                    prints.insert(day, digests.value(row).to_string());
                }
            }
        }
        Ok(prints)
    }
}

/// The days of which a key may lie in another one, near enough: those whose files' ranges of keys meet.
fn suspects(files: &SourceFiles, within: i32) -> BTreeSet<NaiveDate> {
    let mut ranges: BTreeMap<NaiveDate, Option<(i64, i64)>> = BTreeMap::new();
    for file in files.files.iter().filter(|file| file.rows != Some(0)) {
        let Some(day) = file.day else { continue };
        let range = ranges.entry(day).or_insert(Some((i64::MAX, i64::MIN)));
        *range = range.zip(file.first_key).map(|((a, b), (low, high))| (a.min(low), b.max(high)));
    }
    let meets = |a: &Option<(i64, i64)>, b: &Option<(i64, i64)>| match (a, b) {
        (Some((low, high)), Some((other_low, other_high))) => low <= other_high && other_low <= high,
        _ => true,
    };
    let days: Vec<(&NaiveDate, &Option<(i64, i64)>)> = ranges.iter().collect();
    let mut found = BTreeSet::new();
    for (place, (day, range)) in days.iter().enumerate() {
        let near = |other: &&(&NaiveDate, &Option<(i64, i64)>)| {
            date32(*other.0).saturating_sub(date32(**day)) <= within
        };
        for (other, other_range) in days[place + 1..].iter().take_while(near) {
            if meets(range, other_range) {
                found.extend([**day, **other]);
            }
        }
    }
    found
}

fn quoted(column: &str) -> String {
    format!("\"{column}\"")
}

fn scan_raw(name: &str, table: Arc<dyn TableProvider>) -> datafusion::error::Result<LogicalPlanBuilder> {
    LogicalPlanBuilder::scan(name, provider_as_source(table), None)
}

fn scan(name: &str, table: Arc<dyn TableProvider>) -> Result<LogicalPlanBuilder> {
    scan_raw(name, table).context(format!("cannot read {name}"))
}

/// The rows known before the cut, and those that do not say when they became known.
fn known(rows: LogicalPlanBuilder, source: &Source, cut: i64) -> Result<LogicalPlanBuilder> {
    match known_before(source, cut) {
        Some(known) => rows.filter(known).context(format!("cannot cut {}", source.name)),
        None => Ok(rows),
    }
}
