//! Raw tables under a declared contract: one DDL file each.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono_tz::Tz;
use datafusion::common::DFSchema;
use datafusion::config::CsvOptions;
use datafusion::sql::parser::{CreateExternalTable, DFParserBuilder, Statement};
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::dialect::GenericDialect;

use super::diagnostic::{Diagnostic, Place, nearest};
use super::header::Header;
use super::moment::{Moment, WrongMoment};
use super::plan::{Params, PlanNames};
use super::sql::{lower_first, name_text, parser_message};
use crate::{Context, Result};

/// Header keys of a raw file.
const KEYS: &[&str] =
    &["grain", "event_time", "ingested_at", "redelivered_within", "clock", "may_be_empty", "why"];

/// The column of `redelivered.NAME` that says which day is told of a row.
pub const FOR_DAY: &str = "for_day";

/// What to declare columns as.
pub(super) const TYPES: &str =
    "types are varchar, int, bigint, double, decimal(18, 2), boolean, date, timestamp(6) and the like";

/// How the files of a source are written.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    Parquet,
    Csv(Box<CsvOptions>),
}

/// A source's contract.
#[derive(Debug, Clone)]
pub struct Source {
    /// `raw.NAME`.
    pub name: String,
    pub file: String,
    pub header: Header,
    /// All columns, the day partition column last.
    pub schema: SchemaRef,
    pub format: Format,
    /// Lake-relative folder or file; a folder's hive partitions are `column=value`.
    pub location: String,
    /// The DATE column by which folders partition the files.
    pub day: Option<String>,
    /// The columns that must not be NULL in every row of the source.
    pub keys: Vec<String>,
    /// When the row's event happened; the newest such day of all clock sources is `latest`.
    pub event_time: Option<String>,
    /// When the row became known; NULL or no column: when it happened. Rows known at or after `as_of` are not read.
    pub ingested_at: Option<String>,
    /// Days within which the key identifies a row across days: a row of another day with the same key is the same
    /// thing delivered again. `None` for a key that identifies rows of one day only.
    pub redelivered_within: Option<i32>,
    /// `event_time`, planned.
    pub happened: Option<Moment>,
    /// `ingested_at`, planned.
    pub became_known: Option<Moment>,
    /// The project's time zone, in which folders' days are days.
    pub time_zone: Tz,
    pub clock: bool,
    pub may_be_empty: bool,
    /// Declared absent by the project: a typed empty table.
    pub absent: bool,
}

impl Source {
    /// Parses one raw DDL file, whose header may name `settings`.
    pub fn parse(
        file: &str,
        text: &str,
        stem: &str,
        names: &PlanNames<'_>,
        (time_zone, settings): (Tz, &Params),
    ) -> Result<Source> {
        let header = Header::parse(file, text)?;
        header.require(file, text, &[])?;
        header.refuse_unknown(file, text, KEYS)?;
        let refuse = |place, message: String, help: &str| Diagnostic::new(file, text, place, message, help);
        let ddl = parse_ddl(file, text)?;
        let name = name_text(&ddl.name);
        if name != format!("raw.{stem}") {
            let message = format!("the file declares `{name}`");
            let help = format!("a raw file is named after its table: declare `raw.{stem}`");
            return Err(refuse(Place::find(text, &name), message, &help).into());
        }
        let planner = SqlToRel::new_with_options(names, parser_options());
        let declared = planner.build_schema(ddl.columns.clone()).map_err(|error| {
            let said = error.strip_backtrace();
            let wrong = said.rsplit(' ').next().unwrap_or_default();
            let place = Place::find_word(text, wrong).unwrap_or(Place::find(text, &name));
            refuse(place, format!("`{wrong}` is no SQL type"), TYPES)
        })?;
        for (index, field) in declared.fields().iter().enumerate() {
            if declared.fields().iter().take(index).any(|other| other.name() == field.name()) {
                let message = format!("column `{}` is declared twice", field.name());
                let place = Place::find_word(text, field.name()).unwrap_or(Place::TOP);
                return Err(refuse(place, message, "keep one of the two").into());
            }
        }
        let day = match ddl.table_partition_cols.as_slice() {
            [] => None,
            [day] => Some(day.to_lowercase()),
            [_, second, ..] => {
                let message = "a source is partitioned by one DATE column at most".to_string();
                return Err(refuse(Place::find(text, second), message, "declare one partition column").into());
            }
        };
        let schema = order_columns(&declared, day.as_deref());
        let mut source = Source {
            name,
            file: file.to_string(),
            format: format_of(&ddl)
                .map_err(|(wrong, message, help)| refuse(Place::find(text, &wrong), message, &help))?,
            location: ddl.locations.first().map(|l| l.trim_matches('/').to_string()).unwrap_or_default(),
            day,
            keys: header.list("grain"),
            event_time: header.get("event_time").map(str::to_string),
            ingested_at: header.get("ingested_at").map(str::to_string),
            redelivered_within: days_of(&header, "redelivered_within", file, text, settings)?,
            happened: None,
            became_known: None,
            time_zone,
            clock: flag(&header, "clock", file, text)?,
            may_be_empty: flag(&header, "may_be_empty", file, text)?,
            absent: false,
            schema,
            header,
        };
        source.happened = source.moment("event_time", text, names)?;
        source.became_known = source.moment("ingested_at", text, names)?;
        source.check_columns(text)?;
        Ok(source)
    }

    /// What the header says of when a row happened or became known.
    fn moment(&self, key: &str, text: &str, names: &PlanNames<'_>) -> Result<Option<Moment>> {
        let Some(said) = self.header.get(key) else { return Ok(None) };
        if said.chars().all(|c| c.is_alphanumeric() || c == '_') {
            self.check_column(key, said, text)?;
        }
        let schema = DFSchema::try_from(self.schema.clone()).context("cannot read a contract's columns")?;
        let (message, help) = match Moment::parse(said, &schema, names, self.time_zone) {
            Ok(moment) => return Ok(Some(moment)),
            Err(WrongMoment::NoTime) => (
                format!("`{key}` is `{said}`, which is no TIMESTAMP and no DATE"),
                "declare the column as TIMESTAMP(6) or DATE, or make one of it, as by `parse_date(COLUMN)`",
            ),
            Err(WrongMoment::Refused(why)) => (
                format!("`{key}` is `{said}`: {}", lower_first(&why)),
                "name a column, or write an expression of the row's own columns",
            ),
        };
        Err(Diagnostic::new(&self.file, text, self.header.place(key), message, help).into())
    }

    /// Refuses a column that the table does not declare.
    fn check_column(&self, key: &str, column: &str, text: &str) -> Result<()> {
        if self.schema.field_with_name(column).is_ok() {
            return Ok(());
        }
        let message = format!("`{key}` names column `{column}`, which the table does not declare");
        let columns: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let help = match nearest(column, columns.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("columns: {}", columns.join(", ")),
        };
        Err(Diagnostic::new(&self.file, text, self.header.place(key), message, help).into())
    }

    fn check_columns(&self, text: &str) -> Result<()> {
        self.keys.iter().try_for_each(|key| self.check_column("grain", key, text))?;
        if self.clock && self.event_time.is_none() {
            let (message, help) =
                ("a clock needs to know when things happened", "add a line `-- event_time: COLUMN`");
            return Err(Diagnostic::new(&self.file, text, self.header.place("clock"), message, help).into());
        }
        if self.redelivered_within.is_some() && (self.day.is_none() || self.keys.is_empty()) {
            let message = "`redelivered_within` is for sources that come by day and have a key";
            let help = "declare `partitioned by (DAY)` and `grain`, or remove the line: rows without days are seen together";
            let place = self.header.place("redelivered_within");
            return Err(Diagnostic::new(&self.file, text, place, message, help).into());
        }
        if let Some(day) = &self.day
            && !self.schema.field_with_name(day).is_ok_and(|f| f.data_type() == &DataType::Date32)
        {
            let message = format!("partition column `{day}` is not declared as DATE");
            return Err(Diagnostic::new(
                &self.file,
                text,
                Place::find(text, day),
                message,
                "declare it as DATE in the column list",
            )
            .into());
        }
        Ok(())
    }

    /// The columns of `redelivered.NAME`: those of the source, and the day that is told of the row.
    pub fn redelivered_schema(&self) -> SchemaRef {
        let for_day = Arc::new(Field::new(FOR_DAY, DataType::Date32, true));
        Arc::new(Schema::new(self.schema.fields().iter().cloned().chain([for_day]).collect::<Vec<_>>()))
    }

    /// What says when a row became known: a row that lacks the first counts by the next, since what happens is known
    /// when it happens at the earliest.
    pub fn known_by(&self) -> impl DoubleEndedIterator<Item = &Moment> {
        self.became_known.iter().chain(&self.happened)
    }

    /// The columns that files hold: all but the day, which stands in the folder's name.
    pub fn file_schema(&self) -> SchemaRef {
        let stored = self.schema.fields().iter().filter(|f| Some(f.name()) != self.day.as_ref());
        Arc::new(Schema::new(stored.cloned().collect::<Vec<_>>()))
    }
}

/// The columns that a stage's header declares, as `name type, ..`; `None` when they are no declarations.
pub(super) fn columns_of(declared: &str, names: &PlanNames<'_>) -> Option<SchemaRef> {
    let ddl = format!("create external table declared ({declared}) stored as parquet location ''");
    let ddl = parse_ddl("", &ddl).ok()?;
    let schema = SqlToRel::new_with_options(names, parser_options()).build_schema(ddl.columns).ok()?;
    Some(order_columns(&schema, None))
}

/// The parser options of every SQL text of a project.
pub fn parser_options() -> ParserOptions {
    ParserOptions::new().with_map_string_types_to_utf8view(false).with_collect_spans(true)
}

fn parse_ddl(file: &str, text: &str) -> Result<CreateExternalTable> {
    let shape =
        "a raw file is one `CREATE EXTERNAL TABLE raw.NAME (...) STORED AS PARQUET LOCATION 'raw/NAME/'`";
    let parsed = DFParserBuilder::new(text)
        .with_dialect(&GenericDialect {})
        .build()
        .and_then(|mut parser| parser.parse_statements());
    match parsed.map(|mut statements| (statements.pop_front(), statements.pop_front())) {
        Ok((Some(Statement::CreateExternalTable(ddl)), None)) => Ok(ddl),
        Ok(_) => Err(Diagnostic::new(
            file,
            text,
            Place::code(text),
            "not one CREATE EXTERNAL TABLE statement",
            shape,
        )
        .into()),
        Err(error) => {
            let (message, place) = parser_message(&error.strip_backtrace());
            Err(Diagnostic::new(file, text, place.unwrap_or(Place::code(text)), message, shape).into())
        }
    }
}

/// Declared columns, all nullable (files may hold NULL anywhere: quarantine judges), the day column last.
fn order_columns(declared: &Schema, day: Option<&str>) -> SchemaRef {
    let (days, others): (Vec<_>, Vec<_>) =
        declared.fields().iter().partition(|field| Some(field.name().as_str()) == day);
    let fields: Vec<Field> =
        others.into_iter().chain(days).map(|f| Field::new(f.name(), f.data_type().clone(), true)).collect();
    Arc::new(Schema::new(fields))
}

/// A key that is a number of days, or a setting that is one.
fn days_of(header: &Header, key: &str, file: &str, text: &str, settings: &Params) -> Result<Option<i32>> {
    let Some(given) = header.get(key) else { return Ok(None) };
    let days = match given.strip_prefix('$') {
        Some(name) => settings.get(name).and_then(|value| value.to_string().parse::<i32>().ok()),
        None => given.parse::<i32>().ok(),
    };
    match days.filter(|days| *days > 0) {
        Some(days) => Ok(Some(days)),
        None => {
            let message = format!("`{key}` is `{given}`");
            let help = "give a whole number of days from 1 on, or a setting of project.toml that is one, as $look_back_days";
            Err(Diagnostic::new(file, text, header.place(key), message, help).into())
        }
    }
}

/// A key that is either true or not given.
fn flag(header: &Header, key: &str, file: &str, text: &str) -> Result<bool> {
    match header.get(key) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => {
            let message = format!("`{key}` is `{other}`");
            Err(Diagnostic::new(file, text, header.place(key), message, "write true or false").into())
        }
    }
}

/// The format, or what is wrong: the word, the message and the way out.
fn format_of(ddl: &CreateExternalTable) -> Result<Format, (String, String, String)> {
    let options = ddl.options.first().map(|(key, _)| key.clone());
    match (ddl.file_type.to_uppercase().as_str(), options) {
        ("PARQUET", None) => Ok(Format::Parquet),
        ("PARQUET", Some(option)) => Err((
            option,
            "a Parquet source takes no OPTIONS".into(),
            "remove them: Parquet files say all themselves".into(),
        )),
        ("CSV", _) => {
            let mut options = CsvOptions::default().with_has_header(true);
            for (key, value) in &ddl.options {
                let name = key.strip_prefix("format.").unwrap_or(key);
                let value = value.clone().into_string().unwrap_or_else(|| value.to_string());
                datafusion::config::ConfigField::set(&mut options, name, &value).map_err(|error| {
                    let said = error.strip_backtrace();
                    let said = said.trim_start_matches("Invalid or Unsupported Configuration: ");
                    let help = "options are those of DataFusion's CSV, as 'format.has_header' and 'format.delimiter'";
                    (key.clone(), lower_first(said), help.into())
                })?;
            }
            Ok(Format::Csv(Box::new(options)))
        }
        (other, _) => {
            let message = format!("format `{other}` cannot be read");
            Err((other.to_string(), message, "write STORED AS PARQUET or STORED AS CSV".into()))
        }
    }
}
