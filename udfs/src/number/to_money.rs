//! `to_money`: any number or text as decimal money with two places.

use std::fmt::{Display, Write};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int64Type, UInt64Type,
};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::args::{column, evaluate, expect_arity, is_text};
use crate::text::fold_width_into;

const PRECISION: u8 = 18;
const SCALE: i8 = 2;
/// The first amount of hundredths that does not fit 18 digits.
const TOO_LARGE: i128 = 1_000_000_000_000_000_000;

#[user_doc(
    doc_section(label = "Numbers"),
    description = "Money as DECIMAL(18, 2), rounded half away from zero on the decimal text of the value, so that 1.005 gives 1.01 although the double lies below it. Text may have full-width digits, a sign, one of ¥ $ € £ before or 元 behind, thousands in groups of three, an exponent. NULL for NaN, infinities, amounts that do not fit, and text that is no number.",
    syntax_example = "to_money(amount)",
    sql_example = "```sql\nselect to_money('￥1,234.565');  -- 1234.57\n```",
    argument(name = "amount", description = "A double, real, decimal, integer or text; NULL gives NULL.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ToMoney {
    signature: Signature,
}

impl Default for ToMoney {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ToMoney {
    fn name(&self) -> &str {
        "to_money"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["amount"])?;
        Ok(vec![match &types[0] {
            text if is_text(text) => DataType::Utf8,
            DataType::Float16 | DataType::Float32 => DataType::Float32,
            DataType::Float64 => DataType::Float64,
            DataType::UInt64 => DataType::UInt64,
            integer if integer.is_integer() => DataType::Int64,
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
            decimal @ (DataType::Decimal128(_, _) | DataType::Decimal256(_, _)) => decimal.clone(),
            other => return plan_err!("to_money: argument amount must be a number or text, not {other}"),
        }])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(PRECISION, SCALE))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| {
            let money = to_money(&column(&args, 0, rows)?)?;
            Ok(Arc::new(money.with_precision_and_scale(PRECISION, SCALE)?))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn to_money(amounts: &ArrayRef) -> Result<Decimal128Array> {
    let mut text = String::new();
    Ok(match amounts.data_type() {
        DataType::Utf8 => amounts
            .as_string::<i32>()
            .iter()
            .map(|amount| {
                fold_width_into(amount?, &mut text);
                text_to_cents(&text)
            })
            .collect(),
        DataType::Float64 => {
            let amounts = amounts.as_primitive::<Float64Type>().iter();
            amounts.map(|amount| float_to_cents(amount?, &mut text)).collect()
        }
        DataType::Float32 => {
            let amounts = amounts.as_primitive::<Float32Type>().iter();
            amounts.map(|amount| write_to_cents(amount?, &mut text)).collect()
        }
        DataType::Int64 => {
            amounts.as_primitive::<Int64Type>().unary_opt(|amount| within(i128::from(amount) * 100))
        }
        DataType::UInt64 => {
            amounts.as_primitive::<UInt64Type>().unary_opt(|amount| within(i128::from(amount) * 100))
        }
        DataType::Decimal128(_, scale) => {
            amounts.as_primitive::<Decimal128Type>().unary_opt(|unscaled| decimal_to_cents(unscaled, *scale))
        }
        DataType::Decimal256(_, _) => {
            let decimals = amounts.as_primitive::<Decimal256Type>();
            let cents = |row| text_to_cents(&decimals.value_as_string(row));
            (0..decimals.len()).map(|row| decimals.is_valid(row).then(|| cents(row)).flatten()).collect()
        }
        other => return internal_err!("to_money: {other} is not supported"),
    })
}

fn within(cents: i128) -> Option<i128> {
    (-TOO_LARGE < cents && cents < TOO_LARGE).then_some(cents)
}

/// Hundredths of a double, rounded half away from zero on its shortest decimal text; `None` when it does
/// not fit. `text` is scratch space.
pub fn float_to_cents(amount: f64, text: &mut String) -> Option<i128> {
    let hundredfold = amount * 100.0;
    // up to 1e12 the product is off by less than 2e-4, so that away from ties rounding it is right
    if hundredfold.abs() < 1e12 && (hundredfold.fract().abs() - 0.5).abs() > 1e-3 {
        return Some(hundredfold.round() as i128);
    }
    if !amount.is_finite() {
        return None;
    }
    write_to_cents(amount, text)
}

/// Hundredths of a number by way of its text, written into scratch space.
fn write_to_cents(amount: impl Display, text: &mut String) -> Option<i128> {
    text.clear();
    write!(text, "{amount}").ok()?;
    text_to_cents(text)
}

/// Hundredths of a decimal, rounded half away from zero.
fn decimal_to_cents(unscaled: i128, scale: i8) -> Option<i128> {
    let shift = u32::from(scale.abs_diff(SCALE));
    if scale <= SCALE {
        if unscaled == 0 {
            return Some(0);
        }
        return within(unscaled.checked_mul(10i128.checked_pow(shift)?)?);
    }
    let Some(divisor) = 10i128.checked_pow(shift) else { return Some(0) };
    let (quotient, rest) = (unscaled / divisor, unscaled % divisor);
    let up = i128::from(rest.unsigned_abs() >= divisor.unsigned_abs() / 2);
    within(quotient + up * unscaled.signum())
}

/// Hundredths of a number written in half-width text, rounded half away from zero; `None` when it is no
/// number or does not fit.
pub fn text_to_cents(text: &str) -> Option<i128> {
    let (negative, number) = strip_sign_and_currency(text.trim());
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (number, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !is_grouped(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let digits = || whole.bytes().filter(|b| *b != b',').chain(fraction.bytes());
    let whole_digits = whole.bytes().filter(|b| *b != b',').count();
    // digits before this index count as hundredths, the one at it rounds
    let end = i64::try_from(whole_digits).ok()?.checked_add(exponent)?.checked_add(i64::from(SCALE))?;
    let cents = round_digits(digits(), end)?;
    within(if negative { -cents } else { cents })
}

/// The first `end` digits as a number, padded with zeros, rounded up when the next digit is 5 or more.
fn round_digits(digits: impl Iterator<Item = u8>, end: i64) -> Option<i128> {
    let mut number = 0i128;
    let mut index = 0i64;
    for digit in digits {
        let digit = i128::from(digit - b'0');
        if index == end {
            return Some(number + i128::from(digit >= 5));
        }
        if index > end {
            return Some(number);
        }
        number = number.checked_mul(10)?.checked_add(digit)?;
        if number >= TOO_LARGE {
            return None;
        }
        index += 1;
    }
    while index < end && number != 0 {
        number = within(number.checked_mul(10)?)?;
        index += 1;
    }
    Some(number)
}

/// Cuts one sign and one currency sign, in either order; says whether the sign was a minus.
fn strip_sign_and_currency(text: &str) -> (bool, &str) {
    let currency = ['¥', '$', '€', '£'];
    let number = text.strip_suffix('元').unwrap_or(text).trim_end();
    let unmarked = number.strip_prefix(currency).unwrap_or(number).trim_start();
    let unsigned = unmarked.strip_prefix(['-', '+', '−']).unwrap_or(unmarked);
    let negative = unsigned.len() < unmarked.len() && !unmarked.starts_with('+');
    let marked_behind = unmarked.len() == number.len();
    let bare = if marked_behind { unsigned.strip_prefix(currency).unwrap_or(unsigned) } else { unsigned };
    (negative, bare.trim_start())
}

/// A whole part without commas, or with commas before each group of three digits.
fn is_grouped(whole: &str) -> bool {
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or("");
    let grouped = whole.contains(',');
    first.bytes().all(|b| b.is_ascii_digit())
        && (!grouped || (1..=3).contains(&first.len()))
        && groups.all(|group| group.len() == 3 && group.bytes().all(|b| b.is_ascii_digit()))
}

/// A signed exponent; ones beyond any amount are cut to a bound that gives zero or does not fit.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse::<i64>().unwrap_or(i64::MAX).min(1 << 40);
    Some(if text.starts_with('-') { -size } else { size })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float32Array, Int64Array, StringArray, UInt64Array};

    use super::*;

    fn cents(amount: f64) -> Option<i128> {
        float_to_cents(amount, &mut String::new())
    }

    #[test]
    fn floats_round_on_their_text() {
        for (amount, expected) in [
            (0.0, 0),
            (-0.0, 0),
            (1.005, 101),
            (-1.005, -101),
            (1.115, 112),
            (2.675, 268),
            (0.125, 13),
            (0.124999, 12),
            (1e-300, 0),
            (19.99, 1999),
            (123456789.125, 12_345_678_913),
            (1e15, 100_000_000_000_000_000),
            (0.285, 29),
            (1.255, 126),
            (8.345, 835),
            (1_000_000_000.005, 100_000_000_001),
        ] {
            assert_eq!(cents(amount), Some(expected), "{amount}");
        }
        for amount in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e16, -1e16, f64::MAX] {
            assert_eq!(cents(amount), None, "{amount}");
        }
    }

    #[test]
    fn the_fast_path_agrees_with_the_text() {
        let mut state = 1u64;
        for _ in 0..200_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let amount =
                ((state >> 20) as f64 - 8e12) / [1.0, 10.0, 100.0, 1000.0, 1e4, 1e7][(state % 6) as usize];
            assert_eq!(cents(amount), text_to_cents(&amount.to_string()), "{amount}");
        }
    }

    #[test]
    fn texts() {
        for (text, expected) in [
            ("12", 1200),
            ("12.3", 1230),
            ("-12.345", -1235),
            ("+.5", 50),
            ("5.", 500),
            ("1,234,567.891", 123_456_789),
            ("¥12.50", 1250),
            ("-¥12.50", -1250),
            ("¥-12.50", -1250),
            ("$ 3", 300),
            ("12.5 元", 1250),
            ("- 3", -300),
            ("1e3", 100_000),
            ("1.5E-1", 15),
            ("5e-3", 1),
            ("4e-3", 0),
            ("0e999999999999999999999", 0),
            ("000000000000000000000012.3", 1230),
            ("9999999999999999.99", 999_999_999_999_999_999),
            ("0.00499999999999999999999999999999", 0),
            ("1e-99999999999999999999", 0),
        ] {
            assert_eq!(text_to_cents(text), Some(expected), "{text:?}");
        }
        for text in [
            "",
            "-",
            ".",
            "abc",
            "1.2.3",
            "1,23",
            "1,2345",
            ",123",
            "1 2",
            "--1",
            "-+1",
            "1e",
            "1e+",
            "e5",
            "¥",
            "¥¥1",
            "NaN",
            "inf",
            "0x10",
            "9999999999999999.995",
            "1e17",
            "1e99999999999999999999",
            "1,234.5,6",
            "-$-1",
        ] {
            assert_eq!(text_to_cents(text), None, "{text:?}");
        }
    }

    #[test]
    fn decimals() {
        assert_eq!(decimal_to_cents(12_345, 3), Some(1_235));
        assert_eq!(decimal_to_cents(-12_345, 3), Some(-1_235));
        assert_eq!(decimal_to_cents(12_344, 3), Some(1_234));
        assert_eq!(decimal_to_cents(7, 0), Some(700));
        assert_eq!(decimal_to_cents(7, -3), Some(700_000));
        assert_eq!(decimal_to_cents(i128::MAX, 38), Some(170));
        assert_eq!(decimal_to_cents(i128::MAX, 2), None);
        assert_eq!(decimal_to_cents(i128::MIN, 0), None);
        assert_eq!(decimal_to_cents(5, 127), Some(0));
        assert_eq!(decimal_to_cents(0, -128), Some(0));
        assert_eq!(decimal_to_cents(1, -128), None);
    }

    #[test]
    fn arrays_of_every_type() {
        let arrays: [ArrayRef; 4] = [
            Arc::new(Int64Array::from(vec![Some(3), None, Some(i64::MAX)])),
            Arc::new(UInt64Array::from(vec![Some(3), None, Some(u64::MAX)])),
            Arc::new(Float32Array::from(vec![Some(3.0), None, Some(f32::NAN)])),
            Arc::new(StringArray::from(vec![Some("３．００"), None, Some("x")])),
        ];
        for array in arrays {
            let money = to_money(&array).unwrap();
            assert_eq!(money.iter().collect::<Vec<_>>(), [Some(300), None, None], "{}", array.data_type());
            assert_eq!(to_money(&array.slice(1, 1)).unwrap().iter().collect::<Vec<_>>(), [None]);
        }
        let real: ArrayRef = Arc::new(Float32Array::from(vec![1.005]));
        assert_eq!(to_money(&real).unwrap().value(0), 101);
    }
}
