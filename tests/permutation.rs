//! Stage by stage: the rows of a result depend on the rows of the inputs, not on their order, their batches or their
//! partitions.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, take};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, NaiveDate, Utc};
use datafusion::catalog::TableProvider;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use strata::engine::{DayBytes, Engine, EngineOptions, planning_state};
use strata::lake::{DataFile, Lake, StageManifest, files_at};
use strata::project::{Kind, Params, PlanNames, Project, Relation, Source, Stage, StageSql, plan_select};
use strata::run::{RunManifest, SourceFiles, last_run, params_of, source_table, stage_table, written_table};
use tempfile::TempDir;

use crate::support::shuffle::{Random, shuffled};
use crate::support::world::{decide, deliver, rows, small_lake};
use crate::support::{ok, pseudonym_keys, text};

/// Rows of each difference that a report shows.
const ROWS_SHOWN: usize = 3;

/// Engines (threads, rows a batch) for the shuffled inputs, by seed.
const SHUFFLES: [(u64, usize, usize); 2] = [(1, 1, 8192), (2, 7, 61)];

/// The last of two runs of the small world, so that carried tables hold rows.
pub struct Finished {
    _folder: TempDir,
    pub lake: Lake,
    pub project: Project,
    run: RunManifest,
    earlier: RunManifest,
    pub params: Params,
    engine: Engine,
}

/// Decisions on forty customer records, so that their table holds rows.
fn decide_on_some(lake: &Path) {
    let accounts = rows(lake, "select account_id from identity.account_person order by account_id limit 40");
    let accounts: Vec<&str> = accounts.iter().map(|row| row["account_id"].as_str().unwrap()).collect();
    let decisions: Vec<[&str; 3]> = accounts
        .chunks_exact(2)
        .enumerate()
        .map(|(at, pair)| [pair[0], pair[1], if at % 2 == 0 { "same" } else { "different" }])
        .collect();
    decide(lake, &decisions);
}

/// Names of segments, and seeds on two lists, for the same reason.
fn name_and_seed(lake: &Path) {
    let names = [("behaviour", "1"), ("rfm", "important value"), ("value_tier", "head")].map(|(family, segment)| {
        format!("('{family}', '{segment}', 'our {segment}', '我们的{segment}', timestamp '2025-01-02 00:00:00')")
    });
    deliver(lake, "segment_names", "family, segment, name_en, name_zh", &names);
    let customers = rows(lake, "select customer_id from segments order by segment, customer_id");
    let customers = customers.iter().map(|row| row["customer_id"].as_str().unwrap());
    let seeds = customers.step_by(9).enumerate().map(|(at, customer)| {
        format!("('list {}', '{customer}', timestamp '2025-01-02 00:00:00')", at % 2 + 1)
    });
    deliver(lake, "lookalike_seeds", "list_id, customer_id", &seeds.collect::<Vec<_>>());
}

impl Finished {
    pub async fn new() -> Finished {
        let folder = small_lake();
        let lake = Lake::open(text(folder.path())).unwrap();
        let engine = engine(&lake, 2, 8192);
        let mut runs = Vec::new();
        for as_of in ["2025-02-15", "latest"] {
            // one thread, so that every stage has the same files each time
            ok(&["run", "--lake", text(folder.path()), "--threads", "1", "--as-of", as_of]);
            runs.extend(last_run(&engine, &lake).await.unwrap());
            if as_of != "latest" {
                decide_on_some(folder.path());
                name_and_seed(folder.path());
            }
        }
        let [earlier, run] = <[RunManifest; 2]>::try_from(runs).unwrap();
        let project = Project::load("retail", &planning_state().unwrap()).unwrap();
        let params = params_of(&lake, &project, &run).await.unwrap();
        Finished { _folder: folder, lake, project, run, earlier, params, engine }
    }

    /// The rows of a relation as the run's stages saw them.
    async fn rows(&self, relation: &Relation) -> RecordBatch {
        let plan =
            LogicalPlanBuilder::scan("input", provider_as_source(self.stored(relation, None).await), None);
        let plan = plan.and_then(LogicalPlanBuilder::build).unwrap();
        let batches = self.engine.collect(&plan).await.unwrap();
        let schema =
            batches.first().map_or_else(|| Arc::new(plan.schema().as_arrow().clone()), RecordBatch::schema);
        concat_batches(&schema, &batches).unwrap()
    }

    /// A relation as the run's stages read it; with the bytes of days as stages do that are computed by day.
    pub async fn stored(&self, relation: &Relation, days: Option<&Arc<DayBytes>>) -> Arc<dyn TableProvider> {
        let files = match relation {
            Relation::Source(name) => {
                let (files, source) = (self.source(name).await, &self.project.sources[name]);
                return source_table(&self.lake, source, &files, Some(self.as_of()), days).unwrap();
            }
            Relation::Redelivered(_) => return self.project.empty_table(relation).unwrap(),
            Relation::Previous(name) => {
                let Some(Kind::Fixpoint { start, .. }) = self.project.stage(name).map(|stage| &stage.kind)
                else {
                    panic!("{name} is no fixpoint");
                };
                return Box::pin(self.stored(&self.project.inputs(name)[start], days)).await;
            }
            Relation::Stage(name) => {
                let files = self.result(name, false).await;
                let stage = self.project.stage(name).unwrap();
                return stage_table(&self.lake, stage, &files.iter().collect::<Vec<_>>(), days).unwrap();
            }
            Relation::Quarantine(name) => self.result(name, true).await,
            Relation::Former(_) => Vec::new(),
            Relation::Carried(name) => {
                let stem = name.rsplit('.').next().unwrap();
                let version = self.earlier.published[stem].version;
                files_at(&self.lake, stem, Some(version)).await.unwrap().unwrap().files
            }
        };
        let schema = self.project.schema(relation).unwrap();
        written_table(&self.lake, &schema, &files.iter().collect::<Vec<_>>()).unwrap()
    }

    fn as_of(&self) -> i64 {
        self.run.as_of.parse::<DateTime<Utc>>().unwrap().timestamp_micros()
    }

    async fn source(&self, name: &str) -> SourceFiles {
        let files = SourceFiles::inspect(&self.lake, &self.project.sources[name]).await.unwrap();
        files.known_at(self.as_of())
    }

    /// Bytes of the days of all inputs that have days.
    pub async fn bytes_of_days(&self, inputs: &BTreeSet<Relation>) -> Arc<DayBytes> {
        let mut bytes = DayBytes::new();
        let mut add = |day: NaiveDate, size: u64| {
            let day = day.signed_duration_since(NaiveDate::default()).num_days();
            *bytes.entry(day as i32).or_default() += size;
        };
        for relation in inputs.iter().filter(|relation| self.project.by_day(relation)) {
            match relation {
                Relation::Source(name) => {
                    let files = self.source(name).await.files;
                    files
                        .iter()
                        .filter_map(|file| Some((file.day?, file.bytes)))
                        .for_each(|(d, b)| add(d, b));
                }
                Relation::Stage(name) => {
                    let column = self.project.stage(name).unwrap().day.clone().unwrap();
                    for file in self.result(name, false).await {
                        let size = file.range.map_or(file.bytes, |(start, end)| end - start);
                        add(file.partition[&column].as_ref().unwrap().parse().unwrap(), size);
                    }
                }
                _ => {}
            }
        }
        Arc::new(bytes)
    }

    async fn result(&self, stage: &str, quarantined: bool) -> Vec<DataFile> {
        let prints = &self.run.stages[stage].fingerprints;
        let parts = StageManifest::load_parts(&self.lake, stage, prints).await.unwrap();
        assert_eq!(parts.len(), prints.len(), "{stage}");
        let files = parts.into_iter().flat_map(|part| part.files);
        files.filter(|file| file.quarantined == quarantined).collect()
    }

    async fn inputs(&self, stage: &Stage) -> Inputs {
        let mut inputs = Inputs::new();
        for relation in self.project.stored_inputs(&stage.name) {
            let rows = self.rows(&relation).await;
            inputs.insert(relation, rows);
        }
        inputs
    }

    /// The rows of a stage over its inputs in order, and how they differ when the inputs are shuffled.
    async fn shuffle_inputs(&self, stage: &Stage, inputs: &Inputs) -> (Vec<String>, Vec<String>) {
        let tables = inputs.iter().map(|(relation, rows)| (relation.clone(), as_they_are(rows))).collect();
        let expected = self.compute(&self.engine, stage, &tables).await;
        let mut reports = Vec::new();
        for (seed, threads, batch_rows) in SHUFFLES {
            let mut random = Random::new(seed);
            let tables = inputs.iter().map(|(r, rows)| (r.clone(), permuted(rows, &mut random))).collect();
            let found = self.compute(&engine(&self.lake, threads, batch_rows), stage, &tables).await;
            reports.extend(differences(&stage.name, seed, &expected, &found));
        }
        (expected, reports)
    }

    /// The sorted rows of a stage, or its model as one row, over the tables given.
    async fn compute(&self, engine: &Engine, stage: &Stage, tables: &Tables) -> Vec<String> {
        let provide = |relation: &Relation| Ok(tables[relation].clone());
        let plan = self.project.plan(engine.state(), &stage.name, &self.params, &provide).unwrap();
        let Kind::Model { trainer, .. } = &stage.kind else { return sorted_rows(engine, &plan).await };
        let columns: Vec<String> = stage.schema.fields().iter().map(|field| field.name().clone()).collect();
        let trained = trainer.train(&columns, || engine.stream(&plan), None).await.unwrap();
        let model = trained.model.to_array_of_size(1).unwrap();
        shown_rows(&RecordBatch::try_from_iter([("model", model)]).unwrap())
    }
}

/// The rows of each stored input.
type Inputs = BTreeMap<Relation, RecordBatch>;

/// Where a plan reads each stored input.
type Tables = BTreeMap<Relation, Arc<dyn TableProvider>>;

fn engine(lake: &Lake, threads: usize, batch_rows: usize) -> Engine {
    let options = EngineOptions {
        threads,
        batch_rows,
        memory_bytes: 1 << 30,
        pseudonyms: pseudonym_keys(),
        ..EngineOptions::default()
    };
    Engine::local(lake, options).unwrap()
}

/// The rows in their order, in one batch.
fn as_they_are(rows: &RecordBatch) -> Arc<dyn TableProvider> {
    Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows.clone()]]).unwrap())
}

/// The rows shuffled, cut into batches of odd sizes and dealt to five partitions, of which some may stay empty.
fn permuted(rows: &RecordBatch, random: &mut Random) -> Arc<dyn TableProvider> {
    let rows = shuffled(rows, random);
    let mut partitions = vec![Vec::new(); 5];
    let mut at = 0;
    while at < rows.num_rows() {
        let size = (1 + random.below(rows.num_rows() / 7 + 1)).min(rows.num_rows() - at);
        partitions[random.below(5)].push(rows.slice(at, size));
        at += size;
    }
    Arc::new(MemTable::try_new(rows.schema(), partitions).unwrap())
}

async fn sorted_rows(engine: &Engine, plan: &LogicalPlan) -> Vec<String> {
    let batches = engine.collect(plan).await.unwrap();
    let mut rows: Vec<String> = batches.iter().flat_map(shown_rows).collect();
    rows.sort();
    rows
}

/// Every row as text; two values with the same text are the same to the bit.
fn shown_rows(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::new().with_display_error(false).with_null("NULL");
    let schema = batch.schema();
    let columns: Vec<_> =
        batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
    let value =
        |row: usize, column: usize| format!("{}={}", schema.field(column).name(), columns[column].value(row));
    let row = |row: usize| (0..columns.len()).map(|column| value(row, column)).collect::<Vec<_>>().join(", ");
    (0..batch.num_rows()).map(row).collect()
}

/// What differs between two sorted lists of rows: the stage, how many rows, and the first of them.
fn differences(stage: &str, seed: u64, expected: &[String], found: &[String]) -> Option<String> {
    let (mut missing, mut extra) = (Vec::new(), Vec::new());
    let (mut left, mut right) = (expected, found);
    loop {
        let order = match (left.first(), right.first()) {
            (Some(l), Some(r)) => l.cmp(r),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => break,
        };
        if order.is_lt() {
            missing.push(format!("  only in order  {}", left[0]));
        }
        if order.is_gt() {
            extra.push(format!("  only shuffled  {}", right[0]));
        }
        left = &left[usize::from(order.is_le())..];
        right = &right[usize::from(order.is_ge())..];
    }
    if missing.is_empty() && extra.is_empty() {
        return None;
    }
    let mut said = vec![format!(
        "stage {stage}, shuffled with seed {seed}: {} of {} rows missing, {} extra",
        missing.len(),
        expected.len(),
        extra.len()
    )];
    said.extend(missing.into_iter().take(ROWS_SHOWN).chain(extra.into_iter().take(ROWS_SHOWN)));
    Some(said.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_stage_depends_on_the_order_of_its_input() {
    let finished = Finished::new().await;
    let mut reports = Vec::new();
    for stage in &finished.project.stages {
        let name = &stage.name;
        let inputs = finished.inputs(stage).await;
        for (relation, rows) in &inputs {
            // all ids stay the same in the world of this test
            let aliases = Relation::Carried("segments.person_aliases".into());
            let may_be_empty = *relation == aliases
                || matches!(
                    relation,
                    Relation::Quarantine(_) | Relation::Former(_) | Relation::Redelivered(_)
                );
            assert!(rows.num_rows() > 1 || may_be_empty, "stage {name}: {relation:?} has no rows to permute");
        }
        let (expected, differences) = finished.shuffle_inputs(stage, &inputs).await;
        if let (Kind::Select, Some(run)) = (&stage.kind, finished.run.stages.get(name)) {
            assert_eq!(
                expected.len() as u64,
                run.rows + run.quarantined,
                "stage {name}: not the rows of the run"
            );
        }
        reports.extend(differences);
    }
    assert!(reports.is_empty(), "the order of rows matters:\n{}", reports.join("\n"));
}

/// Raw rows come with contradicting copies, and the columns of stage results hold few different values: which row
/// wins must follow from its values alone, however many others are like it.
#[tokio::test(flavor = "multi_thread")]
async fn ties_are_broken_by_value() {
    let finished = Finished::new().await;
    let project = &finished.project;
    let (mut reports, mut empty) = (Vec::new(), Vec::new());
    for stage in &project.stages {
        let mut inputs = finished.inputs(stage).await;
        let mut random = Random::new(3);
        for (relation, rows) in &mut inputs {
            match relation {
                Relation::Source(name) => *rows = with_copies(rows, &project.sources[name], &mut random),
                Relation::Stage(name) | Relation::Carried(name) => {
                    *rows = with_ties(rows, project.stage(name).unwrap(), &mut random);
                }
                Relation::Redelivered(_)
                | Relation::Quarantine(_)
                | Relation::Former(_)
                | Relation::Previous(_) => {}
            }
        }
        let (expected, differences) = finished.shuffle_inputs(stage, &inputs).await;
        if expected.is_empty() {
            empty.push(stage.name.as_str());
        }
        reports.extend(differences);
    }
    // few words are all frequent; what few rows hold may be less than a preference, a combination, a contrast or a way
    // from segment to segment needs
    let may_be_empty = [
        "identity.rare_words",
        "features.preferences",
        "segments.segment_migration",
        "portraits.segment_combinations",
        "portraits.segment_contrasts",
    ];
    assert!(empty.iter().all(|stage| may_be_empty.contains(stage)), "other stages keep rows: {empty:?}");
    assert!(reports.is_empty(), "the order of equal rows matters:\n{}", reports.join("\n"));
}

/// Adds a copy of a tenth of the rows, with the same keys and times and the other values of another row.
fn with_copies(rows: &RecordBatch, source: &Source, random: &mut Random) -> RecordBatch {
    let times = source.day.iter().chain(&source.event_time).chain(&source.ingested_at);
    let kept: BTreeSet<&String> = source.keys.iter().chain(times).collect();
    let (own, other) = (picks(rows, rows.num_rows() / 10, random), picks(rows, rows.num_rows() / 10, random));
    let pick = |column: &str, values: &ArrayRef| {
        let row = if kept.contains(&column.to_string()) { &own } else { &other };
        take(values, row, None).unwrap()
    };
    concat_batches(&rows.schema(), [rows, &map_columns(rows, pick)]).unwrap()
}

/// Gives each column outside the grain the values of a few rows only.
fn with_ties(rows: &RecordBatch, stage: &Stage, random: &mut Random) -> RecordBatch {
    let kept: BTreeSet<&String> = stage.grain.iter().chain(&stage.day).collect();
    if rows.num_rows() == 0 {
        return rows.clone();
    }
    let few = picks(rows, 5, random);
    map_columns(rows, |column, values| {
        if kept.contains(&column.to_string()) {
            return values.clone();
        }
        let of_few =
            UInt64Array::from_iter_values((0..rows.num_rows()).map(|_| random.below(few.len()) as u64));
        take(&take(values, &few, None).unwrap(), &of_few, None).unwrap()
    })
}

/// So many row numbers, each any of the rows.
fn picks(rows: &RecordBatch, count: usize, random: &mut Random) -> UInt64Array {
    UInt64Array::from_iter_values((0..count).map(|_| random.below(rows.num_rows()) as u64))
}

fn map_columns(rows: &RecordBatch, mut map: impl FnMut(&str, &ArrayRef) -> ArrayRef) -> RecordBatch {
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns()).map(|(field, values)| map(field.name(), values));
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}

#[tokio::test]
async fn an_order_that_matters_is_reported_with_stage_and_row() {
    let lake = Lake::open("memory://").unwrap();
    let engine = engine(&lake, 2, 8192);
    let ids: Vec<i64> = (0..100).collect();
    let days: Vec<i64> = ids.iter().map(|id| id % 10).collect();
    let column = |values: &[i64]| Arc::new(arrow::array::Int64Array::from(values.to_vec())) as ArrayRef;
    let rows = RecordBatch::try_from_iter([("id", column(&ids)), ("day", column(&days))]).unwrap();
    let sql = "select id, row_number() over (order by day) as place from raw.visits";
    let sql = StageSql::parse("staging/visits.sql", sql).unwrap();
    let compute = async |table| {
        let names = PlanNames::new(engine.state(), [("raw.visits".to_string(), table)]);
        sorted_rows(&engine, &plan_select(&sql, &names, &Params::new()).unwrap()).await
    };
    let expected = compute(as_they_are(&rows)).await;
    assert_eq!(differences("staging.visits", 1, &expected, &compute(as_they_are(&rows)).await), None);
    let found = compute(permuted(&rows, &mut Random::new(1))).await;
    let report = differences("staging.visits", 1, &expected, &found).expect("ties go by input order");
    assert!(report.starts_with("stage staging.visits, shuffled with seed 1: "), "{report}");
    let missing = expected.iter().find(|row| !found.contains(row)).unwrap();
    assert!(report.contains(&format!("\n  only in order  {missing}\n")), "{report}");
}
