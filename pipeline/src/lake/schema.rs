//! How a relation's types are stored: the same for every plan that could have produced it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit};

/// The schema under which a relation is stored: every field nullable and without metadata (a plan's guess of
/// nullability is no promise), strings as `Utf8`.
///
/// With `delta_types` it is what readers of Delta tables take without optional table features: timestamps as
/// instants in UTC, microseconds (Delta's `timestamp`), and unsigned integers as signed ones that hold them (64 bits
/// stay 64: larger values are an error when they are written).
pub fn storage_schema(schema: &Schema, delta_types: bool) -> Schema {
    let fields = schema.fields().iter().map(|field| storage_field(field, delta_types));
    Schema::new(fields.collect::<Vec<_>>())
}

fn storage_field(field: &FieldRef, delta: bool) -> FieldRef {
    Arc::new(Field::new(field.name(), storage_type(field.data_type(), delta), true))
}

fn storage_type(data_type: &DataType, delta: bool) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Timestamp(_, _) if delta => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::UInt8 if delta => DataType::Int16,
        DataType::UInt16 if delta => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 if delta => DataType::Int64,
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| storage_field(field, delta)).collect())
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) => {
            DataType::List(Arc::new(Field::new("item", storage_type(item.data_type(), delta), true)))
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_types_are_normalised() {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let inner = Field::new("at", micros.clone(), false);
        let item = Field::new("element", DataType::Struct(vec![inner].into()), false);
        let schema = Schema::new(vec![
            Field::new("list", DataType::List(Arc::new(item)), false),
            Field::new("text", DataType::Utf8View, false),
        ]);
        let stored = storage_schema(&schema, true);
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let inner = DataType::Struct(vec![Field::new("at", utc, true)].into());
        assert_eq!(stored.field(0).data_type(), &DataType::new_list(inner, true));
        assert_eq!(stored.field(1), &Field::new("text", DataType::Utf8, true));
        assert_eq!(
            storage_schema(&Schema::new(vec![Field::new("t", micros.clone(), true)]), false)
                .field(0)
                .data_type(),
            &micros
        );
    }
}
