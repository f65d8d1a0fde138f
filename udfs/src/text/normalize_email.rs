//! `normalize_email`: an address in the one form under which records are matched.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::fold_width_into;
use crate::args::{evaluate, expect_arity, map_text, text_column, text_type};

/// The longest address that SMTP can carry (RFC 5321 4.5.3.1.3, less the angle brackets).
const LONGEST_ADDRESS_BYTES: usize = 254;
/// The longest local part (RFC 5321 4.5.3.1.1).
const LONGEST_LOCAL_BYTES: usize = 64;
/// The longest label of a domain (RFC 1035 2.3.4).
const LONGEST_LABEL_BYTES: usize = 63;

#[user_doc(
    doc_section(label = "Text"),
    description = "Brings an e-mail address into one form: usual widths, trimmed, lower case, without `mailto:`. NULL when it is not plausible: one `@`, a dotted domain, only the characters that an unquoted address may have (RFC 5322 dot-atom), at most 254 characters.",
    syntax_example = "normalize_email(text)",
    sql_example = "```sql\nselect normalize_email(' Wang.Li＠Example.COM ');  -- 'wang.li@example.com'\n```",
    argument(name = "text", description = "An address as typed; NULL gives NULL."),
    related_udf(name = "normalize_phone"),
    related_udf(name = "fold_width")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct NormalizeEmail {
    signature: Signature,
}

impl Default for NormalizeEmail {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for NormalizeEmail {
    fn name(&self) -> &str {
        "normalize_email"
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
            let emails =
                map_text(&text_column(&args, 0, rows)?, |_, text, out| normalize_email_into(text, out))?;
            Ok(Arc::new(emails))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Writes the normal form of an address into `out`; false, with `out` undefined, when it is not plausible.
pub fn normalize_email_into(text: &str, out: &mut String) -> bool {
    fold_width_into(text, out);
    if !out.is_ascii() {
        return false;
    }
    out.make_ascii_lowercase();
    if let Some(address) = out.strip_prefix("mailto:") {
        let prefix = out.len() - address.trim_start().len();
        out.drain(..prefix);
    }
    is_plausible(out)
}

/// Whether an ASCII, lower-case text has the shape of an address.
fn is_plausible(address: &str) -> bool {
    let Some((local, domain)) = address.split_once('@') else { return false };
    address.len() <= LONGEST_ADDRESS_BYTES
        && local.len() <= LONGEST_LOCAL_BYTES
        && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom_byte))
        && is_plausible_domain(domain)
}

fn is_plausible_domain(domain: &str) -> bool {
    let Some((_, top)) = domain.rsplit_once('.') else { return false };
    top.len() >= 2
        && top.starts_with(|c: char| c.is_ascii_alphabetic())
        && domain.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= LONGEST_LABEL_BYTES
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

/// `atext` of RFC 5322 3.2.3.
fn is_atom_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> Option<String> {
        let mut out = String::new();
        normalize_email_into(text, &mut out).then_some(out)
    }

    #[test]
    fn plausible_addresses_get_one_form() {
        for (text, expected) in [
            ("a@b.cn", "a@b.cn"),
            (" Wang.Li＠Example.COM\u{3000}", "wang.li@example.com"),
            ("MAILTO:x+tag@mail.example.co.uk", "x+tag@mail.example.co.uk"),
            ("mailto: x@y.io", "x@y.io"),
            ("１３８@１６３.com", "138@163.com"),
            ("o'neil_1@sub-domain.xn--fiqs8s", "o'neil_1@sub-domain.xn--fiqs8s"),
        ] {
            assert_eq!(normal(text).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn others_are_null() {
        let long = format!("{}@{}.com", "a".repeat(64), "b.".repeat(100) + "c");
        for text in [
            "",
            "@",
            "a@",
            "@b.cn",
            "a@b",
            "a@@b.cn",
            "a@b@c.cn",
            "a b@c.cn",
            "a@b .cn",
            "a@b..cn",
            "a@.cn",
            "a@b.cn.",
            ".a@b.cn",
            "a.@b.cn",
            "a..b@c.cn",
            "a@-b.cn",
            "a@b-.cn",
            "a@1.2.3.4",
            "a@b.c",
            "王@b.cn",
            "a@b_c.cn",
            "<a@b.cn>",
            "无",
            "n/a",
            "mailto:",
            &long,
        ] {
            assert_eq!(normal(text), None, "{text:?}");
        }
        assert!(normal(&format!("{}@b.cn", "a".repeat(64))).is_some());
        assert!(normal(&format!("{}@b.cn", "a".repeat(65))).is_none());
    }

    #[test]
    fn the_normal_form_is_its_own_normal_form() {
        let once = normal("MailTo:Ａ.b＠C.De").unwrap();
        assert_eq!(normal(&once), Some(once.clone()));
    }
}
