//! Raw tables under a declared contract: one DDL file each.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::config::CsvOptions;
use datafusion::sql::parser::{CreateExternalTable, DFParserBuilder, Statement};
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::dialect::GenericDialect;

use super::diagnostic::{Diagnostic, Place, nearest};
use super::header::Header;
use super::plan::PlanNames;
use super::sql::{lower_first, name_text, parser_message};
use crate::Result;

/// Header keys of a raw file.
const KEYS: &[&str] = &["grain", "event_time", "ingested_at", "clock", "may_be_empty", "why"];

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
    /// When the row became known; rows at or after `as_of` are not read.
    pub ingested_at: Option<String>,
    pub clock: bool,
    pub may_be_empty: bool,
    /// Declared absent by the project: a typed empty table.
    pub absent: bool,
}

impl Source {
    /// Parses one raw DDL file.
    pub fn parse(file: &str, text: &str, stem: &str, names: &PlanNames<'_>) -> Result<Source> {
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
        let source = Source {
            name,
            file: file.to_string(),
            format: format_of(&ddl)
                .map_err(|(wrong, message, help)| refuse(Place::find(text, &wrong), message, &help))?,
            location: ddl.locations.first().map(|l| l.trim_matches('/').to_string()).unwrap_or_default(),
            day,
            keys: header.list("grain"),
            event_time: header.get("event_time").map(str::to_string),
            ingested_at: header.get("ingested_at").map(str::to_string),
            clock: flag(&header, "clock", file, text)?,
            may_be_empty: flag(&header, "may_be_empty", file, text)?,
            absent: false,
            schema,
            header,
        };
        source.check_columns(text)?;
        Ok(source)
    }

    fn check_columns(&self, text: &str) -> Result<()> {
        let named = [("event_time", &self.event_time), ("ingested_at", &self.ingested_at)];
        let time_columns = named.iter().filter_map(|(key, column)| column.as_ref().map(|c| (*key, c)));
        let key_columns = self.keys.iter().map(|column| ("grain", column));
        for (key, column) in time_columns.clone().chain(key_columns) {
            if self.schema.field_with_name(column).is_err() {
                let message = format!("`{key}` names column `{column}`, which the table does not declare");
                let columns: Vec<&str> =
                    self.schema.fields().iter().map(|field| field.name().as_str()).collect();
                let help = match nearest(column, columns.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("columns: {}", columns.join(", ")),
                };
                return Err(Diagnostic::new(&self.file, text, self.header.place(key), message, help).into());
            }
        }
        if self.clock && self.event_time.is_none() {
            let (message, help) =
                ("a clock needs to know when things happened", "add a line `-- event_time: COLUMN`");
            return Err(Diagnostic::new(&self.file, text, self.header.place("clock"), message, help).into());
        }
        for (key, column) in time_columns {
            let is_time = self
                .schema
                .field_with_name(column)
                .is_ok_and(|field| matches!(field.data_type(), DataType::Timestamp(_, _)));
            if !is_time {
                let message = format!("`{key}` names column `{column}`, which is no TIMESTAMP");
                let help = "declare it as TIMESTAMP(6)";
                return Err(Diagnostic::new(&self.file, text, self.header.place(key), message, help).into());
            }
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
