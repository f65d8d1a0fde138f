//! Arguments of functions: coercion with clear errors, constants and columns read alike.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

/// Refuses a call with another number of arguments than `names`.
pub(crate) fn expect_arity(function: &str, types: &[DataType], names: &[&str]) -> Result<()> {
    if types.len() == names.len() {
        return Ok(());
    }
    plan_err!("{function}({}) takes {} argument(s), {} given", names.join(", "), names.len(), types.len())
}

/// Whether values of this type are text; NULL counts, since it is cast to text without loss.
pub(crate) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

/// The type to which a text argument is cast: always Utf8.
pub(crate) fn text_type(function: &str, name: &str, data_type: &DataType) -> Result<DataType> {
    if is_text(data_type) {
        return Ok(DataType::Utf8);
    }
    plan_err!("{function}: argument {name} must be text, not {data_type}; cast it to varchar")
}

/// The type to which a number is cast for floating-point functions: always Float64.
pub(crate) fn float_type(function: &str, name: &str, data_type: &DataType) -> Result<DataType> {
    if data_type.is_numeric() || data_type.is_null() {
        return Ok(DataType::Float64);
    }
    plan_err!("{function}: argument {name} must be a number, not {data_type}; cast it to double")
}

/// The type to which a vector of numbers is cast: a list of nullable Float64 named `item`.
pub(crate) fn vector_type(function: &str, name: &str, data_type: &DataType) -> Result<DataType> {
    let numbers = match data_type {
        DataType::Null => true,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            item.data_type().is_numeric() || item.data_type().is_null()
        }
        _ => false,
    };
    if numbers {
        return Ok(float_list());
    }
    plan_err!("{function}: argument {name} must be a list of numbers, not {data_type}")
}

/// A list of nullable Float64, item field named `item`.
pub(crate) fn float_list() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)))
}

/// A list of nullable Int32, item field named `item`.
pub(crate) fn integer_list() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true)))
}

/// A list of nullable Utf8, item field named `item`.
pub(crate) fn text_list() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

/// Nullable fields of a struct.
pub(crate) fn nullable_fields(fields: &[(&str, DataType)]) -> Fields {
    fields
        .iter()
        .map(|(name, data_type)| Arc::new(Field::new(*name, data_type.clone(), true)) as FieldRef)
        .collect()
}

/// Runs an array kernel over `rows` rows; a call whose arguments are all constants runs it over one row
/// and gives a constant.
pub(crate) fn evaluate(
    args: &ScalarFunctionArgs,
    kernel: impl FnOnce(usize) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    if args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&kernel(1)?, 0)?));
    }
    Ok(ColumnarValue::Array(kernel(args.number_rows)?))
}

/// The argument as an array of `rows` values.
pub(crate) fn column(args: &ScalarFunctionArgs, index: usize, rows: usize) -> Result<ArrayRef> {
    match args.args.get(index) {
        Some(arg) => arg.to_array(rows),
        None => internal_err!("argument {} is missing", index + 1),
    }
}

/// The argument as an array of text.
pub(crate) fn text_column(args: &ScalarFunctionArgs, index: usize, rows: usize) -> Result<StringArray> {
    let array = column(args, index, rows)?;
    match array.as_string_opt::<i32>() {
        Some(texts) => Ok(texts.clone()),
        None => internal_err!("argument {} must be Utf8, found {}", index + 1, array.data_type()),
    }
}

/// The argument as an array of lists.
pub(crate) fn list_column(args: &ScalarFunctionArgs, index: usize, rows: usize) -> Result<ListArray> {
    let array = column(args, index, rows)?;
    match array.as_list_opt::<i32>() {
        Some(lists) => Ok(lists.clone()),
        None => internal_err!("argument {} must be a List, found {}", index + 1, array.data_type()),
    }
}

/// The argument as a constant; a column is refused.
pub(crate) fn constant<'a>(
    function: &str,
    name: &str,
    args: &'a ScalarFunctionArgs,
    index: usize,
) -> Result<&'a ScalarValue> {
    match args.args.get(index) {
        Some(ColumnarValue::Scalar(value)) => Ok(value),
        _ => exec_err!("{function}: argument {name} must be a constant or a parameter, not a column"),
    }
}

/// A text argument that is usually a constant, such as a time zone.
#[derive(Debug)]
pub(crate) enum TextArgument {
    /// The same text, or NULL, for every row.
    Constant(Option<String>),
    /// One text a row.
    Column(StringArray),
}

impl TextArgument {
    /// Reads the argument without expanding a constant.
    pub(crate) fn read(args: &ScalarFunctionArgs, index: usize) -> Result<Self> {
        match args.args.get(index) {
            Some(ColumnarValue::Scalar(value)) => match value.try_as_str() {
                Some(text) => Ok(Self::Constant(text.map(str::to_string))),
                None => internal_err!("argument {} must be Utf8, found {}", index + 1, value.data_type()),
            },
            _ => Ok(Self::Column(text_column(args, index, args.number_rows)?)),
        }
    }

    /// The text of one row, `None` for NULL.
    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        match self {
            Self::Constant(text) => text.as_deref(),
            Self::Column(texts) => texts.is_valid(row).then(|| texts.value(row)),
        }
    }
}

/// Text to text, row by row, through one buffer: `write` leaves the result in the (empty) buffer it is
/// given, or returns false for NULL. NULL in gives NULL out.
pub(crate) fn map_text(
    texts: &StringArray,
    mut write: impl FnMut(usize, &str, &mut String) -> bool,
) -> Result<StringArray> {
    let offsets = texts.value_offsets();
    let text_bytes = offsets[texts.len()] - offsets[0];
    let mut builder = StringBuilder::with_capacity(texts.len(), text_bytes as usize);
    let mut buffer = String::new();
    let mut size_bytes = 0usize;
    for (row, text) in texts.iter().enumerate() {
        buffer.clear();
        match text {
            Some(text) if write(row, text, &mut buffer) => {
                size_bytes += buffer.len();
                if size_bytes > i32::MAX as usize {
                    return exec_err!("a batch holds over 2 GiB of text; use a smaller batch size");
                }
                builder.append_value(&buffer);
            }
            _ => builder.append_null(),
        }
    }
    Ok(builder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_mapped_row_by_row_in_slices_too() {
        let texts = StringArray::from(vec![Some("a"), None, Some("bb"), Some(""), Some("x")]);
        let double = |row: usize, text: &str, out: &mut String| {
            assert!(out.is_empty());
            out.push_str(&text.repeat(2));
            out.push_str(&row.to_string());
            text != "x"
        };
        let all = map_text(&texts, double).unwrap();
        assert_eq!(all, StringArray::from(vec![Some("aa0"), None, Some("bbbb2"), Some("3"), None]));
        let part = map_text(&texts.slice(2, 3), double).unwrap();
        assert_eq!(part, StringArray::from(vec![Some("bbbb0"), Some("1"), None]));
        assert_eq!(map_text(&texts.slice(5, 0), double).unwrap().len(), 0);
    }

    #[test]
    fn vectors_of_any_number_are_lists_of_double() {
        let list = |item| DataType::List(Arc::new(Field::new("element", item, false)));
        for item in [DataType::Int32, DataType::Decimal128(18, 2), DataType::Null, DataType::Float64] {
            assert_eq!(vector_type("f", "v", &list(item)).unwrap(), float_list());
        }
        assert!(vector_type("f", "v", &list(DataType::Utf8)).is_err());
        assert!(vector_type("f", "v", &DataType::Float64).is_err());
    }
}
