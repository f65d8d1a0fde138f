//! What functions that name segments share: their arguments, the language, the names themselves.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int32Array, StringArray, StringBuilder, new_null_array};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use super::VectorModel;
use crate::args::{column, constant, evaluate, expect_arity, text_type};
use crate::model::model_argument_type;

/// A model whose segments have names.
pub(super) trait NamesSegments: VectorModel {
    /// The place in the model of the segment with this id; an error when it has no such segment.
    fn place(&self, segment: i32) -> Result<usize>;
    /// The names of its segments, English or Chinese.
    fn names(&self, chinese: bool) -> &[String];
    /// The name of no segment.
    fn nobody(chinese: bool) -> Option<&'static str>;
}

/// The types of `(segment, model[, language])`.
pub(super) fn name_types<M: NamesSegments>(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let names = ["segment", "model", "language"];
    expect_arity(function, types, if types.len() == 3 { &names } else { &names[..2] })?;
    if !(types[0].is_null() || types[0].is_integer()) {
        return plan_err!("{function}: argument segment must be an integer, not {}", types[0]);
    }
    let mut coerced = vec![DataType::Int32, model_argument_type(function, &types[1], &M::model_type())?];
    if let Some(language) = types.get(2) {
        coerced.push(text_type(function, "language", language)?);
    }
    Ok(coerced)
}

/// The names for arguments of [`name_types`].
pub(super) fn named<M: NamesSegments>(function: &str, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let model = constant(function, "model", args, 1)?;
    let chinese = match args.args.len() {
        3 => match constant(function, "language", args, 2)?.try_as_str().flatten() {
            Some("en") => false,
            Some("zh") => true,
            other => {
                let other = other.unwrap_or("NULL");
                return plan_err!("{function}: language '{other}' is not known; use 'en' or 'zh'");
            }
        },
        _ => false,
    };
    evaluate(args, |rows| {
        if model.is_null() {
            return Ok(new_null_array(&DataType::Utf8, rows));
        }
        let array = column(args, 0, rows)?;
        let Some(segments) = array.as_primitive_opt::<Int32Type>() else {
            return internal_err!("{function}: expected Int32, found {}", array.data_type());
        };
        Ok(Arc::new(segment_names(segments, &M::parse(model)?, chinese)?))
    })
}

pub(super) fn segment_names<M: NamesSegments>(
    segments: &Int32Array,
    model: &M,
    chinese: bool,
) -> Result<StringArray> {
    let mut found = StringBuilder::new();
    for segment in segments {
        match segment {
            Some(segment) => found.append_value(&model.names(chinese)[model.place(segment)?]),
            None => found.append_option(M::nobody(chinese)),
        }
    }
    Ok(found.finish())
}
