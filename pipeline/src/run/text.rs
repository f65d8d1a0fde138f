//! Text files against their contract: encoding and column names when they are found, and the value that cannot be read
//! when a scan has failed.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::{Decoder, Format as TextFormat};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use bytes::{Buf, Bytes};
use datafusion::config::CsvOptions;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};

use crate::lake::Lake;
use crate::project::Source;
use crate::{Context, Error, Result};

/// Bytes and ends of values that the parser gives at once.
const PARSED_BYTES: usize = 16 * 1024;
const PARSED_ENDS: usize = 256;

/// The longest line of names that is looked at.
const HEADER_BYTES: usize = 1 << 20;

/// What a scan found in a text file that keeps its contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextFacts {
    /// Whether it holds any record beside the line of names.
    pub holds_rows: bool,
    /// The first record, counted from 1 with the line of names, that holds a line break inside quotes.
    pub line_break_in: Option<u64>,
}

/// Reads a text file piece by piece, with the parser that the engine reads it with.
pub struct TextScan {
    parser: csv_core::Reader,
    has_header: bool,
    /// Where the engine splits files: the end of a line.
    line_end: u8,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Values of the first record, one after the other, and the end of each.
    header: Vec<u8>,
    header_ends: Vec<usize>,
    records: u64,
    line_break_in: Option<u64>,
    encoding: Encoding,
}

impl TextScan {
    pub fn new(options: &CsvOptions) -> TextScan {
        let mut parser = csv_core::ReaderBuilder::new();
        parser.delimiter(options.delimiter).quote(options.quote);
        parser.escape(options.escape).comment(options.comment);
        if let Some(terminator) = options.terminator {
            parser.terminator(csv_core::Terminator::Any(terminator));
        }
        TextScan {
            parser: parser.build(),
            has_header: has_header(options),
            line_end: options.terminator.unwrap_or(b'\n'),
            bytes: vec![0; PARSED_BYTES],
            ends: vec![0; PARSED_ENDS],
            header: Vec::new(),
            header_ends: Vec::new(),
            records: 0,
            line_break_in: None,
            encoding: Encoding::default(),
        }
    }

    /// Takes the next bytes of the file.
    pub fn take(&mut self, mut piece: &[u8]) {
        self.encoding.take(piece);
        while !piece.is_empty() {
            let (_, read) = self.parse(piece);
            piece = &piece[read..];
        }
    }

    /// One step of the parser: whether a record ended, and how many bytes were read.
    fn parse(&mut self, piece: &[u8]) -> (bool, usize) {
        let (result, read, bytes, ends) = self.parser.read_record(piece, &mut self.bytes, &mut self.ends);
        // outside quotes the end of a line is part of no value
        if self.line_break_in.is_none() && self.bytes[..bytes].contains(&self.line_end) {
            self.line_break_in = Some(self.records + 1);
        }
        if self.records == 0 && self.header.len() < HEADER_BYTES {
            self.header.extend(&self.bytes[..bytes]);
            self.header_ends.extend(&self.ends[..ends]);
        }
        let ended = result == csv_core::ReadRecordResult::Record;
        self.records += u64::from(ended);
        (ended, read)
    }

    /// Ends the scan: holds what was read against the contract.
    ///
    /// # Errors
    /// [`Error::Contract`] names the file, the line or column, and the remedy.
    pub fn finish(mut self, source: &Source, relative: &str, options: &CsvOptions) -> Result<TextFacts> {
        while self.parse(&[]).0 {}
        if let Some((line, byte)) = self.encoding.finish() {
            return Err(Error::Contract(format!(
                "source `{}`: file {relative}, line {line}: the text is not UTF-8 (byte {byte})\nhelp: convert the file \
                 to UTF-8",
                source.name,
            )));
        }
        if self.has_header && self.records > 0 {
            check_names(source, relative, &self.names())?;
        }
        if let (Some(false), Some(record)) = (options.newlines_in_values, self.line_break_in) {
            return Err(Error::Contract(format!(
                "source `{}`: file {relative}, record {record} holds a line break inside quotes, and the contract says \
                 that no value does\nhelp: take `format.newlines_in_values` out of {}, or deliver values without line breaks",
                source.name, source.file
            )));
        }
        Ok(TextFacts {
            holds_rows: self.records > u64::from(self.has_header),
            line_break_in: self.line_break_in,
        })
    }

    fn names(&self) -> Vec<String> {
        let starts = std::iter::once(&0).chain(&self.header_ends);
        let value = |(start, end): (&usize, &usize)| self.header.get(*start..*end).unwrap_or_default();
        let values = starts.zip(&self.header_ends).map(value);
        values
            .map(|value| String::from_utf8_lossy(value).trim_start_matches('\u{feff}').to_string())
            .collect()
    }
}

/// Whether pieces are UTF-8, though characters may lie over their borders.
#[derive(Default)]
struct Encoding {
    /// The first bytes of a character of which the rest is to come.
    begun: Vec<u8>,
    /// Bytes and line ends before these.
    bytes: u64,
    lines: u64,
    /// Line and byte of the first that is not UTF-8.
    wrong: Option<(u64, u64)>,
}

impl Encoding {
    fn take(&mut self, mut piece: &[u8]) {
        while let (false, [next, rest @ ..]) = (self.begun.is_empty(), piece) {
            self.begun.push(*next);
            piece = rest;
            match std::str::from_utf8(&self.begun) {
                Ok(_) => {
                    self.bytes += self.begun.len() as u64;
                    self.begun.clear();
                }
                Err(error) if error.error_len().is_some() => return self.refuse(),
                Err(_) => {}
            }
        }
        if self.wrong.is_some() {
            return;
        }
        let (valid, rest) = match std::str::from_utf8(piece) {
            Ok(_) => (piece, None),
            Err(error) => {
                let (valid, rest) = piece.split_at(error.valid_up_to());
                (valid, Some((rest, error.error_len().is_some())))
            }
        };
        self.bytes += valid.len() as u64;
        self.lines += valid.iter().filter(|byte| **byte == b'\n').count() as u64;
        match rest {
            Some((_, true)) => self.refuse(),
            Some((begun, false)) => self.begun = begun.to_vec(),
            None => {}
        }
    }

    fn refuse(&mut self) {
        self.begun.clear();
        self.wrong = self.wrong.or(Some((self.lines + 1, self.bytes)));
    }

    /// Line and byte of the first character that is not UTF-8, if there is one.
    fn finish(&mut self) -> Option<(u64, u64)> {
        if !self.begun.is_empty() {
            self.refuse();
        }
        self.wrong
    }
}

/// The line of names must tell the declared columns in their order. A table of one column holds whole lines, whatever
/// stands above them.
fn check_names(source: &Source, relative: &str, found: &[String]) -> Result<()> {
    let declared = source.file_schema();
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
pub async fn find_unreadable(
    lake: &Lake,
    source: &Source,
    relative: &str,
    options: &CsvOptions,
) -> Result<()> {
    let declared = source.file_schema();
    let texts: Vec<Field> =
        declared.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true)).collect();
    let mut line = 1 + usize::from(has_header(options));
    let broken = |error: ArrowError| unreadable(source, relative, &error);
    let mut records = Records::open(lake, relative, Arc::new(Schema::new(texts)), options).await?;
    while let Some(batch) = records.next().await?.transpose().map_err(broken)? {
        check_values(source, relative, &declared, &batch, line)?;
        line += batch.num_rows();
    }
    let mut records = Records::open(lake, relative, declared, options).await?;
    while records.next().await?.transpose().map_err(broken)?.is_some() {}
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

/// The records of a text file, decoded as it is read.
struct Records {
    pieces: BoxStream<'static, object_store::Result<Bytes>>,
    decoder: Decoder,
    piece: Bytes,
    ended: bool,
}

impl Records {
    async fn open(lake: &Lake, relative: &str, schema: SchemaRef, options: &CsvOptions) -> Result<Records> {
        let found = lake.store().get(&lake.path(relative)).await;
        let pieces = found.context(format!("reading {relative}"))?.into_stream();
        let decoder = ReaderBuilder::new(schema).with_format(format(options)).build_decoder();
        Ok(Records { pieces, decoder, piece: Bytes::new(), ended: false })
    }

    /// The next batch; the inner error is that of a record that cannot be decoded.
    async fn next(&mut self) -> Result<Option<std::result::Result<RecordBatch, ArrowError>>> {
        while !self.ended && self.decoder.capacity() > 0 {
            // an empty piece would tell the decoder that the file ends
            while self.piece.is_empty() && !self.ended {
                let next = self.pieces.try_next().await.context("reading a text file")?;
                self.ended = next.is_none();
                self.piece = next.unwrap_or_default();
            }
            match self.decoder.decode(&self.piece) {
                Ok(read) => self.piece.advance(read),
                Err(error) => return Ok(Some(Err(error))),
            }
        }
        Ok(self.decoder.flush().transpose())
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::planning_state;
    use crate::project::{Format, PlanNames};

    /// A source of two text columns with these options.
    fn source(options: &str) -> (Source, CsvOptions) {
        let ddl = format!(
            "-- Notes.\ncreate external table raw.notes (id varchar, note varchar)\nstored as csv\n\
             location 'raw/notes/'\n{options}\n"
        );
        let state = planning_state().unwrap();
        let source = Source::parse(
            "raw/notes.sql",
            &ddl,
            "notes",
            &PlanNames::new(&state, []),
            (chrono_tz::UTC, &Default::default()),
        )
        .unwrap();
        let Format::Csv(options) = source.format.clone() else { panic!("not CSV") };
        (source, *options)
    }

    /// What a scan finds in the pieces between these places.
    fn scan(options: &str, bytes: &[u8], cuts: &[usize]) -> Result<TextFacts> {
        let (source, options) = source(options);
        let mut scan = TextScan::new(&options);
        let ends = cuts.iter().copied().chain([bytes.len()]);
        for (start, end) in std::iter::once(0).chain(cuts.iter().copied()).zip(ends) {
            scan.take(&bytes[start..end]);
        }
        scan.finish(&source, "raw/notes/a.csv", &options)
    }

    #[test]
    fn line_breaks_inside_quotes_are_found_however_the_file_comes() {
        let bare = "options ('format.has_header' 'false')";
        let escape = "options ('format.escape' '\\')";
        let comment = "options ('format.comment' '#')";
        let semicolon = "options ('format.quote' '''', 'format.delimiter' ';')";
        let ends = "options ('format.terminator' '|')";
        let cases: &[(&str, &str, bool, Option<u64>)] = &[
            ("", "", false, None),
            ("", "id,note\n", false, None),
            ("", "id,note", false, None),
            ("", "id,note\n\n\r\n", false, None),
            ("", "id,note\n1,a\n", true, None),
            ("", "id,note\r\n1,\"a\"\r\n", true, None),
            ("", "id,note\n1,\"a\nb\"\n", true, Some(2)),
            ("", "id,note\n1,a\n2,\"\r\n\"", true, Some(3)),
            ("", "id,\"note\n\"\n1,a\n", true, Some(1)),
            ("", "id,note\n1,\"a\"\"b\"\n2,c\n", true, None),
            ("", "id,note\n1,\"a\"\"\nb\"\n", true, Some(2)),
            // a quote within a value opens nothing, and one that nobody closes goes on to the end
            ("", "id,note\n1,5\" pipe\n2,6\" pipe\n", true, None),
            ("", "id,note\n1,\"a\n2,b\n", true, Some(2)),
            (bare, "1,a\n", true, None),
            (bare, "1,\"\n\"\n", true, Some(1)),
            (escape, "id,note\n1,\"a\\\"\nb\"\n", true, Some(2)),
            (escape, "id,note\n1,\"a\\\\\"\n2,b\n", true, None),
            (comment, "# \"\nid,note\n# it's \"quoted\n1,a\n", true, None),
            (comment, "id,note\n# only this\n", false, None),
            (semicolon, "id;note\n1;'a\nb'\n2;\"c\n", true, Some(2)),
            (semicolon, "id;note\n1;\"a\n2;b\"\n", true, None),
            (ends, "id,note|1,a\nb|2,\"c\nd\"|", true, None),
            (ends, "id,note|1,a|2,\"c|d\"|", true, Some(3)),
        ];
        for (options, text, holds_rows, line_break_in) in cases {
            let expected = TextFacts { holds_rows: *holds_rows, line_break_in: *line_break_in };
            let all: Vec<usize> = (1..text.len()).collect();
            let cuts = (0..=text.len()).map(|cut| vec![cut]).chain([vec![], all]);
            for cuts in cuts {
                let found = scan(options, text.as_bytes(), &cuts).unwrap();
                assert_eq!(found, expected, "{text:?} with {options} cut at {cuts:?}");
            }
        }
    }

    #[test]
    fn a_contract_without_line_breaks_refuses_one_with_its_record() {
        let said = |value: &str| {
            let options = format!("options ('format.newlines_in_values' '{value}')");
            scan(&options, b"id,note\n1,a\n2,\"b\nc\"\n", &[]).map_err(|error| error.to_string())
        };
        assert!(said("true").is_ok());
        let refused = said("false").unwrap_err();
        for word in ["raw/notes/a.csv", "record 3", "`format.newlines_in_values`", "raw/notes.sql"] {
            assert!(refused.contains(word), "no `{word}` in {refused}");
        }
    }

    #[test]
    fn the_first_byte_that_is_not_utf8_is_named_with_its_line_however_the_file_comes() {
        let good = "id,note\n1,é漢🦀\n2,z\n".as_bytes();
        let with = |at: usize, byte: u8| {
            let mut bytes = good.to_vec();
            bytes[at] = byte;
            bytes
        };
        // cut within a character, by a byte that goes on with none, by an end in the middle, by one that is never valid
        let cases = [
            (good.to_vec(), None),
            (with(11, b'x'), Some("line 2: the text is not UTF-8 (byte 10)")),
            (with(8, 0xa9), Some("line 2: the text is not UTF-8 (byte 8)")),
            (with(20, 0xe9), Some("line 3: the text is not UTF-8 (byte 20)")),
            (with(0, 0xff), Some("line 1: the text is not UTF-8 (byte 0)")),
            (good[..14].to_vec(), Some("line 2: the text is not UTF-8 (byte 12)")),
        ];
        for (bytes, expected) in cases {
            for cuts in (0..=bytes.len()).map(|cut| vec![cut]).chain([(1..bytes.len()).collect()]) {
                let found = scan("", &bytes, &cuts).map_err(|error| error.to_string());
                match expected {
                    None => assert!(found.is_ok(), "{found:?} cut at {cuts:?}"),
                    Some(words) => {
                        let said = found.unwrap_err();
                        assert!(said.contains(words), "no `{words}` cut at {cuts:?} in {said}");
                    }
                }
            }
        }
    }
}
