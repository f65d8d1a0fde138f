//! `normalize_name`: a person's name in the one form under which records are matched.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::fold_width_into;
use crate::args::{evaluate, expect_arity, map_text, text_column, text_type};

const CHINESE_HONORIFICS: [&str; 5] = ["先生", "女士", "小姐", "太太", "老师"];
const LATIN_HONORIFICS: [&str; 6] = ["mrs", "mr", "miss", "ms", "dr", "prof"];

#[user_doc(
    doc_section(label = "Text"),
    description = "Brings a person's name into one form: usual widths, lower case, simplified Chinese characters, no space between Chinese, Japanese or Korean characters, single spaces elsewhere, one kind of middle dot, and without the honorifics 先生, 女士, 小姐, 太太, 老师, mr, mrs, miss, ms, dr, prof (with or without a dot) at either end. NULL when nothing remains.",
    syntax_example = "normalize_name(text)",
    sql_example = "```sql\nselect normalize_name('王　小明 先生');  -- '王小明'\n```",
    argument(name = "text", description = "A name as typed; NULL gives NULL."),
    related_udf(name = "fold_width")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct NormalizeName {
    signature: Signature,
}

impl Default for NormalizeName {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for NormalizeName {
    fn name(&self) -> &str {
        "normalize_name"
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
        evaluate(&args, |rows| {
            let mut folded = String::new();
            let names = map_text(&text_column(&args, 0, rows)?, |_, text, out| {
                normalize_name_into(text, &mut folded, out)
            })?;
            Ok(Arc::new(names))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Writes the normal form of a name into `out`; false when nothing remains. `folded` is scratch space.
pub fn normalize_name_into(text: &str, folded: &mut String, out: &mut String) -> bool {
    fold_width_into(text, folded);
    if folded.contains(is_cjk) {
        *folded = hanconv::t2s(folded.as_str());
    }
    out.clear();
    let mut chars = strip_honorifics(folded).chars().peekable();
    let mut before = None;
    while let Some(c) = chars.next() {
        let between = |next: Option<&char>| before.is_some_and(is_cjk) && next.copied().is_some_and(is_cjk);
        if c == ' ' && between(chars.peek()) {
            continue;
        }
        match c {
            '•' | '‧' | '・' | '∙' => out.push('·'),
            _ => out.extend(c.to_lowercase()),
        }
        before = Some(c);
    }
    !out.is_empty()
}

/// Cuts honorifics and the spaces around them from both ends, as often as they occur.
fn strip_honorifics(name: &str) -> &str {
    let mut rest = name.trim();
    loop {
        let shorter = strip_one(rest).trim();
        if shorter.len() == rest.len() {
            return rest;
        }
        rest = shorter;
    }
}

fn strip_one(name: &str) -> &str {
    for honorific in CHINESE_HONORIFICS {
        if let Some(rest) = name.strip_suffix(honorific).or_else(|| name.strip_prefix(honorific)) {
            return rest;
        }
    }
    for honorific in LATIN_HONORIFICS {
        if let Some(rest) =
            strip_latin_prefix(name, honorific).or_else(|| strip_latin_suffix(name, honorific))
        {
            return rest;
        }
    }
    name
}

/// `mr smith`, `mr. smith`, `mr.smith`, `mr王`; not `mraz`.
fn strip_latin_prefix<'a>(name: &'a str, honorific: &str) -> Option<&'a str> {
    let head = name.get(..honorific.len()).filter(|head| head.eq_ignore_ascii_case(honorific))?;
    let rest = &name[head.len()..];
    let ends = rest.chars().next().is_none_or(|c| !c.is_alphanumeric() || is_cjk(c));
    ends.then(|| rest.strip_prefix('.').unwrap_or(rest))
}

/// `smith mr`, `smith, dr.`, `王mr`; not `zdr`.
fn strip_latin_suffix<'a>(name: &'a str, honorific: &str) -> Option<&'a str> {
    let undotted = name.strip_suffix('.').unwrap_or(name);
    let start = undotted.len().checked_sub(honorific.len())?;
    undotted.get(start..).filter(|tail| tail.eq_ignore_ascii_case(honorific))?;
    let rest = &undotted[..start];
    let starts = rest.chars().next_back().is_none_or(|c| matches!(c, ' ' | ',' | '.') || is_cjk(c));
    starts.then(|| rest.trim_end().strip_suffix(',').unwrap_or(rest))
}

/// Han, kana and Hangul, with the iteration marks that occur in names.
pub(super) fn is_cjk(c: char) -> bool {
    matches!(c, '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}' | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> Option<String> {
        let (mut folded, mut out) = (String::new(), String::new());
        normalize_name_into(text, &mut folded, &mut out).then_some(out)
    }

    #[test]
    fn names_get_one_form() {
        for (text, expected) in [
            ("王　小明 先生", "王小明"),
            ("王 小 明", "王小明"),
            ("女士李娜", "李娜"),
            ("陳國華　先生", "陈国华"),
            ("Miss Li", "li"),
            ("Missy Li", "missy li"),
            ("ＬＩ  Ｎａ", "li na"),
            ("Mr. John  SMITH", "john smith"),
            ("mr.smith", "smith"),
            ("Mrs Dr. Ada King", "ada king"),
            ("Smith, Dr.", "smith"),
            ("Mraz Drew", "mraz drew"),
            ("王Mr", "王"),
            ("David 王", "david 王"),
            ("买买提・艾力", "买买提·艾力"),
            ("MÜLLER", "müller"),
            ("O'Neil-Jones Jr.", "o'neil-jones jr."),
        ] {
            assert_eq!(normal(text).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn nothing_left_is_null() {
        for text in ["", "　", "先生", "Mr.", "mr mrs", " 女士 先生 "] {
            assert_eq!(normal(text), None, "{text:?}");
        }
    }

    #[test]
    fn odd_boundaries_do_not_panic() {
        for text in ["é", "mé", "mré", "é.", ".", ",", "m", "dr,", "İ", "ß dr", "\u{1F600}ms", "先", "生先"]
        {
            normal(text);
        }
    }
}
