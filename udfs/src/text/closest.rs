//! `closest`: the one text of a list that another is a slip of.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, ListArray, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::Pairs;
use super::similarity::MOST_CHARACTERS;
use crate::args::{column, evaluate, expect_arity, list_column, map_text, text_column, text_list, text_type};

#[user_doc(
    doc_section(label = "Text"),
    description = "The text of a list that another text equals, or else is the fewest edits away from (`edit_distance`), at most so many. NULL where none is so near, or several are equally near.",
    syntax_example = "closest(text, candidates, max_edits)",
    sql_example = "```sql\nselect closest('gmial.com', ['gmail.com', 'hotmail.com'], 1);  -- 'gmail.com'\n```",
    argument(name = "text", description = "Any text; NULL gives NULL."),
    argument(
        name = "candidates",
        description = "A list of texts; NULL gives NULL, and a NULL in it is passed over."
    ),
    argument(name = "max_edits", description = "Edits that are still a slip, from 0 up."),
    related_udf(name = "edit_distance")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Closest {
    signature: Signature,
}

impl Default for Closest {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Closest {
    fn name(&self) -> &str {
        "closest"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["text", "candidates", "max_edits"])?;
        Ok(vec![text_type(self.name(), "text", &types[0])?, text_list(), DataType::Int64])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| {
            let (texts, lists) = (text_column(&args, 0, rows)?, list_column(&args, 1, rows)?);
            let most = column(&args, 2, rows)?;
            let Some(most) = most.as_primitive_opt::<Int64Type>() else {
                return internal_err!("closest: max_edits must be Int64, found {}", most.data_type());
            };
            Ok(Arc::new(closest_texts(&texts, &lists, most)?))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn closest_texts(texts: &StringArray, lists: &ListArray, most: &Int64Array) -> Result<StringArray> {
    if let Some(negative) = most.iter().flatten().find(|edits| *edits < 0) {
        return exec_err!("closest: max_edits is {negative}; it counts edits, from 0 up");
    }
    let Some(values) = lists.values().as_string_opt::<i32>() else {
        return internal_err!("closest: candidates must be Utf8, found {}", lists.value_type());
    };
    let mut pairs = Pairs::default();
    map_text(texts, |row, text, out| {
        if lists.is_null(row) || most.is_null(row) {
            return false;
        }
        let first = lists.value_offsets()[row] as usize;
        let places = first..first + lists.value_length(row) as usize;
        let candidates = places.filter(|place| values.is_valid(*place)).map(|place| values.value(place));
        match closest(text, candidates, most.value(row) as usize, &mut pairs) {
            Some(found) => out.push_str(found),
            None => return false,
        }
        true
    })
}

/// The candidate that is nearest to `text`, at most `most` edits away; `None` for none or several different ones, and for a
/// text too long to be compared.
fn closest<'a>(
    text: &str,
    candidates: impl Iterator<Item = &'a str> + Clone,
    most: usize,
    pairs: &mut Pairs,
) -> Option<&'a str> {
    if let Some(same) = candidates.clone().find(|candidate| *candidate == text) {
        return Some(same);
    }
    let length = text.chars().count();
    if length > MOST_CHARACTERS {
        return None;
    }
    let mut nearest: Option<(usize, &str)> = None;
    let mut tied = false;
    for candidate in candidates {
        if candidate.chars().count().abs_diff(length) > most {
            continue;
        }
        let edits = pairs.edit_distance(text, candidate);
        match nearest {
            _ if edits > most => {}
            Some((fewest, _)) if edits > fewest => {}
            Some((fewest, other)) if edits == fewest => tied |= other != candidate,
            _ => (nearest, tied) = (Some((edits, candidate)), false),
        }
    }
    nearest.filter(|_| !tied).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_ambiguous_ones_left() {
        let known = ["gmail.com", "hotmail.com", "mail.com", "aliyun.com"];
        for (text, most, expected) in [
            ("gmail.com", 0, Some("gmail.com")),
            ("gmial.com", 1, Some("gmail.com")),
            ("gmail.con", 1, Some("gmail.com")),
            ("mail.com", 1, Some("mail.com")),
            ("email.com", 1, None), // gmail.com and mail.com are equally near
            ("hotmial.co", 1, None),
            ("hotmial.co", 2, Some("hotmail.com")),
            ("example.org", 2, None),
            ("", 1, None),
        ] {
            let mut pairs = Pairs::default();
            assert_eq!(closest(text, known.into_iter(), most, &mut pairs), expected, "{text}");
        }
        let twice = ["ab", "ab"].into_iter();
        assert_eq!(
            closest("abc", twice, 1, &mut Pairs::default()),
            Some("ab"),
            "the same text twice is no tie"
        );
    }
}
