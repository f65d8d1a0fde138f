//! `make_array`: the engine's, but doubles are copied column by column and not value by value.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::Result;
use datafusion::functions_nested::make_array::MakeArray as Engines;
use datafusion::logical_expr::{ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature};
use datafusion_macros::user_doc;

/// Rows that are copied together, so that what is written stays in the cache.
const BLOCK: usize = 64;

static ENGINES: LazyLock<Engines> = LazyLock::new(Engines::new);

#[user_doc(
    doc_section(label = "Rows"),
    description = "A list of the arguments, which are brought to a common type: the engine's own function, many times faster for columns of doubles.",
    syntax_example = "make_array(value, ..)",
    sql_example = "```sql\nselect kmeans_assign(make_array(recency, frequency, monetary), $behaviour_model) from features;\n```",
    argument(name = "value", description = "The entries of the list; NULL is one too."),
    related_udf(name = "kmeans_assign")
)]
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct MakeArray;

impl ScalarUDFImpl for MakeArray {
    fn name(&self) -> &str {
        ENGINES.name()
    }

    fn aliases(&self) -> &[String] {
        ENGINES.aliases()
    }

    fn signature(&self) -> &Signature {
        ENGINES.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        ENGINES.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        ENGINES.return_type(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let doubles = args.args.iter().all(|arg| arg.data_type() == DataType::Float64);
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        if !doubles || constant {
            return ENGINES.invoke_with_args(args);
        }
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let columns: Vec<&Float64Array> =
            columns.iter().filter_map(|column: &ArrayRef| column.as_primitive_opt::<Float64Type>()).collect();
        Ok(ColumnarValue::Array(Arc::new(lists(&columns, args.number_rows)?)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// A list of the values of the columns for each row.
pub fn lists(columns: &[&Float64Array], rows: usize) -> Result<ListArray> {
    let width = columns.len();
    let mut values = vec![0.0; rows * width];
    for (block, out) in values.chunks_mut(BLOCK * width.max(1)).enumerate() {
        for (f, column) in columns.iter().enumerate() {
            let column = &column.values()[block * BLOCK..];
            for (row, value) in out.chunks_exact_mut(width).zip(column) {
                row[f] = *value;
            }
        }
    }
    let nulls = columns.iter().any(|column| column.null_count() > 0).then(|| {
        let valid = |i: usize| columns[i % width].is_valid(i / width);
        NullBuffer::new(BooleanBuffer::collect_bool(rows * width, valid))
    });
    let item = Arc::new(Field::new_list_field(DataType::Float64, true));
    let offsets = OffsetBuffer::from_repeated_length(width, rows);
    Ok(ListArray::try_new(item, offsets, Arc::new(Float64Array::new(values.into(), nulls)), None)?)
}

#[cfg(test)]
mod tests {
    use datafusion::functions_nested::make_array::array_array;

    use super::*;

    #[test]
    fn equals_the_engines() {
        for rows in [0, 1, 63, 64, 65, 1000] {
            let column = |f: usize, nulls: bool| -> ArrayRef {
                let value = |row: usize| (!nulls || row % 7 != f).then_some((row * 10 + f) as f64);
                Arc::new((0..rows).map(value).collect::<Float64Array>())
            };
            for nulls in [false, true] {
                let columns: Vec<ArrayRef> = (0..5).map(|f| column(f, nulls && f != 2)).collect();
                let doubles: Vec<&Float64Array> = columns.iter().map(|c| c.as_primitive()).collect();
                let ours = lists(&doubles, rows).unwrap();
                let theirs = array_array::<i32>(&columns, DataType::Float64, "item").unwrap();
                assert_eq!(&ours, theirs.as_list::<i32>(), "{rows} rows");
                assert_eq!(ours.data_type(), theirs.data_type());
            }
        }
    }
}
