//! How a relation's types are stored: the same for every plan that could have produced it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit};

/// The schema under which a relation is stored: every field nullable and without metadata (a plan's guess of
/// nullability is no promise), strings as `Utf8`. With `utc_timestamps` a timestamp without zone becomes the same
/// instant in UTC, microseconds: what Delta calls `timestamp` (the other kind needs a table feature).
pub fn storage_schema(schema: &Schema, utc_timestamps: bool) -> Schema {
    let fields = schema.fields().iter().map(|field| storage_field(field, utc_timestamps));
    Schema::new(fields.collect::<Vec<_>>())
}

fn storage_field(field: &FieldRef, utc: bool) -> FieldRef {
    Arc::new(Field::new(field.name(), storage_type(field.data_type(), utc), true))
}

fn storage_type(data_type: &DataType, utc: bool) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Timestamp(_, _) if utc => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| storage_field(field, utc)).collect())
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) => {
            DataType::List(Arc::new(Field::new("item", storage_type(item.data_type(), utc), true)))
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
