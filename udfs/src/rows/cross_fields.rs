//! `cross_fields`: what a record says, field by field and for two fields together.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray, StringBuilder, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, exec_err, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::args::{column, constant, evaluate, expect_arity, is_text, nullable_fields, text_type};

#[user_doc(
    doc_section(label = "Rows"),
    description = "A list of what a record says: one entry for each field that is not NULL, with its name and its value as text, and one for each two of the crossed fields that are both not NULL. Entries of one field have NULL for the other. Unnested and counted, it gives the distributions of all fields and of their pairs in one pass.",
    syntax_example = "cross_fields(record, crossed)",
    sql_example = "```sql\nselect unnest(cross_fields(named_struct('gender', gender, 'age', age), 'gender, age')) as entry from people;\n-- {field: gender, value: female, other_field: NULL, other_value: NULL}, ...\n```",
    argument(
        name = "record",
        description = "A struct of texts, integers and booleans, such as `named_struct` makes."
    ),
    argument(
        name = "crossed",
        description = "A constant: names of fields, separated by commas, each two of which are combined; in the order of the record. Empty for none."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct CrossFields {
    signature: Signature,
}

impl Default for CrossFields {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for CrossFields {
    fn name(&self) -> &str {
        "cross_fields"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["record", "crossed"])?;
        let DataType::Struct(fields) = &types[0] else {
            return plan_err!("cross_fields: argument record must be a struct, not {}", types[0]);
        };
        for field in fields {
            let (name, data_type) = (field.name(), field.data_type());
            if !(is_text(data_type) || data_type.is_integer() || *data_type == DataType::Boolean) {
                return plan_err!("cross_fields: field {name} is {data_type}; cast it to varchar");
            }
        }
        Ok(vec![types[0].clone(), text_type(self.name(), "crossed", &types[1])?])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(item()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| {
            let crossed = match constant(self.name(), "crossed", &args, 1)?.try_as_str() {
                Some(Some(names)) => names.to_string(),
                _ => return exec_err!("cross_fields: argument crossed must be a text"),
            };
            let records = column(&args, 0, rows)?;
            match records.as_struct_opt() {
                Some(records) => Ok(Arc::new(cross_fields(records, &crossed)?) as ArrayRef),
                None => internal_err!("cross_fields: expected a struct, found {}", records.data_type()),
            }
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn entry() -> Fields {
    nullable_fields(&[
        ("field", DataType::Utf8),
        ("value", DataType::Utf8),
        ("other_field", DataType::Utf8),
        ("other_value", DataType::Utf8),
    ])
}

fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(entry()), true))
}

/// The places of the fields named in a text, ascending.
fn places(fields: &Fields, crossed: &str) -> Result<Vec<usize>> {
    let mut places = Vec::new();
    for name in crossed.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match fields.iter().position(|field| field.name() == name) {
            Some(place) => places.push(place),
            None => {
                let known: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
                return exec_err!(
                    "cross_fields: crossed names {name}, but the fields are {}",
                    known.join(", ")
                );
            }
        }
    }
    places.sort_unstable();
    places.dedup();
    Ok(places)
}

/// For each record, its known fields in order, then each two known of the crossed ones.
pub fn cross_fields(records: &StructArray, crossed: &str) -> Result<ListArray> {
    let fields = records.fields();
    let texts = records
        .columns()
        .iter()
        .map(|column| Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone()))
        .collect::<Result<Vec<StringArray>>>()?;
    let crossed = places(fields, crossed)?;
    let alone = (0..fields.len()).map(|place| (place, None));
    let pairs = crossed
        .iter()
        .enumerate()
        .flat_map(|(at, first)| crossed[at + 1..].iter().map(|second| (*first, Some(*second))));
    let wanted: Vec<(usize, Option<usize>)> = alone.chain(pairs).collect();

    let mut columns: [StringBuilder; 4] = Default::default();
    let mut lengths = Vec::with_capacity(records.len());
    for row in 0..records.len() {
        let known = |place: usize| records.is_valid(row) && texts[place].is_valid(row);
        let mut length = 0;
        for (first, second) in &wanted {
            if !known(*first) || second.is_some_and(|second| !known(second)) {
                continue;
            }
            columns[0].append_value(fields[*first].name());
            columns[1].append_value(texts[*first].value(row));
            columns[2].append_option(second.map(|second| fields[second].name()));
            columns[3].append_option(second.map(|second| texts[second].value(row)));
            length += 1;
        }
        lengths.push(length);
    }
    let columns = columns.into_iter().map(|mut column| Arc::new(column.finish()) as ArrayRef).collect();
    let entries = StructArray::new(entry(), columns, None);
    Ok(ListArray::try_new(item(), OffsetBuffer::from_lengths(lengths), Arc::new(entries), None)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Int32Array};

    use super::*;

    fn records() -> StructArray {
        let columns: Vec<(FieldRef, ArrayRef)> = vec![
            (
                Arc::new(Field::new("gender", DataType::Utf8, true)),
                Arc::new(StringArray::from(vec![Some("f"), None, Some("m")])),
            ),
            (
                Arc::new(Field::new("loyal", DataType::Boolean, true)),
                Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
            ),
            (Arc::new(Field::new("score", DataType::Int32, true)), Arc::new(Int32Array::from(vec![5, 4, 3]))),
        ];
        columns.into()
    }

    fn shown(list: &ListArray, row: usize) -> Vec<String> {
        let entries = list.value(row);
        let entries = entries.as_struct();
        let part = |place: usize, row: usize| {
            let texts = entries.column(place).as_string::<i32>();
            if texts.is_valid(row) { texts.value(row).to_string() } else { "-".to_string() }
        };
        (0..entries.len())
            .map(|row| (0..4).map(|place| part(place, row)).collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn known_fields_alone_and_in_pairs() {
        let list = cross_fields(&records(), "score, gender").unwrap();
        let expected = ["gender f - -", "loyal true - -", "score 5 - -", "gender f score 5"];
        assert_eq!(shown(&list, 0), expected);
        assert_eq!(shown(&list, 1), ["loyal false - -", "score 4 - -"]);
        assert_eq!(shown(&list, 2), ["gender m - -", "score 3 - -", "gender m score 3"]);
        let part = cross_fields(&records().slice(1, 2), "").unwrap();
        assert_eq!(shown(&part, 1), ["gender m - -", "score 3 - -"]);
        assert_eq!(cross_fields(&records().slice(0, 0), "").unwrap().len(), 0);
        let all = cross_fields(&records(), "gender,loyal,score").unwrap();
        assert_eq!(all.value(0).len(), 6);
        assert_eq!(all.data_type(), &DataType::List(item()));
    }

    #[test]
    fn unknown_names_are_refused() {
        let message = cross_fields(&records(), "gender, sex").unwrap_err().to_string();
        assert!(message.contains("sex, but the fields are gender, loyal, score"), "{message}");
    }
}
