//! `trim_to_null`: text without white space around it; nothing is NULL.

use std::sync::Arc;

use arrow::array::{Array, StringArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::args::{evaluate, expect_arity, map_text, text_column, text_type};

#[user_doc(
    doc_section(label = "Text"),
    description = "Takes white space (Unicode's White_Space) off both ends, and gives NULL where nothing is left. Columns that need no change are passed on as they are.",
    syntax_example = "trim_to_null(text)",
    sql_example = "```sql\nselect trim_to_null(' A1 '), trim_to_null('  ');  -- 'A1', NULL\n```",
    argument(name = "text", description = "Any text; NULL gives NULL.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TrimToNull {
    signature: Signature,
}

impl Default for TrimToNull {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for TrimToNull {
    fn name(&self) -> &str {
        "trim_to_null"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["text"])?;
        Ok(vec![text_type(self.name(), "text", &types[0])?])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| Ok(Arc::new(trim_to_null(text_column(&args, 0, rows)?)?)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn trim_to_null(texts: StringArray) -> Result<StringArray> {
    let values = (0..texts.len()).map(|row| texts.value(row));
    let (mut padded, mut empty) = (false, false);
    for text in values.clone() {
        empty |= text.is_empty();
        padded |= is_padded(text);
    }
    if padded {
        return map_text(&texts, |_, text, out| {
            out.clear();
            out.push_str(text.trim());
            !out.is_empty()
        });
    }
    if !empty {
        return Ok(texts);
    }
    let filled =
        NullBuffer::new(BooleanBuffer::collect_bool(texts.len(), |row| !texts.value(row).is_empty()));
    let nulls = NullBuffer::union(texts.nulls(), Some(&filled));
    let (offsets, bytes, _) = texts.into_parts();
    Ok(StringArray::try_new(offsets, bytes, nulls)?)
}

/// Whether white space stands at an end. Printable ASCII at both ends is told by two bytes.
fn is_padded(text: &str) -> bool {
    let plain = |byte: Option<&u8>| byte.is_none_or(|byte| byte.is_ascii_graphic());
    let bytes = text.as_bytes();
    !(plain(bytes.first()) && plain(bytes.last())) && text.trim().len() != text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(texts: &[Option<&str>], expected: &[Option<&str>]) -> StringArray {
        let found = trim_to_null(texts.iter().copied().collect()).unwrap();
        assert_eq!(found, StringArray::from(expected.to_vec()));
        found
    }

    #[test]
    fn white_space_goes_and_nothing_is_null() {
        let texts = [
            Some(" a b\t"),
            Some("  "),
            None,
            Some(""),
            Some("\u{3000}王\u{a0}"),
            Some("é"),
            Some("x\u{1f}"),
        ];
        check(&texts, &[Some("a b"), None, None, None, Some("王"), Some("é"), Some("x\u{1f}")]);
        check(&[Some("a"), Some(""), None], &[Some("a"), None, None]);
        check(&[], &[]);
    }

    #[test]
    fn clean_columns_are_passed_on() {
        let texts = StringArray::from(vec![Some("a"), None, Some("王")]);
        let found = trim_to_null(texts.clone()).unwrap();
        assert_eq!(found.values().as_ptr(), texts.values().as_ptr());
        let sliced = StringArray::from(vec!["left", "", "right"]).slice(1, 2);
        assert_eq!(trim_to_null(sliced).unwrap(), StringArray::from(vec![None, Some("right")]));
    }
}
