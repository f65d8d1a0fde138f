//! `normalize_phone`: a telephone number as E.164 text.

use std::sync::Arc;

use arrow::array::{Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType, Region};

use super::fold_width_into;
use crate::args::{TextArgument, evaluate, expect_arity, map_text, text_column, text_type};

#[user_doc(
    doc_section(label = "Text"),
    description = "Brings a telephone number into E.164 form (`+8613812345678`), by the numbering plans of all countries (libphonenumber). Accepts full-width digits, spaces, dashes, dots, slashes and brackets, the prefixes `+`, `00` and `tel:`, a trunk zero behind a country code, a country code without prefix where the number is valid only so, and an extension, which is left out. NULL for a number that its country does not assign, one without the area code it needs, and one of a service (toll-free, shared cost, premium rate, company-wide), which is nobody's own.",
    syntax_example = "normalize_phone(text, default_country)",
    sql_example = "```sql\nselect normalize_phone('０１０－６２３４ ５６７８', 'CN');  -- '+861062345678'\n```",
    argument(name = "text", description = "A number as typed; NULL gives NULL."),
    argument(
        name = "default_country",
        description = "Country of numbers without a country code, two letters as ISO 3166 has them, such as CN or GB."
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
    let regions = match countries {
        TextArgument::Constant(country) => vec![country.as_deref().map(region).transpose()?],
        TextArgument::Column(texts) => {
            (0..texts.len()).map(|row| countries.get(row).map(region).transpose()).collect::<Result<_>>()?
        }
    };
    let mut folded = String::new();
    map_text(phones, |row, text, out| match regions.get(row).or(regions.first()).copied().flatten() {
        Some(region) => normalize_phone_into(text, region, &mut folded, out),
        None => false,
    })
}

/// The country of a code of two letters.
fn region(country: &str) -> Result<Region> {
    let assigned = |region: &Region| PHONE_NUMBER_UTIL.get_country_code_for_region(*region).is_some();
    match Region::from_code(country.trim()).ok().filter(assigned) {
        Some(region) => Ok(region),
        None => exec_err!(
            "normalize_phone: default country '{country}' is not known; use a code of two letters, such as CN or GB"
        ),
    }
}

/// Writes the E.164 form of a number into `out`; false, with `out` undefined, when it can be nobody's. `region` is the
/// country of numbers that name none; `folded` is scratch space.
fn normalize_phone_into(text: &str, region: Region, folded: &mut String, out: &mut String) -> bool {
    fold_width_into(text, folded);
    let prefixed = folded.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("tel:"));
    let written = if prefixed { &folded[4..] } else { folded };
    let Ok(number) = PHONE_NUMBER_UTIL.parse(written, Some(region)) else { return false };
    // letters would count as the digits on their keys; a `o` among digits is no number
    if number.extension.is_none() && written.contains(char::is_alphabetic) {
        return false;
    }
    let service = [
        PhoneNumberType::Unknown,
        PhoneNumberType::TollFree,
        PhoneNumberType::SharedCost,
        PhoneNumberType::PremiumRate,
        PhoneNumberType::UAN,
    ];
    if service.contains(&PHONE_NUMBER_UTIL.get_number_type(&number)) {
        return false;
    }
    out.clear();
    out.push_str(&PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str, country: &str) -> Option<String> {
        let (mut folded, mut out) = (String::new(), String::new());
        normalize_phone_into(text, region(country).unwrap(), &mut folded, &mut out).then_some(out)
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
            "13812345678 ext 2",
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
            "15412345678",
            "138+12345678",
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
        let message = region("Atlantis").unwrap_err().to_string();
        assert!(message.contains("'Atlantis'") && message.contains("CN"), "{message}");
        assert!(region("XX").is_err());
    }
}
