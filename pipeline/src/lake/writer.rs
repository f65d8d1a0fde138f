//! One Parquet file being written: encoded as rows arrive, uploaded in parts, aborted when something fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use datafusion::common::DataFusionError;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::AsyncArrowWriter;
use parquet::arrow::async_writer::AsyncFileWriter;
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::SchemaDescriptor;
use tokio::io::AsyncWriteExt;

use super::footer::footer_sha256;
use super::stats::delta_stats;

/// Size of an upload's parts. With [`PARTS_IN_FLIGHT`] it bounds what a writer buffers after encoding.
const PART_BYTES: usize = 8 * 1024 * 1024;
const PARTS_IN_FLIGHT: usize = 2;

/// A row group ends here even before its number of rows: what a writer buffers while encoding.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;

/// How files are encoded: page index, statistics, no bloom filters. Files of Delta tables are zstd, as every reader knows
/// them; results that the next stages read once or twice are Snappy, whose codec costs less to make for each small column
/// chunk than to use. In these numbers, dates and instants stand by their differences and texts by their lengths: a
/// dictionary costs more to build than it saves where hardly a value comes twice. Values in lists keep their dictionary,
/// since they do, and have no statistics, which nothing asks for.
pub(in crate::lake) fn properties(
    columns: &SchemaDescriptor,
    row_group_rows: usize,
    sorted_by: Vec<SortingColumn>,
    delta: bool,
) -> Result<WriterProperties, ParquetError> {
    let compression = match delta {
        true => Compression::ZSTD(ZstdLevel::try_new(1)?),
        false => Compression::SNAPPY,
    };
    let own = columns.columns().iter().filter(|_| !delta);
    let builder = own.fold(WriterProperties::builder(), |builder, column| {
        let path = column.path().clone();
        let in_list = column.max_rep_level() > 0;
        let builder = match in_list {
            true => builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::None),
            false => builder,
        };
        let encoding = match column.physical_type() {
            Type::INT32 | Type::INT64 => Encoding::DELTA_BINARY_PACKED,
            Type::BYTE_ARRAY if !in_list => Encoding::DELTA_LENGTH_BYTE_ARRAY,
            Type::DOUBLE => Encoding::PLAIN,
            _ => return builder,
        };
        builder.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, encoding)
    });
    Ok(builder
        .set_created_by("strata".to_owned())
        .set_compression(compression)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(row_group_rows))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_sorting_columns(Some(sorted_by).filter(|columns| !columns.is_empty()))
        .build())
}

/// A file that is open for writing.
pub(in crate::lake) struct OpenFile {
    path: Path,
    pub(in crate::lake) relative: String,
    schema: SchemaRef,
    writer: AsyncArrowWriter<Upload>,
    pub(in crate::lake) rows: usize,
    /// Rows since the last cut, the input rows they stand for, and these by rule.
    pub(in crate::lake) rows_since: usize,
    pub(in crate::lake) weight: u64,
    pub(in crate::lake) by_rule: BTreeMap<String, u64>,
    /// Row groups before the last cut.
    groups_before: usize,
}

/// What is known of a file once it is complete.
pub(in crate::lake) struct Finished {
    pub(in crate::lake) bytes: u64,
    pub(in crate::lake) footer: String,
    pub(in crate::lake) stats: String,
}

impl OpenFile {
    pub(in crate::lake) fn create(
        store: Arc<dyn ObjectStore>,
        path: Path,
        relative: String,
        schema: SchemaRef,
        properties: WriterProperties,
    ) -> Result<OpenFile, DataFusionError> {
        let inner =
            BufWriter::with_capacity(store, path.clone(), PART_BYTES).with_max_concurrency(PARTS_IN_FLIGHT);
        let upload = Upload { inner, tail: Bytes::new(), bytes: 0, closing: false };
        let writer = AsyncArrowWriter::try_new(upload, schema.clone(), Some(properties))?;
        Ok(OpenFile {
            path,
            relative,
            schema,
            writer,
            rows: 0,
            rows_since: 0,
            weight: 0,
            by_rule: BTreeMap::new(),
            groups_before: 0,
        })
    }

    pub(in crate::lake) async fn write(&mut self, batch: &RecordBatch) -> Result<(), DataFusionError> {
        self.rows += batch.num_rows();
        self.rows_since += batch.num_rows();
        self.writer.write(batch).await.map_err(|e| self.error(e))
    }

    /// Ends the row group now, to give memory back.
    pub(in crate::lake) async fn flush(&mut self) -> Result<(), DataFusionError> {
        self.writer.flush().await.map_err(|e| self.error(e))
    }

    /// Ends the row group: what follows lies in row groups of its own. The bytes of the row groups since the last cut.
    pub(in crate::lake) async fn cut(&mut self) -> Result<(u64, u64), DataFusionError> {
        self.flush().await?;
        let groups = self.writer.flushed_row_groups();
        let chunks = groups.iter().skip(self.groups_before).flat_map(|group| group.columns());
        let ranges = chunks.map(|chunk| chunk.byte_range()).map(|(start, bytes)| (start, start + bytes));
        let range = ranges.reduce(|all, next| (all.0.min(next.0), all.1.max(next.1)));
        self.groups_before = groups.len();
        self.rows_since = 0;
        range.ok_or_else(|| {
            DataFusionError::Internal(format!("{} was cut where nothing was written", self.path))
        })
    }

    /// Bytes held while encoding.
    pub(in crate::lake) fn memory_bytes(&self) -> usize {
        self.writer.memory_size()
    }

    /// Completes the file, or removes what has been uploaded of it.
    pub(in crate::lake) async fn finish(mut self) -> Result<Finished, DataFusionError> {
        let metadata = match self.writer.finish().await {
            Ok(metadata) => metadata,
            Err(error) => {
                let error = self.error(error);
                self.abort().await;
                return Err(error);
            }
        };
        let stats = delta_stats(&metadata, &self.schema)?;
        let upload = self.writer.into_inner();
        let footer = footer_sha256(&upload.tail).ok_or_else(|| {
            DataFusionError::Internal(format!("{} was written without a footer", self.path))
        })?;
        Ok(Finished { bytes: upload.bytes, footer, stats })
    }

    /// Gives up the upload; what has been written of it is removed from the store.
    pub(in crate::lake) async fn abort(self) {
        let mut upload = self.writer.into_inner();
        if upload.closing {
            return; // the upload has ended itself, well or not; aborting it again is not allowed
        }
        if let Err(error) = upload.inner.abort().await {
            tracing::warn!(path = %self.path, %error, "a partial upload could not be removed");
        }
    }

    fn error(&self, error: ParquetError) -> DataFusionError {
        DataFusionError::from(error).context(format!("writing {}", self.path))
    }
}

/// An upload that counts its bytes and remembers the last piece, which holds the footer.
struct Upload {
    inner: BufWriter,
    tail: Bytes,
    bytes: u64,
    closing: bool,
}

impl AsyncFileWriter for Upload {
    fn write(&mut self, piece: Bytes) -> BoxFuture<'_, Result<(), ParquetError>> {
        Box::pin(async move {
            self.bytes += piece.len() as u64;
            self.tail = piece.clone();
            self.inner.put(piece).await.map_err(|e| ParquetError::External(e.into()))
        })
    }

    fn complete(&mut self) -> BoxFuture<'_, Result<(), ParquetError>> {
        Box::pin(async move {
            self.closing = true;
            self.inner.shutdown().await.map_err(|e| ParquetError::External(e.into()))
        })
    }
}
