//! Statistics of a written file in the form of the Delta protocol, taken from the Parquet metadata.

use arrow::array::Array;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::{DataFusionError, ScalarValue};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::ParquetMetaData;
use serde_json::{Map, Value, json};

/// Decimals of at most this many digits keep their exact value as a JSON number (a double).
const EXACT_DECIMAL: i128 = 1_000_000_000_000_000;

/// Per-file statistics as JSON: `numRecords`, and for each top-level column that has them `minValues`, `maxValues`
/// and `nullCount` (Delta protocol, "Per-file Statistics"). Floats have none, since NaN would make them wrong;
/// neither have nested columns.
pub(super) fn delta_stats(metadata: &ParquetMetaData, schema: &Schema) -> Result<String, DataFusionError> {
    let rows: i64 = metadata.row_groups().iter().map(|group| group.num_rows()).sum();
    let (mut mins, mut maxs, mut nulls) = (Map::new(), Map::new(), Map::new());
    for field in schema.fields().iter().filter(|field| !field.data_type().is_nested()) {
        let column = Column::read(metadata, schema, field.name())?;
        if let Some(count) = column.nulls {
            nulls.insert(field.name().clone(), json!(count));
        }
        if let (Some(min), Some(max)) = (column.min, column.max) {
            mins.insert(field.name().clone(), min);
            maxs.insert(field.name().clone(), max);
        }
    }
    let stats = json!({"numRecords": rows, "minValues": mins, "maxValues": maxs, "nullCount": nulls});
    Ok(stats.to_string())
}

struct Column {
    min: Option<Value>,
    max: Option<Value>,
    nulls: Option<u64>,
}

impl Column {
    fn read(metadata: &ParquetMetaData, schema: &Schema, name: &str) -> Result<Column, DataFusionError> {
        let parquet = metadata.file_metadata().schema_descr();
        let converter = StatisticsConverter::try_new(name, schema, parquet)?;
        let groups = metadata.row_groups();
        let nulls = converter.row_group_null_counts(groups)?;
        if nulls.null_count() > 0 {
            return Ok(Column { min: None, max: None, nulls: None });
        }
        let mut column = Column { min: None, max: None, nulls: Some(nulls.values().iter().sum()) };
        if !has_bounds(schema.field_with_name(name)?.data_type()) {
            return Ok(column);
        }
        let (mins, maxs) = (converter.row_group_mins(groups)?, converter.row_group_maxes(groups)?);
        let all_null = |group: usize| {
            let rows = u64::try_from(groups[group].num_rows()).unwrap_or_default();
            nulls.value(group) == rows
        };
        let known = (0..groups.len()).filter(|&group| !all_null(group)).collect::<Vec<_>>();
        if known.iter().any(|&group| mins.is_null(group) || maxs.is_null(group)) {
            return Ok(column);
        }
        column.min = bound(&mins, &known, |new, old| new < old)?.and_then(|min| to_json(&min, 0));
        column.max = bound(&maxs, &known, |new, old| new > old)?.and_then(|max| to_json(&max, 999));
        Ok(column)
    }
}

fn has_bounds(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(
            data_type,
            DataType::Utf8 | DataType::Date32 | DataType::Timestamp(_, _) | DataType::Decimal128(_, _)
        )
}

fn bound(
    values: &dyn Array,
    groups: &[usize],
    better: fn(&ScalarValue, &ScalarValue) -> bool,
) -> Result<Option<ScalarValue>, DataFusionError> {
    let mut best: Option<ScalarValue> = None;
    for &group in groups {
        let value = ScalarValue::try_from_array(values, group)?;
        if best.as_ref().is_none_or(|best| better(&value, best)) {
            best = Some(value);
        }
    }
    Ok(best)
}

/// The JSON form of a bound. Timestamps are cut to milliseconds as Delta wants it, an upper bound (`round` = 999
/// microseconds) after rounding up, so that it stays one.
fn to_json(value: &ScalarValue, round: i64) -> Option<Value> {
    match value {
        ScalarValue::Utf8(Some(text)) => Some(json!(text)),
        ScalarValue::Date32(Some(days)) => {
            let date = chrono::DateTime::from_timestamp(i64::from(*days) * 86_400, 0)?;
            Some(json!(date.format("%Y-%m-%d").to_string()))
        }
        ScalarValue::TimestampMicrosecond(Some(micros), zone) => {
            let at = chrono::DateTime::from_timestamp_micros(micros.checked_add(round)?)?;
            let format = if zone.is_some() { "%Y-%m-%dT%H:%M:%S%.3fZ" } else { "%Y-%m-%d %H:%M:%S%.3f" };
            Some(json!(at.format(format).to_string()))
        }
        ScalarValue::Decimal128(Some(unscaled), _, _) if unscaled.abs() < EXACT_DECIMAL => {
            serde_json::from_str(&value.to_array().ok().and_then(|array| decimal_text(&array))?).ok()
        }
        ScalarValue::Int8(Some(v)) => Some(json!(v)),
        ScalarValue::Int16(Some(v)) => Some(json!(v)),
        ScalarValue::Int32(Some(v)) => Some(json!(v)),
        ScalarValue::Int64(Some(v)) => Some(json!(v)),
        ScalarValue::UInt8(Some(v)) => Some(json!(v)),
        ScalarValue::UInt16(Some(v)) => Some(json!(v)),
        ScalarValue::UInt32(Some(v)) => Some(json!(v)),
        ScalarValue::UInt64(Some(v)) => Some(json!(v)),
        _ => None,
    }
}

fn decimal_text(array: &dyn Array) -> Option<String> {
    arrow::util::display::array_value_to_string(array, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_stay_bounds_in_json() {
        let at = ScalarValue::TimestampMicrosecond(Some(1_735_689_600_000_001), Some("UTC".into()));
        assert_eq!(to_json(&at, 0).unwrap(), "2025-01-01T00:00:00.000Z");
        assert_eq!(to_json(&at, 999).unwrap(), "2025-01-01T00:00:00.001Z");
        let whole = ScalarValue::TimestampMicrosecond(Some(-1_000), None);
        assert_eq!(to_json(&whole, 999).unwrap(), "1969-12-31 23:59:59.999");
        assert_eq!(to_json(&ScalarValue::Date32(Some(-1)), 0).unwrap(), "1969-12-31");
        assert_eq!(to_json(&ScalarValue::Decimal128(Some(12_345), 18, 2), 0).unwrap(), 123.45);
        assert_eq!(to_json(&ScalarValue::Decimal128(Some(EXACT_DECIMAL), 38, 2), 0), None);
        assert_eq!(to_json(&ScalarValue::Float64(Some(1.0)), 0), None);
    }
}
