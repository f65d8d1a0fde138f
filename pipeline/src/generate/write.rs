//! Schemas of the raw and truth tables, and how a batch of rows becomes the bytes of a Parquet file.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::persons::FEATURES;
use crate::{Context, Result};

/// A file ready to be put.
#[derive(Debug)]
pub struct File {
    /// The table, as in the summary.
    pub table: &'static str,
    /// Path below the root.
    pub path: Path,
    /// Parquet.
    pub bytes: Bytes,
    /// Number of rows.
    pub rows: u64,
}

type Columns = &'static [(&'static str, DataType)];

const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// Columns of every table, in order. Partition columns stand in the paths only. Truth tables begin with `truth/`.
/// Times are UTC microseconds; prices, amounts and `orders.discount` (off the whole order) are yuan; a line is worth
/// `quantity * unit_price`; `returns.amount` bears its share of the order's discount. `truth/traits` has the classes that
/// tags may look for and the rates behind them, see `manners` and `ceilings`; `uplift` is the logarithm of the factor by
/// which a message raises the chance that a session ends in an order.
const TABLES: [(&str, Columns); 24] = [
    (
        "crm_customers",
        &[
            ("account_id", DataType::Utf8),
            ("system", DataType::Utf8),
            ("full_name", DataType::Utf8),
            ("email", DataType::Utf8),
            ("phone", DataType::Utf8),
            ("birth_date", DataType::Utf8),
            ("age", DataType::Int32),
            ("gender", DataType::Utf8),
            ("address", DataType::Utf8),
            ("city", DataType::Utf8),
            ("region", DataType::Utf8),
            ("registered_at", TIMESTAMP),
            ("updated_at", TIMESTAMP),
            ("ingested_at", TIMESTAMP),
        ],
    ),
    (
        "devices",
        &[
            ("device_id", DataType::Utf8),
            ("account_id", DataType::Utf8),
            ("platform", DataType::Utf8),
            ("logged_in_at", TIMESTAMP),
            ("ingested_at", TIMESTAMP),
        ],
    ),
    (
        "orders",
        &[
            ("order_id", DataType::Int64),
            ("account_id", DataType::Utf8),
            ("device_id", DataType::Utf8),
            ("channel", DataType::Utf8),
            ("status", DataType::Utf8),
            ("ordered_at", TIMESTAMP),
            ("discount", DataType::Float64),
            ("ingested_at", TIMESTAMP),
        ],
    ),
    (
        "order_items",
        &[
            ("order_id", DataType::Int64),
            ("line_no", DataType::Int32),
            ("product_id", DataType::Int64),
            ("quantity", DataType::Int32),
            ("unit_price", DataType::Float64),
            ("ingested_at", TIMESTAMP),
        ],
    ),
    (
        "products",
        &[
            ("product_id", DataType::Int64),
            ("name", DataType::Utf8),
            ("brand", DataType::Utf8),
            ("category", DataType::Utf8),
            ("subcategory", DataType::Utf8),
            ("list_price", DataType::Float64),
            ("launched_on", DataType::Date32),
            ("ingested_at", TIMESTAMP),
        ],
    ),
    (
        "returns",
        &[
            ("return_id", DataType::Int64),
            ("order_id", DataType::Int64),
            ("line_no", DataType::Int32),
            ("account_id", DataType::Utf8),
            ("quantity", DataType::Int32),
            ("amount", DataType::Float64),
            ("reason", DataType::Utf8),
            ("returned_at", TIMESTAMP),
            ("ingested_at", TIMESTAMP),
        ],
    ),
    (
        "events",
        &[
            ("event_id", DataType::Int64),
            ("device_id", DataType::Utf8),
            ("account_id", DataType::Utf8),
            ("event_type", DataType::Utf8),
            ("product_id", DataType::Int64),
            ("query", DataType::Utf8),
            ("dwell_ms", DataType::Int32),
            ("place", DataType::Utf8),
            ("event_time", TIMESTAMP),
            ("ingested_at", TIMESTAMP),
        ],
    ),
    (
        "consents",
        &[
            ("account_id", DataType::Utf8),
            ("purpose", DataType::Utf8),
            ("status", DataType::Utf8),
            ("legal_basis", DataType::Utf8),
            ("policy_version", DataType::Utf8),
            ("decided_at", TIMESTAMP),
            ("ingested_at", TIMESTAMP),
        ],
    ),
    (
        "campaigns",
        &[
            ("campaign_id", DataType::Utf8),
            ("name", DataType::Utf8),
            ("channel", DataType::Utf8),
            ("goal", DataType::Utf8),
            ("starts_on", DataType::Date32),
            ("ends_on", DataType::Date32),
            ("ingested_at", TIMESTAMP),
        ],
    ),
    (
        "messages",
        &[
            ("message_id", DataType::Int64),
            ("campaign_id", DataType::Utf8),
            ("account_id", DataType::Utf8),
            ("channel", DataType::Utf8),
            ("arm", DataType::Utf8),
            ("sent_at", TIMESTAMP),
            ("opened_at", TIMESTAMP),
            ("clicked_at", TIMESTAMP),
            ("joined_at", TIMESTAMP),
            ("ingested_at", TIMESTAMP),
        ],
    ),
    (
        "social",
        &[
            ("account_id", DataType::Utf8),
            ("platform", DataType::Utf8),
            ("follows", DataType::Int32),
            ("mentions", DataType::Int32),
            ("engagements", DataType::Int32),
            ("ingested_at", TIMESTAMP),
        ],
    ),
    (
        "texts",
        &[
            ("text_id", DataType::Int64),
            ("kind", DataType::Utf8),
            ("account_id", DataType::Utf8),
            ("product_id", DataType::Int64),
            ("rating", DataType::Int32),
            ("body", DataType::Utf8),
            ("written_at", TIMESTAMP),
            ("ingested_at", TIMESTAMP),
        ],
    ),
    (
        "erasure_requests",
        &[
            ("request_id", DataType::Int64),
            ("account_id", DataType::Utf8),
            ("requested_at", TIMESTAMP),
            ("ingested_at", TIMESTAMP),
        ],
    ),
    (
        "weather",
        &[
            ("city", DataType::Utf8),
            ("weather_date", DataType::Date32),
            ("rain_mm", DataType::Float64),
            ("temperature_c", DataType::Float64),
            ("ingested_at", TIMESTAMP),
        ],
    ),
    (
        "regions",
        &[
            ("region_id", DataType::Utf8),
            ("name", DataType::Utf8),
            ("city", DataType::Utf8),
            ("part", DataType::Utf8),
            ("kind", DataType::Utf8),
            ("x_km", DataType::Float64),
            ("y_km", DataType::Float64),
            ("centre_km", DataType::Float64),
            ("station_km", DataType::Float64),
            ("ingested_at", TIMESTAMP),
        ],
    ),
    (
        "stores",
        &[
            ("store_id", DataType::Utf8),
            ("name", DataType::Utf8),
            ("city", DataType::Utf8),
            ("region_id", DataType::Utf8),
            ("x_km", DataType::Float64),
            ("y_km", DataType::Float64),
            ("opened_on", DataType::Date32),
            ("ingested_at", TIMESTAMP),
        ],
    ),
    (
        "truth/texts",
        &[
            ("text_id", DataType::Int64),
            ("language", DataType::Utf8),
            ("sentiment", DataType::Utf8),
            ("aspect", DataType::Utf8),
        ],
    ),
    (
        "truth/shared_sessions",
        &[
            ("device_id", DataType::Utf8),
            ("person_id", DataType::Int64),
            ("started_at", TIMESTAMP),
            ("ended_at", TIMESTAMP),
        ],
    ),
    (
        "truth/traits",
        &[
            ("person_id", DataType::Int64),
            ("hesitant", DataType::Boolean),
            ("impulsive", DataType::Boolean),
            ("commuter", DataType::Boolean),
            ("rain_lover", DataType::Boolean),
            ("price_sensitive", DataType::Boolean),
            ("churned", DataType::Boolean),
            ("seasonal", DataType::Boolean),
            ("channel", DataType::Utf8),
            ("park_rate", DataType::Float64),
            ("revisit_rate", DataType::Float64),
            ("rush_rate", DataType::Float64),
            ("commute_rate", DataType::Float64),
            ("rain_wait_rate", DataType::Float64),
            ("discount_rate", DataType::Float64),
            ("open_rate_sms", DataType::Float64),
            ("open_rate_email", DataType::Float64),
            ("open_rate_push", DataType::Float64),
            ("open_rate_community", DataType::Float64),
            ("activity_at_end", DataType::Float64),
            ("uplift", DataType::Float64),
        ],
    ),
    (
        "truth/ceilings",
        &[
            ("trait", DataType::Utf8),
            ("measure", DataType::Utf8),
            ("value", DataType::Float64),
            ("n", DataType::Int64),
        ],
    ),
    (
        "truth/rising_terms",
        &[("query", DataType::Utf8), ("rises_from", DataType::Date32), ("share", DataType::Float64)],
    ),
    (
        "truth/accounts",
        &[("account_id", DataType::Utf8), ("system", DataType::Utf8), ("person_id", DataType::Int64)],
    ),
    ("truth/devices", &[("device_id", DataType::Utf8), ("person_id", DataType::Int64)]),
    (
        "truth/mess",
        &[
            ("table", DataType::Utf8),
            ("key", DataType::Utf8),
            ("kind", DataType::Utf8),
            ("visible", DataType::Boolean),
        ],
    ),
];

/// The partition column of a raw table, if it has one.
pub fn partition_column(table: &str) -> Option<&'static str> {
    match table {
        "events" => Some("event_date"),
        "orders" | "order_items" => Some("order_date"),
        "returns" => Some("return_date"),
        "devices" => Some("login_date"),
        "messages" => Some("sent_date"),
        "social" => Some("social_date"),
        "texts" => Some("written_date"),
        _ => None,
    }
}

static SCHEMAS: LazyLock<Vec<(&str, SchemaRef)>> = LazyLock::new(|| {
    let field = |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone(), true);
    let mut schemas: Vec<(&str, SchemaRef)> = TABLES
        .iter()
        .map(|(table, columns)| {
            (*table, Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>())))
        })
        .collect();
    let mut persons = vec![field(&("person_id", DataType::Int64)), field(&("persona", DataType::Utf8))];
    persons.extend(FEATURES.map(|feature| field(&(feature, DataType::Float64))));
    schemas.push(("truth/persons", Arc::new(Schema::new(persons))));
    schemas
});

/// The schema of a table, without its partition column; empty for a name that is none of ours.
pub fn schema(table: &str) -> SchemaRef {
    SCHEMAS
        .iter()
        .find(|(name, _)| *name == table)
        .map_or_else(|| Arc::new(Schema::empty()), |(_, s)| s.clone())
}

/// Zstandard level 1; dense numbers that rarely repeat as deltas, everything else through dictionaries.
pub fn properties(schema: &Schema) -> WriterProperties {
    let level = ZstdLevel::try_new(1).unwrap_or_default();
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by("strata generate".into());
    for field in schema.fields() {
        let dense = match field.data_type() {
            DataType::Timestamp(_, _) => true,
            DataType::Int64 => field.name() != "product_id",
            _ => false,
        };
        if dense {
            let column = parquet::schema::types::ColumnPath::from(field.name().as_str());
            builder = builder
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
    }
    builder.build()
}

/// A Parquet file of one batch.
///
/// # Errors
/// When Parquet refuses the batch, which would be a defect.
pub fn encode(table: &'static str, path: Path, batch: &RecordBatch) -> Result<File> {
    let context = || format!("encoding {path}");
    let properties = properties(&batch.schema());
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).context(context())?;
    writer.write(batch).context(context())?;
    let bytes = writer.into_inner().context(context())?;
    Ok(File { table, rows: batch.num_rows() as u64, bytes: bytes.into(), path })
}
