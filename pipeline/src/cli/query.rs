//! `strata sql`: queries over what the last run published.

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use clap::ValueEnum;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use strata_udfs::text::PseudonymKeys;

use super::print::print_query;
use super::secrets::PseudonymArgs;
use super::{LakeArgs, MachineArgs};
use crate::engine::EngineOptions;
use crate::project::{read_text, without_mark};
use crate::query::Reader;
use crate::{Context, Error, Result};

#[derive(Debug, clap::Args)]
pub struct SqlArgs {
    /// The query, or a file that holds it; `-` reads standard input. Without it a shell opens on a terminal.
    query: Option<String>,
    #[command(flatten)]
    lake: LakeArgs,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    pseudonyms: PseudonymArgs,
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    format: OutputFormat,
    /// Write to this file instead of standard output.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    Table,
    Csv,
    /// One object a line.
    Json,
    Parquet,
}

pub async fn sql(args: SqlArgs) -> Result<()> {
    let lake = args.lake.connect().await?;
    let pseudonyms = PseudonymKeys::of(args.pseudonyms.key()?);
    let reader = Reader::open(&lake, EngineOptions { pseudonyms, ..args.machine.options()? }).await?;
    let query = match &args.query {
        None if std::io::stdin().is_terminal() => return super::shell::shell(&reader).await,
        None => read_input()?,
        Some(dash) if dash == "-" => read_input()?,
        Some(path) if Path::new(path).is_file() => read_text(Path::new(path))?,
        Some(path) if is_path(path) => {
            return Err(Error::Usage(format!(
                "there is no file {path}\nhelp: give a query, or a file that holds one"
            )));
        }
        Some(query) => query.clone(),
    };
    match &args.out {
        Some(path) => {
            // a query that is wrong leaves the file as it was
            let rows = reader.query(&query).await?;
            let file = std::fs::File::create(path);
            let mut file =
                file.map_err(|error| Error::Usage(format!("--out {}: {error}", path.display())))?;
            write_rows(rows, args.format, &mut file).await
        }
        None => print_query(&reader, &query, args.format).await,
    }
}

/// Whether what was given in place of a query can only mean a file.
fn is_path(text: &str) -> bool {
    let text = text.to_lowercase();
    let first = text.split_whitespace().next().unwrap_or_default();
    text.ends_with(".sql")
        && !["select", "with", "from", "show", "describe", "explain", "values", "table"].contains(&first)
}

fn read_input() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
    Ok(without_mark(text))
}

/// Writes the rows of a query.
pub async fn write_rows(
    mut stream: SendableRecordBatchStream,
    format: OutputFormat,
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let schema = stream.schema();
    let next = |batch: Option<datafusion::error::Result<RecordBatch>>| -> Result<Option<RecordBatch>> {
        batch.transpose().map_err(|error| Error::Usage(error.strip_backtrace()))
    };
    match format {
        OutputFormat::Table => {
            let mut batches = vec![RecordBatch::new_empty(schema)];
            while let Some(batch) = next(stream.next().await)? {
                batches.push(batch);
            }
            let table = arrow::util::pretty::pretty_format_batches(&batches).context("cannot show rows")?;
            writeln!(out, "{table}").context("cannot write")?;
        }
        OutputFormat::Csv => {
            let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(out);
            let mut batch = Some(RecordBatch::new_empty(schema));
            while let Some(rows) = batch {
                writer.write(&flat(&rows).context("cannot write CSV")?).context("cannot write CSV")?;
                batch = next(stream.next().await)?;
            }
        }
        OutputFormat::Json => {
            let mut writer = arrow::json::LineDelimitedWriter::new(out);
            while let Some(batch) = next(stream.next().await)? {
                writer.write(&batch).context("cannot write JSON")?;
            }
            writer.finish().context("cannot write JSON")?;
        }
        OutputFormat::Parquet => {
            let mut writer =
                parquet::arrow::ArrowWriter::try_new(out, schema, None).context("cannot write Parquet")?;
            while let Some(batch) = next(stream.next().await)? {
                writer.write(&batch).context("cannot write Parquet")?;
            }
            writer.close().context("cannot write Parquet")?;
        }
    }
    Ok(())
}

/// The rows with lists and structs as text, in the form in which tables show them: CSV has no nested values.
fn flat(rows: &RecordBatch) -> std::result::Result<RecordBatch, ArrowError> {
    let shown = |column: &ArrayRef| -> std::result::Result<ArrayRef, ArrowError> {
        if !column.data_type().is_nested() {
            return Ok(column.clone());
        }
        let format = FormatOptions::default();
        let formatter = ArrayFormatter::try_new(column, &format)?;
        let text =
            (0..column.len()).map(|row| column.is_valid(row).then(|| formatter.value(row).to_string()));
        Ok(Arc::new(text.collect::<StringArray>()))
    };
    let columns = rows.columns().iter().map(shown).collect::<std::result::Result<Vec<_>, _>>()?;
    let schema = rows.schema();
    let named = schema.fields().iter().zip(&columns);
    let fields = named.map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true));
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns)
}
