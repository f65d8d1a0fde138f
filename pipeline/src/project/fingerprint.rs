//! Fingerprints: a hash of all that a result depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::config::{ConfigField, CsvOptions, Visit};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::scalar::ScalarValue;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Format, Kind, Project, Relation, Revisions, Source, Stage, StageSql};

/// The hash of what a result depends on: 32 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Fingerprint {
    /// Hashes parts in order; each part's length is hashed with it.
    pub fn of<T: AsRef<str>>(parts: impl IntoIterator<Item = T>) -> Fingerprint {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.as_ref().len() as u64).to_le_bytes());
            hasher.update(part.as_ref().as_bytes());
        }
        let digest = hasher.finalize();
        Fingerprint(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What something is made of: the value or hash of each ingredient, by name. A name is a kind and what it is
/// about, as in `function to_money` or `setting large`; `run/why.rs` says what each kind means.
pub type Ingredients = BTreeMap<String, String>;

impl Fingerprint {
    /// Of named ingredients.
    pub fn of_ingredients(ingredients: &Ingredients) -> Fingerprint {
        Fingerprint::of(ingredients.iter().flat_map(|(name, value)| [name, value]))
    }
}

impl Project {
    /// All that decides a stage's result but its inputs' rows and the values of its parameters: its own SQL
    /// and header and those of the views it inlines, contracts of the sources it reads, and the revisions of
    /// what computes it.
    pub fn definition(&self, name: &str) -> Ingredients {
        let Some(stage) = self.stage(name) else { return Ingredients::new() };
        let mut made_of = self.own_definition(stage);
        let mut used = self.uses(name);
        for relation in self.stored_inputs(name) {
            if let Relation::Source(source) | Relation::Redelivered(source) = relation
                && let Some(source) = self.sources.get(&source)
            {
                made_of.insert(format!("contract {}", source.name), source.contract().0);
                source.known_by().for_each(|moment| used.add_all(&moment.instant));
            }
        }
        let Revisions { functions, trainers: _, engine, sink, time_zones } = &self.revisions;
        for function in &used.functions {
            if let Some(revision) = functions.get(function) {
                made_of.insert(format!("function {function}"), revision.clone());
            }
        }
        if used.time_zones || self.params_used(name).contains("time_zone") {
            made_of.insert("time zones".into(), time_zones.clone());
        }
        made_of.insert("engine".into(), engine.clone());
        made_of.insert("sink".into(), sink.clone());
        made_of
    }

    /// What a model must not outlive: its own SQL with that of the views it inlines, its header, its
    /// trainer's revision and the settings it names. What else its training rows were made by may change: a
    /// model that is kept is kept.
    pub fn model_definition(&self, name: &str) -> Ingredients {
        let Some(stage) = self.stage(name) else { return Ingredients::new() };
        let mut made_of = self.own_definition(stage);
        for param in self.params_used(name) {
            if let Some(value) = self.settings.get(&param) {
                made_of.insert(format!("setting {param}"), value_text(value));
            }
        }
        made_of
    }

    fn own_definition(&self, stage: &Stage) -> Ingredients {
        let mut made_of = stage.header_ingredients();
        made_of.insert("sql".into(), self.sql_fingerprint(&stage.name, &stage.sql));
        for view in self.inlined_views(&stage.name).iter().filter_map(|view| self.stage(view)) {
            // a view is its SELECT: it has no result of its own that its header could shape
            made_of.insert(format!("view {}", view.name), self.sql_fingerprint(&view.name, &view.sql));
        }
        if let Kind::Model { trainer, .. } = &stage.kind {
            let kind = trainer.kind();
            made_of.insert(
                format!("trainer {kind}"),
                self.revisions.trainers.get(kind).cloned().unwrap_or_default(),
            );
        }
        made_of
    }

    /// Hash of a SELECT, and of what the names in it stand for.
    fn sql_fingerprint(&self, name: &str, sql: &StageSql) -> String {
        let names = self.inputs(name).iter().map(|(used, relation)| format!("{used} {relation:?}"));
        Fingerprint::of(std::iter::once(sql.canonical()).chain(names)).0
    }

    /// What a stage's plan calls, that of the views it inlines included.
    fn uses(&self, name: &str) -> Uses {
        let mut all = Uses::default();
        for name in std::iter::once(name.to_string()).chain(self.inlined_views(name)) {
            if let Some(Uses { functions, time_zones }) = self.uses.get(&name) {
                all.functions.extend(functions.iter().cloned());
                all.time_zones |= time_zones;
            }
        }
        all
    }
}

/// The value of a parameter: two values of one text are the same.
pub fn value_text(value: &ScalarValue) -> String {
    match value {
        ScalarValue::Utf8(Some(text)) => format!("{text:?}"),
        ScalarValue::Float64(Some(number)) => format!("{number:?}"),
        ScalarValue::Int64(Some(_)) | ScalarValue::Boolean(Some(_)) => value.to_string(),
        nested => exact_hash(nested).map_or_else(|_| format!("{nested:?}"), |hash| hash.0),
    }
}

/// Hash of a nested value by its row format, which tells NULL from nothing.
fn exact_hash(value: &ScalarValue) -> datafusion::error::Result<Fingerprint> {
    let converter = RowConverter::new(vec![SortField::new(value.data_type())])?;
    let rows = converter.convert_columns(&[value.to_array()?])?;
    let digest = Sha256::digest(rows.row(0).as_ref());
    Ok(Fingerprint::of(digest.iter().map(|byte| format!("{byte:02x}"))))
}

impl Stage {
    /// What the header decides, a key an ingredient; keys that are not given or do not apply are left out.
    fn header_ingredients(&self) -> Ingredients {
        // every field is named here, so that a new one cannot be forgotten
        let Stage {
            name: _,   // results lie below it
            layer: _,  // part of the name
            stem: _,   // part of the name
            header: _, // every key that decides anything is a field; tags come as `$tags`; the rest describes
            sql: _,    // an ingredient of its own
            store,
            kind,
            publish,
            grain,
            sorted,
            day,
            by_day,
            quarantine,
            accounts,
            weight,
            partition_by,
            schema: _, // follows from the SQL and the inputs, and `columns` must agree with it
        } = self;
        let kind = match kind {
            Kind::Select => None,
            // when it is trained anew does not change what training gives: `run/plan.rs` decides it
            Kind::Model { trainer, refit: _ } => Some(trainer.describe()),
            Kind::Fixpoint { start, max_rounds } => Some(format!("fixpoint {start} {max_rounds}")),
        };
        let list = |columns: &[String]| (!columns.is_empty()).then(|| columns.join(", "));
        let given = [
            ("store", Some(format!("{store:?}"))),
            ("kind", kind),
            ("publish", publish.map(|publish| format!("{publish:?}"))),
            ("grain", list(grain)),
            ("sorted", sorted.then(|| "yes".into())),
            ("day", day.clone()),
            ("by_day", by_day.then(|| "yes".into())),
            ("quarantine", quarantine.clone()),
            ("accounts", accounts.clone()),
            ("weight", weight.clone()),
            ("partition_by", list(partition_by)),
        ];
        given.into_iter().filter_map(|(key, value)| Some((format!("header {key}"), value?))).collect()
    }
}

impl Source {
    /// Hash of the contract.
    fn contract(&self) -> Fingerprint {
        // every field is named here, so that a new one cannot be forgotten
        let Source {
            name,
            file: _,   // where the contract is written
            header: _, // every key that decides anything is a field; the rest describes
            schema,
            format,
            location,
            day,
            keys,
            event_time,
            ingested_at,
            redelivered_within,
            happened,     // `event_time`, planned
            became_known, // `ingested_at`, planned
            time_zone,
            clock: _, // only says which day is `latest`, and results depend on the instant that is meant
            may_be_empty,
            absent,
        } = self;
        // instants need no zone, days do
        let by_date = happened.iter().chain(became_known).any(|moment| moment.day_only);
        let zone = (day.is_some() || by_date).then_some(time_zone);
        let columns = schema.fields().iter().map(|field| format!("{} {:?}", field.name(), field.data_type()));
        let texts = [
            name.clone(),
            location.clone(),
            format!("{day:?} {keys:?} {event_time:?} {ingested_at:?} {may_be_empty} {absent}"),
            format!("{redelivered_within:?} {zone:?}"),
        ];
        let options = match format {
            Format::Parquet => vec!["parquet".to_string()],
            Format::Csv(options) => csv_entries(options),
        };
        Fingerprint::of(texts.into_iter().chain(columns).chain(options))
    }
}

/// All options of a CSV source as DataFusion lists them.
fn csv_entries(options: &CsvOptions) -> Vec<String> {
    struct Entries(Vec<String>);
    impl Visit for Entries {
        fn some<V: fmt::Display>(&mut self, key: &str, value: V, _: &'static str) {
            self.0.push(format!("{key} = {value}"));
        }

        fn none(&mut self, key: &str, _: &'static str) {
            self.0.push(key.to_string());
        }
    }
    let mut entries = Entries(Vec::new());
    options.visit(&mut entries, "csv", "");
    entries.0
}

/// What a plan calls.
#[derive(Debug, Clone, Default)]
pub(super) struct Uses {
    /// All functions, by name.
    functions: BTreeSet<String>,
    /// Whether it asks what the clocks of a time zone showed.
    time_zones: bool,
}

/// Functions of the engine that know time zones beyond those of types.
const OF_TIME_ZONES: &[&str] = &["arrow_cast", "arrow_try_cast", "to_local_time"];

impl Uses {
    /// What is called anywhere in a plan, subqueries included.
    pub(super) fn of(plan: &LogicalPlan) -> Uses {
        let mut uses = Uses::default();
        // no visit fails
        let _ = plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expression| {
                uses.add_all(expression);
                Ok(TreeNodeRecursion::Continue)
            })
        });
        uses
    }

    /// What an expression calls, its parts included.
    fn add_all(&mut self, expression: &Expr) {
        // no visit fails
        let _ = expression.apply(|part| {
            self.add(part);
            Ok(TreeNodeRecursion::Continue)
        });
        let knows_zones = |function: &String| {
            strata_udfs::data_packages(function).contains(&"chrono-tz")
                || OF_TIME_ZONES.contains(&function.as_str())
        };
        self.time_zones |= self.functions.iter().any(knows_zones);
    }

    fn add(&mut self, expression: &Expr) {
        let zoned = |data_type: &DataType| matches!(data_type, DataType::Timestamp(_, Some(_)));
        match expression {
            Expr::ScalarFunction(function) => {
                self.functions.insert(function.name().to_string());
            }
            Expr::AggregateFunction(function) => {
                self.functions.insert(function.func.name().to_string());
            }
            Expr::WindowFunction(function) => {
                self.functions.insert(function.fun.name().to_string());
            }
            Expr::Cast(cast) => self.time_zones |= zoned(cast.field.data_type()),
            Expr::TryCast(cast) => self.time_zones |= zoned(cast.field.data_type()),
            _ => {}
        }
    }
}
