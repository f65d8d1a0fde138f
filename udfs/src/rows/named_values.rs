//! `named_values`: the columns of a row as a list of names and values.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Float64Builder, ListArray, StringArray, StringBuilder,
    StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::args::{column, constant, evaluate, expect_arity, is_text, nullable_fields};

#[user_doc(
    doc_section(label = "Rows"),
    description = "The fields of a struct that are not NULL as a list of structs (`name`, `value`, `number`), in the order of the struct: a wide row made long. `value` is the value as text, elements of a list of text with `, ` between them; `number` is the value of a number, NULL for all else. The struct must have exactly the fields that the second argument names, so that none is forgotten.",
    syntax_example = "named_values(row, names)",
    sql_example = "```sql\nselect customer_id, unnest(named_values(named_struct('dormant', dormant, 'orders', orders), $tags)) from tags;\n```",
    argument(
        name = "row",
        description = "A struct of booleans, numbers, text, dates, timestamps and lists of text."
    ),
    argument(
        name = "names",
        description = "The names of its fields in any order, constant: a list of text, or of structs whose first field is the name."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct NamedValues {
    signature: Signature,
}

impl Default for NamedValues {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// The type of an entry.
fn entry_type() -> DataType {
    DataType::Struct(nullable_fields(&[
        ("name", DataType::Utf8),
        ("value", DataType::Utf8),
        ("number", DataType::Float64),
    ]))
}

impl ScalarUDFImpl for NamedValues {
    fn name(&self) -> &str {
        "named_values"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["row", "names"])?;
        let DataType::Struct(fields) = &types[0] else {
            return plan_err!(
                "named_values: argument row must be a struct, not {}; use named_struct",
                types[0]
            );
        };
        for field in fields {
            let data_type = field.data_type();
            let fits = match data_type {
                DataType::List(item) => is_text(item.data_type()),
                DataType::Boolean | DataType::Date32 | DataType::Timestamp(..) => true,
                other => other.is_numeric() || is_text(other),
            };
            if !fits {
                return plan_err!(
                    "named_values: field {} is {data_type}; cast it to a boolean, number, text, date, timestamp or list of \
                     text",
                    field.name()
                );
            }
        }
        match &types[1] {
            DataType::List(item) if name_of(item).is_some() => Ok(types.to_vec()),
            other => {
                plan_err!("named_values: argument names must be a list of text or of structs, not {other}")
            }
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::new_list(entry_type(), true))
    }

    /// Refuses a struct with other fields as soon as the names are known.
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        if let (Some(row), Some(Some(names))) = (args.arg_fields.first(), args.scalar_arguments.get(1)) {
            check_names(row.data_type(), names)?;
        }
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (row, names) = (args.args[0].data_type(), constant(self.name(), "names", &args, 1)?);
        check_names(&row, names)?;
        evaluate(&args, |rows| {
            let rows = column(&args, 0, rows)?;
            Ok(Arc::new(named_values(rows.as_struct())?))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// How the name lies in an entry of the list of names: by itself, or as the first field of a struct.
fn name_of(item: &Field) -> Option<bool> {
    match item.data_type() {
        DataType::Struct(fields) => {
            fields.first().filter(|field| *field.data_type() == DataType::Utf8).map(|_| true)
        }
        other => (*other == DataType::Utf8).then_some(false),
    }
}

/// Refuses a struct that lacks one of the names, or has others.
fn check_names(row: &DataType, names: &ScalarValue) -> Result<()> {
    let (DataType::Struct(fields), ScalarValue::List(list)) = (row, names) else { return Ok(()) };
    if list.is_null(0) {
        return Ok(());
    }
    let entries = list.value(0);
    let texts = match entries.as_struct_opt() {
        Some(entries) => entries.column(0).as_string::<i32>().clone(),
        None => entries.as_string::<i32>().clone(),
    };
    let wanted: Vec<&str> = texts.iter().flatten().collect();
    if let Some(forgotten) = wanted.iter().find(|name| fields.iter().all(|field| field.name() != *name)) {
        return plan_err!(
            "named_values: '{forgotten}' is missing; add it to the struct: '{forgotten}', {forgotten}"
        );
    }
    if let Some(field) = fields.iter().find(|field| !wanted.contains(&field.name().as_str())) {
        return plan_err!("named_values: '{}' is none of the names asked for; remove it", field.name());
    }
    Ok(())
}

/// One column as text and, if it holds numbers, as numbers.
struct Values {
    texts: StringArray,
    numbers: Option<Float64Array>,
}

impl Values {
    fn of(column: &ArrayRef) -> Result<Self> {
        let numbers = if column.data_type().is_numeric() {
            Some(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
        } else {
            None
        };
        let texts = match column.as_list_opt::<i32>() {
            Some(lists) => joined(lists)?,
            None => cast(column, &DataType::Utf8)?.as_string::<i32>().clone(),
        };
        Ok(Self { texts, numbers })
    }
}

/// The elements of each list with commas between, NULL ones left out.
fn joined(lists: &ListArray) -> Result<StringArray> {
    let join = |elements: ArrayRef| -> Result<String> {
        let elements = cast(&elements, &DataType::Utf8)?;
        Ok(elements.as_string::<i32>().iter().flatten().collect::<Vec<_>>().join(", "))
    };
    lists.iter().map(|elements| elements.map(join).transpose()).collect()
}

/// The entries of each row of a struct; a NULL row has none.
///
/// # Errors
/// When a batch holds over 2 GiB of text.
pub fn named_values(rows: &StructArray) -> Result<ListArray> {
    let columns: Vec<Values> = rows.columns().iter().map(Values::of).collect::<Result<_>>()?;
    let fields: Vec<&str> = rows.fields().iter().map(|field| field.name().as_str()).collect();
    let (mut names, mut values, mut numbers) =
        (StringBuilder::new(), StringBuilder::new(), Float64Builder::new());
    let mut lengths = vec![0; rows.len()];
    let mut bytes = 0;
    for (row, length) in lengths.iter_mut().enumerate().filter(|(row, _)| rows.is_valid(*row)) {
        for (name, column) in fields.iter().zip(&columns) {
            if column.texts.is_null(row) {
                continue;
            }
            let value = column.texts.value(row);
            bytes += name.len() + value.len();
            if bytes > i32::MAX as usize {
                return exec_err!("named_values: a batch holds over 2 GiB of text; use a smaller batch size");
            }
            names.append_value(name);
            values.append_value(value);
            numbers.append_option(column.numbers.as_ref().map(|numbers| numbers.value(row)));
            *length += 1;
        }
    }
    let DataType::Struct(fields) = entry_type() else { return exec_err!("an entry is a struct") };
    let columns: Vec<ArrayRef> =
        vec![Arc::new(names.finish()), Arc::new(values.finish()), Arc::new(numbers.finish())];
    let entries = Arc::new(StructArray::try_new(fields, columns, None)?);
    let item = Arc::new(Field::new_list_field(entry_type(), true));
    Ok(ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), entries, None)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Date32Array, Decimal128Array, Int32Array, ListBuilder};

    use super::*;

    fn list(rows: &[Option<&[&str]>]) -> ArrayRef {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in rows {
            lists.append_option(row.map(|row| row.iter().map(|text| Some(*text))));
        }
        Arc::new(lists.finish())
    }

    fn rows() -> StructArray {
        let money = Decimal128Array::from(vec![Some(1250), None, Some(0)]).with_precision_and_scale(18, 2);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
            ("count", Arc::new(Int32Array::from(vec![Some(7), None, None]))),
            ("money", Arc::new(money.unwrap())),
            ("text", Arc::new(StringArray::from(vec![Some("a b"), None, Some("")]))),
            ("day", Arc::new(Date32Array::from(vec![None, None, Some(0)]))),
            ("list", list(&[Some(&["x", "y"]), None, Some(&[])])),
        ];
        let fields = columns.iter().map(|(name, column)| {
            (Arc::new(Field::new(*name, column.data_type().clone(), true)), column.clone())
        });
        StructArray::from(fields.collect::<Vec<_>>())
    }

    fn shown(lists: &ListArray, row: usize) -> Vec<(String, String, Option<f64>)> {
        let entries = lists.value(row);
        let entries = entries.as_struct();
        let text = |column: usize, at| entries.column(column).as_string::<i32>().value(at).to_string();
        let numbers = entries.column(2).as_primitive::<Float64Type>();
        let number = |at| numbers.is_valid(at).then(|| numbers.value(at));
        (0..entries.len()).map(|at| (text(0, at), text(1, at), number(at))).collect()
    }

    #[test]
    fn values_that_are_there_come_in_order() {
        let found = named_values(&rows()).unwrap();
        let entry = |name: &str, value: &str, number| (name.to_string(), value.to_string(), number);
        let first = [
            entry("flag", "true", None),
            entry("count", "7", Some(7.0)),
            entry("money", "12.50", Some(12.5)),
            entry("text", "a b", None),
            entry("list", "x, y", None),
        ];
        assert_eq!(shown(&found, 0), first);
        assert!(shown(&found, 1).is_empty());
        let last = [
            entry("flag", "false", None),
            entry("money", "0.00", Some(0.0)),
            entry("text", "", None),
            entry("day", "1970-01-01", None),
            entry("list", "", None),
        ];
        assert_eq!(shown(&found, 2), last);
        let part = named_values(&rows().slice(2, 1)).unwrap();
        assert_eq!(shown(&part, 0), last);
        assert!(named_values(&rows().slice(1, 0)).unwrap().is_empty());
    }

    #[test]
    fn names_must_be_those_asked_for() {
        let names = |names: &[&str]| {
            let names: Vec<ScalarValue> = names.iter().map(|name| ScalarValue::from(*name)).collect();
            ScalarValue::List(ScalarValue::new_list(&names, &DataType::Utf8, true))
        };
        let row = rows().data_type().clone();
        assert!(check_names(&row, &names(&["list", "day", "text", "money", "count", "flag"])).is_ok());
        let more = check_names(&row, &names(&["list", "day", "text", "money", "count", "flag", "new"]));
        assert!(more.unwrap_err().to_string().contains("'new' is missing; add it to the struct: 'new', new"));
        let fewer = check_names(&row, &names(&["list", "day", "text", "money", "count"]));
        assert!(fewer.unwrap_err().to_string().contains("'flag' is none of the names"));
    }
}
