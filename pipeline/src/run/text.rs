//! Text files against their contract: encoding and column names when they are found, and the value that cannot be read
//! when a scan has failed.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format as TextFormat;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::config::CsvOptions;

use crate::project::Source;
use crate::{Error, Result};

/// Checks encoding and column names, and tells whether the file holds any record.
///
/// # Errors
/// [`Error::Contract`] names the file, the line or column, and the remedy.
pub fn check(source: &Source, relative: &str, options: &CsvOptions, bytes: &[u8]) -> Result<bool> {
    if let Err(error) = std::str::from_utf8(bytes) {
        let line = bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        return Err(Error::Contract(format!(
            "source `{}`: file {relative}, line {line}: the text is not UTF-8 (byte {})\nhelp: convert the file to UTF-8",
            source.name,
            error.valid_up_to()
        )));
    }
    let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    if has_header(options) && lines.next().is_some() {
        check_names(source, relative, options, bytes)?;
    }
    Ok(lines.next().is_some())
}

/// The line of names must tell the declared columns in their order. A table of one column holds whole lines, whatever
/// stands above them.
fn check_names(source: &Source, relative: &str, options: &CsvOptions, bytes: &[u8]) -> Result<()> {
    let declared = source.file_schema();
    let broken = |error: &dyn std::fmt::Display| unreadable(source, relative, error);
    let (found, _) = format(options).infer_schema(bytes, Some(0)).map_err(|error| broken(&error))?;
    let found: Vec<&str> =
        found.fields().iter().map(|field| field.name().trim_start_matches('\u{feff}')).collect();
    let same = |name: &str, field: &Field| plain(name) == plain(field.name());
    let refuse = |what: String, help: &str| {
        let (columns, file) = (found.join(", "), &source.file);
        let message = format!("source `{}`: file {relative} {what}; it has {columns}", source.name);
        Err(Error::Contract(format!("{message}\nhelp: {help}, or change the contract in {file}")))
    };
    if declared.fields().len() == 1 {
        return Ok(());
    }
    if let Some(missing) = declared.fields().iter().find(|field| !found.iter().any(|name| same(name, field)))
    {
        return refuse(format!("lacks column `{}`", missing.name()), "deliver the column");
    }
    if let Some(extra) = found.iter().find(|name| !declared.fields().iter().any(|field| same(name, field))) {
        return refuse(format!("has column `{extra}`, which is not declared"), "leave the column out");
    }
    let in_order = found.iter().zip(declared.fields()).all(|(name, field)| same(name, field));
    if found.len() != declared.fields().len() || !in_order {
        let order: Vec<&str> = declared.fields().iter().map(|field| field.name().as_str()).collect();
        return refuse(
            format!("has its columns not in the order {}", order.join(", ")),
            "deliver that order",
        );
    }
    Ok(())
}

/// Names are compared without case, spaces and signs: `Customer ID` is `customer_id`.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Looks for the first value of the file that is not of its column's declared type.
///
/// # Errors
/// [`Error::Contract`] names the file, the line, the column, the value and the remedy.
pub fn find_unreadable(source: &Source, relative: &str, options: &CsvOptions, bytes: &[u8]) -> Result<()> {
    let declared = source.file_schema();
    let texts: Vec<Field> =
        declared.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true)).collect();
    let mut line = 1 + usize::from(has_header(options));
    for batch in read(Arc::new(Schema::new(texts)), options, bytes)? {
        let batch = batch.map_err(|error| unreadable(source, relative, &error))?;
        check_values(source, relative, &declared, &batch, line)?;
        line += batch.num_rows();
    }
    for batch in read(declared, options, bytes)? {
        batch.map_err(|error| unreadable(source, relative, &error))?;
    }
    Ok(())
}

/// `first`: line number of the batch's first record, lines inside quotes not counted.
fn check_values(
    source: &Source,
    relative: &str,
    declared: &SchemaRef,
    batch: &RecordBatch,
    first: usize,
) -> Result<()> {
    for (field, texts) in declared.fields().iter().zip(batch.columns()) {
        let Ok(values) = cast(texts, field.data_type()) else { continue };
        let texts = texts.as_string::<i32>();
        let row = (0..texts.len())
            .find(|&row| texts.is_valid(row) && !texts.value(row).is_empty() && values.is_null(row));
        if let Some(row) = row {
            return Err(Error::Contract(format!(
                "source `{}`: file {relative}, line {}, column `{}`: `{}` is no {}\nhelp: deliver the declared type, or \
                 declare the column as VARCHAR in {} and read it in staging",
                source.name,
                first + row,
                field.name(),
                texts.value(row),
                field.data_type(),
                source.file
            )));
        }
    }
    Ok(())
}

fn read<'a>(
    schema: SchemaRef,
    options: &CsvOptions,
    bytes: &'a [u8],
) -> Result<impl Iterator<Item = std::result::Result<RecordBatch, arrow::error::ArrowError>> + 'a> {
    let builder = ReaderBuilder::new(schema).with_format(format(options));
    builder.build(bytes).map_err(|error| Error::other(format!("cannot read text: {error}")))
}

fn unreadable(source: &Source, relative: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Contract(format!(
        "source `{}`: file {relative} cannot be read: {error}\nhelp: every line needs the columns that {} declares, with \
         quotes around a value that holds the delimiter",
        source.name, source.file
    ))
}

fn has_header(options: &CsvOptions) -> bool {
    options.has_header.unwrap_or(true)
}

fn format(options: &CsvOptions) -> TextFormat {
    let mut format = TextFormat::default()
        .with_header(has_header(options))
        .with_delimiter(options.delimiter)
        .with_quote(options.quote)
        .with_truncated_rows(options.truncated_rows.unwrap_or(false));
    if let Some(escape) = options.escape {
        format = format.with_escape(escape);
    }
    if let Some(terminator) = options.terminator {
        format = format.with_terminator(terminator);
    }
    if let Some(comment) = options.comment {
        format = format.with_comment(comment);
    }
    format
}
