//! Raw files as they lie in the lake: found, identified, and held against their contract before a row is read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::statistics::Statistics;

use super::as_of::day_start;
use super::contents::{Content, FileRead, FileState, KnownFiles, states};
use super::listing::Listing;
use super::text::{self, TextScan};
use crate::lake::{Lake, read_footer, unescape};
use crate::project::{Fingerprint, Format, Source};
use crate::{Context, Error, Result};

/// Files that are read at the same time.
const READS_AT_ONCE: usize = 32;

/// A range of instants of which nothing is known.
const ANY_INSTANT: (i64, i64) = (i64::MIN, i64::MAX);

/// One raw file, what it holds and what its footer says.
#[derive(Debug, Clone)]
pub struct RawFile {
    pub path: Path,
    /// Path below the lake.
    pub relative: String,
    pub bytes: u64,
    /// Rows; unknown for text files.
    pub rows: Option<u64>,
    /// Relative path and hash of the content; on S3 the etag of a Parquet file stands for its content.
    pub identity: String,
    /// What the store said of the file when it was inspected.
    pub state: FileState,
    /// What was read of it; `None` where the etag stands in.
    pub content: Option<Content>,
    pub day: Option<NaiveDate>,
    /// When its first and its last row became known, µs since 1970 UTC; any instant where a file does not say. Rows of a
    /// source that never says became known on the day of their folder; `None` where there is none, and without rows.
    pub known: Option<(i64, i64)>,
    /// Smallest and largest `event_time`, where the file says.
    pub event: Option<(i64, i64)>,
    /// Columns with instants in seconds or milliseconds that are declared in microseconds, with their types in the file.
    pub coarse: BTreeMap<String, DataType>,
    /// Smallest and largest value of the first key column, where it is a whole number and the file says.
    pub first_key: Option<(i64, i64)>,
    /// NULLs in each key column, where the file says.
    null_keys: BTreeMap<String, u64>,
}

/// The files of one source.
#[derive(Debug, Clone, Default)]
pub struct SourceFiles {
    pub files: Vec<RawFile>,
    /// Files below the folder that are none of the source, in words.
    pub left_out: Option<String>,
}

impl SourceFiles {
    /// Finds the files of `source`, reads those that an earlier run did not read, and checks each against the contract.
    ///
    /// # Errors
    /// [`Error::Contract`] names the file, the column and the remedy.
    pub async fn inspect(lake: &Lake, source: &Source) -> Result<SourceFiles> {
        SourceFiles::inspect_at(lake, source, SystemTime::now()).await
    }

    /// The same, at an instant.
    pub(super) async fn inspect_at(lake: &Lake, source: &Source, now: SystemTime) -> Result<SourceFiles> {
        if source.absent {
            return Ok(SourceFiles::default());
        }
        let listing = Listing::of(lake, source).await?;
        let left_out = listing.left_out_text();
        let found = listing.files;
        let states = states(lake, &found).await?;
        // a text file is held against the contract when it is read, a Parquet file whenever it is met
        let contract = match &source.format {
            Format::Parquet => String::new(),
            Format::Csv(options) => {
                Fingerprint::of([format!("{options:?}"), format!("{:?}", source.schema)]).0
            }
        };
        let known = KnownFiles::load(lake, source, contract).await?;
        let mut files: Vec<RawFile> = futures::stream::iter(found.into_iter().zip(states))
            .map(|(meta, state)| inspect_file(lake, source, &known, meta, state))
            .buffer_unordered(READS_AT_ONCE)
            .try_collect()
            .await?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        check_empty(source, &files)?;
        check_keys(source, &files)?;
        let read =
            files.iter().filter_map(|file| Some((&*file.relative, &file.state, file.content.as_ref()?)));
        known.remember(lake, source, read, now).await?;
        Ok(SourceFiles { files, left_out })
    }

    /// How the files are to be read: whole where a value holds a line break, since an end of a line that lies within
    /// quotes ends no record.
    pub fn format(&self, source: &Source) -> Format {
        let Format::Csv(options) = &source.format else { return source.format.clone() };
        let mut options = options.clone();
        let text = |file: &RawFile| file.content.as_ref()?.text.as_ref()?.line_break_in;
        let breaks = self.files.iter().any(|file| text(file).is_some());
        // comments end with the line, whatever ends a record
        let comments = options.comment.is_some() && options.terminator.is_some_and(|end| end != b'\n');
        options.newlines_in_values = options.newlines_in_values.or(Some(breaks || comments));
        Format::Csv(options)
    }

    /// Total rows, where all files say.
    pub fn rows(&self) -> Option<u64> {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Without the files whose every row became known at `as_of` (µs) or later.
    pub fn known_at(&self, as_of: i64) -> SourceFiles {
        self.only(|file| file.known.is_none_or(|(first, _)| first < as_of))
    }

    /// Those files of which `wanted` is true.
    pub fn only(&self, wanted: impl Fn(&RawFile) -> bool) -> SourceFiles {
        let files = self.files.iter().filter(|file| wanted(file)).cloned().collect();
        SourceFiles { files, left_out: None }
    }

    /// The files of one day.
    pub fn of_day(&self, day: NaiveDate) -> SourceFiles {
        self.only(|file| file.day == Some(day))
    }

    /// Whether some row may have become known at `as_of` (µs) or later, so that rows must be filtered.
    pub fn is_cut_by(&self, as_of: i64) -> bool {
        self.files.iter().any(|file| file.known.is_some_and(|(_, last)| last >= as_of))
    }

    /// Hash of the files' identities.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.files.iter().map(|file| &file.identity))
    }
}

async fn inspect_file(
    lake: &Lake,
    source: &Source,
    known: &KnownFiles,
    meta: ObjectMeta,
    state: Option<FileState>,
) -> Result<RawFile> {
    let relative = lake.relative(&meta.location).unwrap_or(meta.location.as_ref()).to_string();
    let day = day_of(source, &relative)?;
    let state = state.ok_or_else(|| moving_file(source, &relative))?;
    let etag = state.etag().filter(|_| source.format == Format::Parquet && lake.has_etags_of_content());
    let (state, content) = match (etag, known.content(&relative, &state)) {
        (Some(_), _) => (state, None),
        (None, Some(content)) => (state.clone(), Some(content.clone())),
        (None, None) => {
            let (state, content) = read(lake, source, &relative, &meta.location).await?;
            (state, Some(content))
        }
    };
    let identity = match (&content, state.etag()) {
        (Some(content), _) => format!("{relative} {}", content.hash),
        (None, etag) => format!("{relative} etag {} of {} bytes", etag.unwrap_or_default(), state.bytes),
    };
    let file = RawFile {
        identity,
        path: meta.location,
        relative,
        bytes: state.bytes,
        rows: None,
        day,
        known: None,
        event: None,
        first_key: None,
        coarse: BTreeMap::new(),
        null_keys: BTreeMap::new(),
        state,
        content,
    };
    match &source.format {
        Format::Parquet => with_footer(lake, source, file).await,
        Format::Csv(_) => {
            let empty =
                file.content.iter().filter_map(|content| content.text.as_ref()).any(|text| !text.holds_rows);
            let known = match source.known_by().next() {
                Some(_) => (!empty).then_some(ANY_INSTANT),
                None => start_of(source, file.day),
            };
            Ok(RawFile { rows: empty.then_some(0), known, ..file })
        }
    }
}

/// Reads a file from beginning to end.
async fn read(lake: &Lake, source: &Source, relative: &str, path: &Path) -> Result<(FileState, Content)> {
    let scan = match &source.format {
        Format::Parquet => None,
        Format::Csv(options) => Some(TextScan::new(options)),
    };
    let read = FileRead::of(lake, path, scan).await?;
    let hash = read.hash();
    let state = read.state.ok_or_else(|| moving_file(source, relative))?;
    let text = match (read.text, &source.format) {
        (Some(scan), Format::Csv(options)) => Some(scan.finish(source, relative, options)?),
        _ => None,
    };
    Ok((state, Content { hash, text }))
}

/// The refusal of a file that is written or removed while it is looked at.
fn moving_file(source: &Source, relative: &str) -> Error {
    Error::Contract(format!(
        "source `{}`: file {relative} changes while it is read\nhelp: run again when its delivery is complete",
        source.name
    ))
}

/// The day that the folder names.
fn day_of(source: &Source, relative: &str) -> Result<Option<NaiveDate>> {
    let Some(column) = &source.day else { return Ok(None) };
    let folder = relative.split('/').find_map(|part| part.strip_prefix(column.as_str())?.strip_prefix('='));
    let day = folder.and_then(|value| unescape(value).parse().ok());
    day.map(Some).ok_or_else(|| {
        Error::Contract(format!(
            "source `{}`: file {relative} does not lie in a folder `{column}=YYYY-MM-DD`\nhelp: move it there (contract: {})",
            source.name, source.file
        ))
    })
}

/// The file with what its footer says, which is held against the contract.
async fn with_footer(lake: &Lake, source: &Source, file: RawFile) -> Result<RawFile> {
    let broken = |error: &dyn std::fmt::Display| {
        Error::Contract(format!(
            "source `{}`: file {} is no readable Parquet file: {error}\nhelp: it may be truncated; deliver it again",
            source.name, file.relative
        ))
    };
    let (_, metadata) =
        read_footer(lake.store().as_ref(), &file.path).await.map_err(|error| broken(&error))?;
    let metadata = ParquetMetaDataReader::decode_metadata(&metadata).map_err(|error| broken(&error))?;
    let metadata = Arc::new(metadata);
    let arrow = ArrowReaderMetadata::try_new(metadata.clone(), ArrowReaderOptions::new())
        .map_err(|error| broken(&error))?;
    check_columns(source, &file.relative, arrow.schema())?;
    let null_keys =
        source.keys.iter().filter_map(|key| Some((key.clone(), null_count(&metadata, key)?))).collect();
    Ok(RawFile {
        known: match source.known_by().next() {
            Some(_) => known_range(source, &metadata, arrow.schema()),
            None => start_of(source, file.day),
        },
        event: source
            .happened
            .as_ref()
            .and_then(|event| time_range(&metadata, arrow.schema(), event.column()?)),
        coarse: coarse_instants(source, arrow.schema()),
        first_key: source.keys.first().and_then(|key| whole_range(&metadata, source, key)),
        rows: Some(metadata.file_metadata().num_rows().max(0) as u64),
        null_keys,
        ..file
    })
}

fn check_columns(source: &Source, relative: &str, actual: &SchemaRef) -> Result<()> {
    for declared in source.file_schema().fields() {
        let name = declared.name();
        let Ok(found) = actual.field_with_name(name) else {
            let columns: Vec<&str> = actual.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(Error::Contract(format!(
                "source `{}`: file {relative} lacks column `{name}`; it has {}\nhelp: deliver the column, or change \
                 the contract in {}",
                source.name,
                columns.join(", "),
                source.file
            )));
        };
        if !is_compatible(declared, found) {
            return Err(Error::Contract(format!(
                "source `{}`: file {relative} has column `{name}` as {}, the contract says {}\nhelp: deliver the \
                 declared type, or change the contract in {}",
                source.name,
                found.data_type(),
                declared.data_type(),
                source.file
            )));
        }
    }
    Ok(())
}

/// Whether reading `found` as `declared` loses nothing.
fn is_compatible(declared: &Field, found: &Field) -> bool {
    use DataType::*;
    let found = match found.data_type() {
        Dictionary(_, value) => value,
        other => other,
    };
    match (declared.data_type(), found) {
        (declared, found) if declared == found => true,
        (Utf8, LargeUtf8 | Utf8View) => true,
        (Timestamp(TimeUnit::Microsecond, _), Timestamp(unit, zone)) => {
            let utc = zone.as_deref().is_none_or(|zone| matches!(zone, "UTC" | "+00:00" | "Z"));
            utc && *unit != TimeUnit::Nanosecond
        }
        (Int64, Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32) => true,
        (Int32, Int8 | Int16 | UInt8 | UInt16) => true,
        (Float64, Float32) => true,
        (Decimal128(p, s), Decimal128(q, t)) => s >= t && p - (*s as u8) >= q - (*t as u8),
        _ => false,
    }
}

/// The columns whose instants are stored in a coarser unit than the declared microseconds.
fn coarse_instants(source: &Source, actual: &SchemaRef) -> BTreeMap<String, DataType> {
    let file_schema = source.file_schema();
    let instants = file_schema
        .fields()
        .iter()
        .filter(|f| matches!(f.data_type(), DataType::Timestamp(TimeUnit::Microsecond, _)));
    let stored = |declared: &Arc<Field>| {
        let found = actual.field_with_name(declared.name()).ok()?.data_type();
        let coarse = matches!(found, DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, _));
        coarse.then(|| (declared.name().clone(), found.clone()))
    };
    instants.filter_map(stored).collect()
}

fn column_index(metadata: &ParquetMetaData, name: &str) -> Option<usize> {
    let schema = metadata.file_metadata().schema_descr();
    (0..schema.num_columns()).find(|i| schema.column(*i).path().string() == name)
}

/// The first instant of a folder's day, as a range.
fn start_of(source: &Source, day: Option<NaiveDate>) -> Option<(i64, i64)> {
    let start = day_start(day?, source.time_zone).timestamp_micros();
    Some((start, start))
}

/// When the first and the last row of a file became known; rows that never say count as always known.
fn known_range(source: &Source, metadata: &ParquetMetaData, schema: &SchemaRef) -> Option<(i64, i64)> {
    let rows = metadata.file_metadata().num_rows().max(0) as u64;
    if rows == 0 {
        return None;
    }
    let mut range: Option<(i64, i64)> = None;
    for known in source.known_by() {
        let Some(column) = known.column() else { return Some(ANY_INSTANT) };
        let nulls = null_count(metadata, column);
        match time_range(metadata, schema, column) {
            Some((low, high)) => range = Some(range.map_or((low, high), |(a, b)| (a.min(low), b.max(high)))),
            None if nulls == Some(rows) => {}
            None => return Some(ANY_INSTANT),
        }
        if nulls == Some(0) {
            return range;
        }
    }
    Some((i64::MIN, range.map_or(i64::MIN, |(_, last)| last)))
}

/// Smallest and largest value of a timestamp column in µs, rounded down.
fn time_range(metadata: &ParquetMetaData, schema: &SchemaRef, name: &str) -> Option<(i64, i64)> {
    let index = column_index(metadata, name)?;
    let DataType::Timestamp(unit, _) = schema.field_with_name(name).ok()?.data_type() else { return None };
    let micros = |value: i64| match unit {
        TimeUnit::Second => value.saturating_mul(1_000_000),
        TimeUnit::Millisecond => value.saturating_mul(1_000),
        TimeUnit::Microsecond => value,
        TimeUnit::Nanosecond => value.div_euclid(1_000),
    };
    let (low, high) = int64_range(metadata, index)?;
    Some((micros(low), micros(high)))
}

/// Smallest and largest value of a key that is declared and stored as BIGINT.
fn whole_range(metadata: &ParquetMetaData, source: &Source, name: &str) -> Option<(i64, i64)> {
    let declared = source.schema.field_with_name(name).ok()?;
    let index = column_index(metadata, name).filter(|_| declared.data_type() == &DataType::Int64)?;
    int64_range(metadata, index)
}

/// Smallest and largest value of a column that is stored as 64 bits.
fn int64_range(metadata: &ParquetMetaData, index: usize) -> Option<(i64, i64)> {
    let mut range: Option<(i64, i64)> = None;
    for group in metadata.row_groups().iter().filter(|group| group.num_rows() > 0) {
        let Some(Statistics::Int64(statistics)) = group.column(index).statistics() else { return None };
        let (low, high) = match (statistics.min_opt(), statistics.max_opt()) {
            (Some(low), Some(high)) => (*low, *high),
            _ if statistics.null_count_opt() == Some(group.num_rows() as u64) => continue,
            _ => return None,
        };
        range = Some(range.map_or((low, high), |(a, b)| (a.min(low), b.max(high))));
    }
    range
}

fn null_count(metadata: &ParquetMetaData, name: &str) -> Option<u64> {
    let index = column_index(metadata, name)?;
    metadata.row_groups().iter().map(|group| group.column(index).statistics()?.null_count_opt()).sum()
}

fn check_empty(source: &Source, files: &[RawFile]) -> Result<()> {
    let empty = files.iter().all(|file| file.rows == Some(0) || file.bytes == 0);
    if empty && !source.may_be_empty {
        return Err(Error::Contract(format!(
            "source `{}`: its {} file(s) hold no row\nhelp: deliver rows, say `-- may_be_empty: true` in {}, or list \
             the source under `absent` in project.toml",
            source.name,
            files.len(),
            source.file
        )));
    }
    Ok(())
}

fn check_keys(source: &Source, files: &[RawFile]) -> Result<()> {
    let rows: Option<u64> = files.iter().map(|file| file.rows).sum();
    for key in source.keys.iter().filter(|key| Some(*key) != source.day.as_ref()) {
        let nulls: Option<u64> = files.iter().map(|file| file.null_keys.get(key).copied()).sum();
        if rows.is_some_and(|rows| rows > 0) && nulls == rows {
            let file = files.first().map(|file| file.relative.as_str()).unwrap_or_default();
            return Err(Error::Contract(format!(
                "source `{}`: key column `{key}` is NULL in every row (first file {file})\nhelp: deliver the key, or \
                 change `grain` in {}",
                source.name, source.file
            )));
        }
    }
    Ok(())
}

/// Reads every column of every file to find the one that cannot be decoded, after a scan has failed.
pub async fn find_undecodable(lake: &Lake, source: &Source, files: &SourceFiles) -> Result<()> {
    for file in &files.files {
        if let Format::Csv(options) = &source.format {
            text::find_unreadable(lake, source, &file.relative, options).await?;
            continue;
        }
        let bytes = lake.get(&file.relative).await?.unwrap_or_default();
        let (source, relative) = (source.clone(), file.relative.clone());
        tokio::task::spawn_blocking(move || decode_columns(&source, &relative, &bytes))
            .await
            .context("cannot check a raw file")??;
    }
    Ok(())
}

fn decode_columns(source: &Source, relative: &str, bytes: &bytes::Bytes) -> Result<()> {
    use parquet::arrow::ProjectionMask;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    for field in source.file_schema().fields() {
        let column = field.name();
        let read = || -> std::result::Result<(), Box<dyn std::error::Error>> {
            let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone())?;
            let mask = ProjectionMask::columns(builder.parquet_schema(), [column.as_str()]);
            for batch in builder.with_projection(mask).build()? {
                batch?;
            }
            Ok(())
        };
        if let Err(error) = read() {
            return Err(Error::Contract(format!(
                "source `{}`: file {relative}, column `{column}` cannot be decoded: {error}\nhelp: deliver the file \
                 again; text must be UTF-8",
                source.name
            )));
        }
    }
    Ok(())
}
