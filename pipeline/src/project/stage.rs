//! One stage: a SELECT, how its result is kept, and what its header promises.

use arrow::datatypes::SchemaRef;

use super::diagnostic::{Place, nearest};
use super::header::Header;
use super::sql::StageSql;
use crate::trainer::Trainer;
use crate::{Error, Result};

/// The layers, in the order in which data passes through them.
pub const LAYERS: &[&str] =
    &["raw", "staging", "identity", "facts", "features", "tags", "models", "segments", "portraits"];

/// The layers whose stages are published.
pub const PUBLISHED_LAYERS: &[&str] = &["segments", "portraits"];

/// Published tables that are no stage's.
const TAKEN: &[&str] = &["runs", "current_runs"];

/// The kinds of model stages.
pub(super) const TRAINERS: &[&str] = &["kmeans", "hdbscan", "factors", "reference", "linkage"];

/// Header keys that any stage may have.
const KEYS: &[&str] = &[
    "grain",
    "store",
    "kind",
    "why",
    "day",
    "quarantine",
    "accounts",
    "weight",
    "publish",
    "partition_by",
    "sorted",
    "columns",
    "start",
    "max_rounds",
    "refit",
    "tag_*",
];

/// How a stage's result is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Inlined into its readers.
    View,
    /// One result.
    Table,
    /// One result a day, computed only for new or changed days.
    Daily,
}

/// When a model stage is trained anew although an earlier run left a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refit {
    Never,
    /// When the population has moved away from the one it was trained on.
    Drifted,
    Always,
}

/// What a stage does with its SELECT.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Its rows are the result.
    Select,
    /// Its rows train a model, which is the typed parameter `$stem`.
    Model { trainer: Box<Trainer>, refit: Refit },
    /// It reads its previous round as `$previous`, from `start` on, until no row changes.
    Fixpoint { start: String, max_rounds: u32 },
}

/// How a published stage replaces what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    /// The rows of this run's `as_of`.
    AsOf,
    /// The whole table.
    All,
}

/// One stage of a project.
#[derive(Debug, Clone)]
pub struct Stage {
    /// `layer.stem`.
    pub name: String,
    pub layer: String,
    pub stem: String,
    pub header: Header,
    pub sql: StageSql,
    pub store: Store,
    pub kind: Kind,
    pub publish: Option<Publish>,
    /// Columns that identify a row.
    pub grain: Vec<String>,
    /// Whether rows are kept in the order of the grain. What is published is, so that the same rows are the same bytes, and
    /// other tables are unless they say `sorted: no`, since customers that lie together are joined and grouped faster.
    pub sorted: bool,
    /// The DATE column of a daily stage.
    pub day: Option<String>,
    /// Whether its inputs really come by day; a daily stage over whole tables is kept whole.
    pub by_day: bool,
    /// The column that names the rule a row breaks; such rows go to quarantine.
    pub quarantine: Option<String>,
    /// The source whose every row must be found in the result or the quarantine.
    pub accounts: Option<String>,
    /// The column that says how many source rows a row stands for.
    pub weight: Option<String>,
    /// Columns that partition a published table, after `as_of`.
    pub partition_by: Vec<String>,
    /// Columns and types of the result; set when the project is loaded.
    pub schema: SchemaRef,
}

impl Refit {
    /// The word for it in headers.
    pub fn word(self) -> &'static str {
        match self {
            Refit::Never => "never",
            Refit::Drifted => "drifted",
            Refit::Always => "always",
        }
    }
}

impl Stage {
    /// Reads one stage file; its schema and `by_day` follow when its inputs are known.
    pub fn parse(file: &str, text: &str, layer: &str, stem: &str) -> Result<Stage> {
        let header = Header::parse(file, text)?;
        let sql = StageSql::parse(file, text)?;
        let kind = parse_kind(&header, &sql)?;
        if !matches!(kind, Kind::Model { .. }) {
            header.refuse_unknown(file, text, KEYS)?;
        }
        let store = parse_store(&header, &sql)?;
        let kept = store != Store::View && !matches!(kind, Kind::Model { .. });
        header.require(file, text, if kept { &["store", "grain"] } else { &[] })?;
        header.require(file, text, if store == Store::Daily { &["day"] } else { &[] })?;
        header.require(file, text, if header.get("accounts").is_some() { &["quarantine"] } else { &[] })?;
        let publish = parse_publish(&header, &sql, layer, stem, store)?;
        Ok(Stage {
            name: format!("{layer}.{stem}"),
            layer: layer.to_string(),
            stem: stem.to_string(),
            store,
            kind,
            publish,
            grain: header.list("grain"),
            sorted: parse_sorted(&header, &sql, publish, store)?,
            day: (store == Store::Daily).then(|| header.get("day").unwrap_or_default().to_string()),
            by_day: false,
            quarantine: header.get("quarantine").map(str::to_string),
            accounts: header.get("accounts").map(str::to_string),
            weight: header.get("weight").map(str::to_string),
            partition_by: header.list("partition_by"),
            schema: arrow::datatypes::Schema::empty().into(),
            header,
            sql,
        })
    }

    /// Whether its header says which columns it has. A published table that what leads to it reads, as earlier runs left
    /// it, must say so, since they cannot be derived before they are known.
    pub fn declares_columns(&self) -> bool {
        self.header.get("columns").is_some()
    }

    /// Whether this stage trains a model.
    pub fn is_model(&self) -> bool {
        matches!(self.kind, Kind::Model { .. })
    }

    /// The relation that holds this stage's rejected rows.
    pub fn quarantine_relation(&self) -> Option<String> {
        self.quarantine.as_ref().map(|_| format!("quarantine.{}", self.stem))
    }
}

fn parse_store(header: &Header, sql: &StageSql) -> Result<Store> {
    match header.get("store") {
        Some("view") => Ok(Store::View),
        Some("table") | None => Ok(Store::Table),
        Some("daily") => Ok(Store::Daily),
        Some(other) => {
            let place = header.place("store");
            Err(sql.refuse(place, format!("unknown store `{other}`"), "use view, table or daily").into())
        }
    }
}

fn parse_sorted(header: &Header, sql: &StageSql, publish: Option<Publish>, store: Store) -> Result<bool> {
    match (header.get("sorted"), publish, store) {
        (None, Some(_), _) | (None, None, Store::Table) => Ok(true),
        (None, None, Store::Daily | Store::View) | (Some("no"), None, Store::Table) => Ok(false),
        (Some(given), ..) => {
            let message = format!("this stage cannot be `sorted: {given}`");
            let help = "`sorted: no` is for tables that are not published; remove the line";
            Err(sql.refuse(header.place("sorted"), message, help).into())
        }
    }
}

fn parse_kind(header: &Header, sql: &StageSql) -> Result<Kind> {
    match header.get("kind") {
        None => Ok(Kind::Select),
        Some("fixpoint") => {
            header.require(&sql.file, &sql.text, &["start", "max_rounds"])?;
            let max_rounds = header.get("max_rounds").and_then(|v| v.parse().ok()).filter(|n| *n > 0);
            let max_rounds = max_rounds.ok_or_else(|| {
                sql.refuse(
                    header.place("max_rounds"),
                    "max_rounds is no positive number",
                    "give a whole number",
                )
            })?;
            Ok(Kind::Fixpoint { start: header.get("start").unwrap_or_default().to_string(), max_rounds })
        }
        Some(kind) => {
            let mut keys = header.values();
            keys.retain(|key, _| !KEYS.contains(&key.as_str()));
            let trainer =
                Trainer::from_header(kind, &keys).map_err(|error| refuse_kind(header, sql, kind, &error))?;
            let refit = match header.get("refit") {
                None => trainer.usual_refit(),
                Some("never") => Refit::Never,
                Some("drifted") if trainer.drifts() => Refit::Drifted,
                Some("always") => Refit::Always,
                Some(other) => {
                    let message = format!("a {kind} stage cannot use `refit: {other}`");
                    let help =
                        if trainer.drifts() { "use never, drifted or always" } else { "use never or always" };
                    return Err(sql.refuse(header.place("refit"), message, help).into());
                }
            };
            Ok(Kind::Model { trainer: Box::new(trainer), refit })
        }
    }
}

/// A trainer's complaint, which reads "header `key: value`: remedy", at the line of that key.
fn refuse_kind(header: &Header, sql: &StageSql, kind: &str, error: &Error) -> Error {
    if !TRAINERS.contains(&kind) {
        let help = match nearest(kind, TRAINERS.iter().copied().chain(["fixpoint"])) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                format!("use {} or fixpoint; without `kind` the rows are the result", TRAINERS.join(", "))
            }
        };
        return sql.refuse(header.place("kind"), format!("unknown kind `{kind}`"), help).into();
    }
    let said = error.to_string();
    let Some((line, remedy)) = said.strip_prefix("header `").and_then(|rest| rest.split_once("`: ")) else {
        return sql
            .refuse(header.place("kind"), "the header does not say all the trainer needs", said)
            .into();
    };
    let key = line.split(':').next().unwrap_or_default();
    sql.refuse(header.place(key), format!("a {kind} stage cannot use `{line}`"), remedy).into()
}

fn parse_publish(
    header: &Header,
    sql: &StageSql,
    layer: &str,
    stem: &str,
    store: Store,
) -> Result<Option<Publish>> {
    let published = PUBLISHED_LAYERS.contains(&layer);
    match (published && store != Store::View, header.get("publish")) {
        (true, _) if TAKEN.contains(&stem) => {
            let message = format!("`{stem}` is the name of a table that every run publishes itself");
            Err(sql.refuse(Place::code(&sql.text), message, "rename the file").into())
        }
        (true, None | Some("as_of")) => Ok(Some(Publish::AsOf)),
        (true, Some("all")) => Ok(Some(Publish::All)),
        (true, Some("none")) => Ok(None),
        (true, Some(other)) => {
            let message = format!("unknown publish `{other}`");
            Err(sql.refuse(header.place("publish"), message, "use as_of, all or none").into())
        }
        (false, Some(_)) => {
            let help =
                format!("move the file to one of the published layers: {}", PUBLISHED_LAYERS.join(", "));
            Err(sql.refuse(header.place("publish"), "this stage is not published", help).into())
        }
        (false, None) => Ok(None),
    }
}

/// What offending rows of an audit lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is published.
    Error,
    /// The run shows them and goes on.
    Warning,
}

/// An audit: a SELECT of offending rows.
#[derive(Debug, Clone)]
pub struct Audit {
    pub name: String,
    pub severity: Severity,
    pub header: Header,
    pub sql: StageSql,
}

impl Audit {
    /// Reads one audit file.
    pub fn parse(file: &str, text: &str, stem: &str) -> Result<Audit> {
        let header = Header::parse(file, text)?;
        header.refuse_unknown(file, text, &["why", "severity"])?;
        header.require(file, text, &[])?;
        let sql = StageSql::parse(file, text)?;
        if sql.relations.is_empty() {
            return Err(sql.refuse(Place::TOP, "the audit reads no relation", "select from a stage").into());
        }
        let severity = match header.get("severity") {
            None | Some("error") => Severity::Error,
            Some("warning") => Severity::Warning,
            Some(other) => {
                let message = format!("unknown severity `{other}`");
                return Err(sql.refuse(header.place("severity"), message, "use error or warning").into());
            }
        };
        Ok(Audit { name: stem.to_string(), severity, header, sql })
    }
}
