//! `fold_width`: full-width characters to their usual width, white space collapsed.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;
use unicode_normalization::UnicodeNormalization;

use crate::args::{evaluate, expect_arity, map_text, text_column, text_type};

#[user_doc(
    doc_section(label = "Text"),
    description = "Folds full-width letters, digits and punctuation to half width and half-width kana to full width (NFKC of the block U+FF00 to U+FFEF only), trims, and collapses inner white space, the ideographic space included, to one space. Zero-width characters are dropped.",
    syntax_example = "fold_width(text)",
    sql_example = "```sql\nselect fold_width(' ＡＢＣ　１２３ ');  -- 'ABC 123'\n```",
    argument(name = "text", description = "Any text; NULL gives NULL.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct FoldWidth {
    signature: Signature,
}

impl Default for FoldWidth {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for FoldWidth {
    fn name(&self) -> &str {
        "fold_width"
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
            let folded = map_text(&text_column(&args, 0, rows)?, |_, text, out| {
                fold_width_into(text, out);
                true
            })?;
            Ok(Arc::new(folded))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Writes `text` with usual widths, trimmed and with single spaces, into `out` (cleared first).
pub fn fold_width_into(text: &str, out: &mut String) {
    out.clear();
    if text.is_ascii() {
        return push_words(text, out);
    }
    let mut gap = false;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let folds = is_width_form(first);
        let end = rest.find(|c| is_width_form(c) != folds).unwrap_or(rest.len());
        let (run, tail) = rest.split_at(end);
        if folds {
            push_collapsed(run.nfkc(), &mut gap, out);
        } else {
            push_collapsed(run.chars(), &mut gap, out);
        }
        rest = tail;
    }
}

/// Words joined by single spaces; what the general way does to ASCII, several times faster.
fn push_words(text: &str, out: &mut String) {
    for word in text.split(char::is_whitespace).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
}

/// The block "Halfwidth and Fullwidth Forms".
fn is_width_form(c: char) -> bool {
    ('\u{FF00}'..='\u{FFEF}').contains(&c)
}

/// Zero-width space, word joiner and byte order mark: invisible, and not white space to Unicode.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}' | '\u{2060}' | '\u{FEFF}')
}

fn push_collapsed(chars: impl Iterator<Item = char>, gap: &mut bool, out: &mut String) {
    for c in chars {
        if c.is_whitespace() {
            *gap = true;
        } else if !is_invisible(c) {
            if std::mem::take(gap) && !out.is_empty() {
                out.push(' ');
            }
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(text: &str) -> String {
        let mut out = String::from("left over");
        fold_width_into(text, &mut out);
        out
    }

    #[test]
    fn folds_widths_and_spaces() {
        for (text, expected) in [
            ("", ""),
            ("　 ", ""),
            (" ＡＢＣ　１２３ ", "ABC 123"),
            (" a\u{b}\n b\u{1f}c ", "a b\u{1f}c"),
            ("a\u{3000}\t \u{a0}b", "a b"),
            ("ｶﾞｷﾞ", "ガギ"),
            ("￥１００", "¥100"),
            ("王　小明", "王 小明"),
            ("x\u{200B}y\u{FEFF}", "xy"),
            ("①ﬁ²", "①ﬁ²"),
            ("e\u{301}", "e\u{301}"),
        ] {
            assert_eq!(fold(text), expected, "{text:?}");
        }
    }

    #[test]
    fn folding_twice_changes_nothing() {
        for code in 0..0x1_1000 {
            if let Some(c) = char::from_u32(code) {
                let once = fold(&format!("a{c}b {c}"));
                assert_eq!(fold(&once), once, "U+{code:04X}");
            }
        }
    }
}
