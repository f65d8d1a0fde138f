//! `normalize_phone`: a telephone number as E.164 text.

use std::sync::Arc;

use arrow::array::{Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::fold_width_into;
use crate::args::{TextArgument, evaluate, expect_arity, map_text, text_column, text_type};

/// The digits that ITU-T E.164 allows at most, country code included.
const LONGEST_NUMBER_DIGITS: usize = 15;
/// The fewest digits of a number with its country code that we take for one.
const SHORTEST_NUMBER_DIGITS: usize = 8;
/// Country calling codes (ITU-T E.164) of the default countries that may be named.
const COUNTRIES: [(&str, &str); 16] = [
    ("AU", "61"),
    ("CA", "1"),
    ("CN", "86"),
    ("DE", "49"),
    ("FR", "33"),
    ("GB", "44"),
    ("HK", "852"),
    ("IN", "91"),
    ("JP", "81"),
    ("KR", "82"),
    ("MO", "853"),
    ("MY", "60"),
    ("NZ", "64"),
    ("SG", "65"),
    ("TW", "886"),
    ("US", "1"),
];

#[user_doc(
    doc_section(label = "Text"),
    description = "Brings a telephone number into E.164 form (`+8613812345678`). Accepts full-width digits, spaces, dashes, dots, slashes and brackets, the prefixes `+`, `00` and `tel:`, `(0)` behind a country code and a bare `86` before a Chinese mobile number. Chinese numbers must be mobiles (11 digits from 13 to 19) or land lines (0, area code, 7 or 8 digits); numbers of country code 1 must have 10 valid digits; others 8 to 15 digits with the country code. NULL when not plausible.",
    syntax_example = "normalize_phone(text, default_country)",
    sql_example = "```sql\nselect normalize_phone('０１０－６２３４ ５６７８', 'CN');  -- '+861062345678'\n```",
    argument(name = "text", description = "A number as typed; NULL gives NULL."),
    argument(
        name = "default_country",
        description = "Country of numbers without a country code: AU, CA, CN, DE, FR, GB, HK, IN, JP, KR, MO, MY, NZ, SG, TW or US."
    ),
    related_udf(name = "normalize_email")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct NormalizePhone {
    signature: Signature,
}

impl Default for NormalizePhone {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for NormalizePhone {
    fn name(&self) -> &str {
        "normalize_phone"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let names = ["text", "default_country"];
        expect_arity(self.name(), types, &names)?;
        types.iter().zip(names).map(|(data_type, name)| text_type(self.name(), name, data_type)).collect()
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let countries = TextArgument::read(&args, 1)?;
        evaluate(&args, |rows| {
            let phones = text_column(&args, 0, rows)?;
            Ok(Arc::new(normalize_phones(&phones, &countries)?))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn normalize_phones(phones: &StringArray, countries: &TextArgument) -> Result<StringArray> {
    let codes = match countries {
        TextArgument::Constant(country) => vec![country.as_deref().map(country_code).transpose()?],
        TextArgument::Column(texts) => (0..texts.len())
            .map(|row| countries.get(row).map(country_code).transpose())
            .collect::<Result<_>>()?,
    };
    let mut folded = String::new();
    map_text(phones, |row, text, out| match codes.get(row).or(codes.first()).copied().flatten() {
        Some(code) => normalize_phone_into(text, code, &mut folded, out),
        None => false,
    })
}

/// The calling code of a default country, `86` for `CN`.
pub fn country_code(country: &str) -> Result<&'static str> {
    match COUNTRIES.iter().find(|(name, _)| name.eq_ignore_ascii_case(country.trim())) {
        Some((_, code)) => Ok(code),
        None => {
            let known: Vec<_> = COUNTRIES.iter().map(|(name, _)| *name).collect();
            exec_err!(
                "normalize_phone: default country '{country}' is not known; use one of {}",
                known.join(", ")
            )
        }
    }
}

/// Writes the E.164 form of a number into `out`; false, with `out` undefined, when it is not plausible.
/// `default_code` is the calling code of numbers that have none; `folded` is scratch space.
pub fn normalize_phone_into(text: &str, default_code: &str, folded: &mut String, out: &mut String) -> bool {
    fold_width_into(text, folded);
    out.clear();
    out.push('+');
    let Some(international) = push_digits(folded, out) else { return false };
    let digits = &out[1..];
    if international {
        return keep_international(0, out);
    }
    if digits.starts_with("00") {
        return keep_international(2, out);
    }
    if default_code == "1" && digits.starts_with("011") {
        return keep_international(3, out);
    }
    if default_code == "86"
        && digits.len() == 13
        && digits.starts_with("86")
        && is_chinese_mobile(&digits[2..])
    {
        return true;
    }
    if default_code == "1" && digits.len() == 11 && digits.starts_with('1') {
        return is_north_american(&digits[1..]);
    }
    let chinese_mobile = is_chinese_mobile(digits.strip_prefix('0').unwrap_or(digits));
    if default_code == "86" && !digits.starts_with('0') && !chinese_mobile {
        return false; // a land line without its area code belongs to no one place
    }
    if digits.starts_with('0') {
        out.remove(1);
    }
    out.insert_str(1, default_code);
    is_plausible(&out[1..])
}

/// Appends the digits of a number to `out` and says whether it begins with `+`; `None` for other characters.
fn push_digits(folded: &str, out: &mut String) -> Option<bool> {
    let prefixed = folded.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("tel:"));
    let number = if prefixed { &folded[4..] } else { folded };
    let mut international = false;
    for (at, c) in number.char_indices() {
        match c {
            '0' if international && number[..at].ends_with('(') && number[at + 1..].starts_with(')') => {}
            '0'..='9' if out.len() <= LONGEST_NUMBER_DIGITS + 4 => out.push(c),
            '+' if out.len() == 1 && !international => international = true,
            ' ' | '-' | '(' | ')' | '.' | '/' | '‐' | '‑' | '–' | '—' | '−' | '（' | '）' => {}
            _ => return None,
        }
    }
    Some(international)
}

/// Drops `prefix` digits of an international number and a trunk zero behind a Chinese country code.
fn keep_international(prefix: usize, out: &mut String) -> bool {
    out.drain(1..=prefix);
    if out[1..].starts_with("860") {
        out.remove(3);
    }
    is_plausible(&out[1..])
}

/// Whether digits with their country code can be a number.
fn is_plausible(digits: &str) -> bool {
    if let Some(national) = digits.strip_prefix("86") {
        return is_chinese_mobile(national) || is_chinese_land_line(national);
    }
    if let Some(national) = digits.strip_prefix('1') {
        return is_north_american(national);
    }
    (SHORTEST_NUMBER_DIGITS..=LONGEST_NUMBER_DIGITS).contains(&digits.len()) && !digits.starts_with('0')
}

/// 11 digits from 13 to 19.
fn is_chinese_mobile(national: &str) -> bool {
    let bytes = national.as_bytes();
    bytes.len() == 11 && bytes[0] == b'1' && bytes[1] >= b'3'
}

/// Area code without its zero (10, 2x, or three digits from 3 to 9; 400 and 800 are service numbers), then
/// 7 or 8 digits that begin with neither 0 nor 1.
fn is_chinese_land_line(national: &str) -> bool {
    let area_digits = match national.as_bytes() {
        [b'1', b'0', ..] | [b'2', b'0'..=b'9', ..] => 2,
        [b'4' | b'8', b'0', b'0', ..] => return false,
        [b'3'..=b'9', _, _, ..] => 3,
        _ => return false,
    };
    let subscriber = &national[area_digits..];
    matches!(subscriber.len(), 7 | 8) && !subscriber.starts_with(['0', '1'])
}

/// Ten digits, area and exchange from 2 to 9 (North American Numbering Plan).
fn is_north_american(national: &str) -> bool {
    let bytes = national.as_bytes();
    bytes.len() == 10 && bytes[0] >= b'2' && bytes[3] >= b'2'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str, country: &str) -> Option<String> {
        let (mut folded, mut out) = (String::new(), String::new());
        normalize_phone_into(text, country_code(country).unwrap(), &mut folded, &mut out).then_some(out)
    }

    #[test]
    fn chinese_numbers() {
        for text in [
            "13812345678",
            "+8613812345678",
            "008613812345678",
            "8613812345678",
            "138 1234 5678",
            "138-1234-5678",
            "(+86) 138-1234-5678",
            "＋８６　１３８１２３４５６７８",
            "013812345678",
            "+86 013812345678",
            "tel:13812345678",
            "（86）13812345678",
            "138.1234.5678",
        ] {
            assert_eq!(normal(text, "CN").as_deref(), Some("+8613812345678"), "{text:?}");
        }
        for (text, expected) in [
            ("010-62345678", "+861062345678"),
            ("(0571) 8765 4321", "+8657187654321"),
            ("+86 (0)21 6234-5678", "+862162345678"),
            ("0951-6234567", "+869516234567"),
            ("+1 (415) 555-2671", "+14155552671"),
            ("+44 (0)20 7946 0958", "+442079460958"),
            ("00852 2345 6789", "+85223456789"),
        ] {
            assert_eq!(normal(text, "CN").as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn other_default_countries() {
        for (text, country, expected) in [
            ("(415) 555-2671", "US", "+14155552671"),
            ("1-415-555-2671", "us", "+14155552671"),
            ("011 86 138 1234 5678", "US", "+8613812345678"),
            ("020 7946 0958", "GB", "+442079460958"),
            ("030 1234567", "DE", "+49301234567"),
            ("2345 6789", "HK", "+85223456789"),
        ] {
            assert_eq!(normal(text, country).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn implausible_numbers_are_null() {
        for text in [
            "",
            "无",
            "+",
            "0",
            "00",
            "+86",
            "12345678901",
            "1381234567",
            "138123456789",
            "62345678",
            "400-800-8820",
            "+86 400 800 8820",
            "13812345678 ext 2",
            "138+12345678",
            "++8613812345678",
            "+1 123 456 7890",
            "+0123456789",
            "+1234567",
            "+999999999999999999999999",
            "1380000000o",
            "010-1234567",
        ] {
            assert_eq!(normal(text, "CN"), None, "{text:?}");
        }
        assert_eq!(normal("+861381234567", "US"), None);
        assert_eq!(normal(&"9".repeat(10_000), "GB"), None);
    }

    #[test]
    fn an_unknown_country_is_named() {
        let message = country_code("Atlantis").unwrap_err().to_string();
        assert!(message.contains("'Atlantis'") && message.contains("CN"), "{message}");
    }
}
