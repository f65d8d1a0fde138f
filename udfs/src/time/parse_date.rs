//! `parse_date`: dates as people type them.

use std::sync::Arc;

use arrow::array::{Array, Date32Array, StringArray};
use arrow::datatypes::DataType;
use chrono::{Datelike, NaiveDate};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::args::{evaluate, expect_arity, text_column, text_type};
use crate::text::fold_width_into;

/// The years a date may have; others are typing errors or placeholders such as 0001-01-01 and 9999-12-31.
const YEARS: std::ops::RangeInclusive<u32> = 1900..=2100;
/// Days from 0001-01-01 to 1970-01-01, plus one: `num_days_from_ce` of the epoch.
const EPOCH_DAYS_FROM_CE: i32 = 719_163;
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

#[user_doc(
    doc_section(label = "Time"),
    description = "Reads a date as people type it: `2025-01-31`, `2025/1/31`, `2025.1.31`, `20250131`, `2025年1月31日`, `31.01.2025`, `31/01/2025`, `01/31/2025`, `31 Jan 2025`, `Jan 31, 2025`, full-width digits, and any of them followed by a time of day, which is dropped. With the year last, dots mean day first; with slashes or dashes the order is never guessed: both numbers up to 12 and different give NULL. NULL also when it is no date or not from 1900-01-01 to 2100-12-31.",
    syntax_example = "parse_date(text)",
    sql_example = "```sql\nselect parse_date('２０２５年１月３１日');  -- 2025-01-31\n```",
    argument(name = "text", description = "A date as typed; NULL gives NULL.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ParseDate {
    signature: Signature,
}

impl Default for ParseDate {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ParseDate {
    fn name(&self) -> &str {
        "parse_date"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["text"])?;
        Ok(vec![text_type(self.name(), "text", &types[0])?])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| Ok(Arc::new(parse_dates(&text_column(&args, 0, rows)?))))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn parse_dates(texts: &StringArray) -> Date32Array {
    let mut folded = String::new();
    let mut dates = Date32Array::builder(texts.len());
    for text in texts {
        dates.append_option(text.and_then(|text| parse_date_days(text, &mut folded)));
    }
    dates.finish()
}

/// Days since 1970-01-01 of a date as typed; `folded` is scratch space.
pub fn parse_date_days(text: &str, folded: &mut String) -> Option<i32> {
    fold_width_into(text, folded);
    folded.make_ascii_lowercase();
    let mut cursor = Cursor { rest: folded };
    let date = match cursor.number() {
        Some((year, 4)) => year_first(&mut cursor, year),
        Some((digits, 8)) => date(digits / 10_000, digits / 100 % 100, digits % 100),
        Some((first, 1 | 2)) => year_last(&mut cursor, first),
        Some(_) => None,
        None => month_first(&mut cursor),
    }?;
    is_time_of_day(cursor.rest).then_some(date)
}

/// `2025-01-31`, `2025年1月31日`, `2025 Jan 31`.
fn year_first(cursor: &mut Cursor, year: u32) -> Option<i32> {
    let separator = cursor.separator()?;
    if let Some(month) = cursor.month_name() {
        cursor.separator();
        return date(year, month, cursor.short_number()?);
    }
    let month = cursor.short_number()?;
    let between = cursor.separator()?;
    if between != if separator == '年' { '月' } else { separator } {
        return None;
    }
    let day = cursor.short_number()?;
    if separator == '年' {
        cursor.rest = cursor.rest.trim_start().strip_prefix(['日', '号', '號']).unwrap_or(cursor.rest);
    }
    date(year, month, day)
}

/// `31.01.2025`, `31/01/2025`, `01/31/2025`, `31 Jan 2025`, `31st of January 2025`.
fn year_last(cursor: &mut Cursor, first: u32) -> Option<i32> {
    let ordinal = cursor.ordinal();
    let separator = cursor.separator()?;
    cursor.rest = cursor.rest.strip_prefix("of ").unwrap_or(cursor.rest);
    if let Some(month) = cursor.month_name() {
        cursor.separator();
        return date(cursor.year()?, month, first);
    }
    let second = cursor.short_number()?;
    if ordinal || !matches!(separator, '.' | '/' | '-') || cursor.separator()? != separator {
        return None;
    }
    let year = cursor.year()?;
    let day_first = first > 12 || first == second || (separator == '.' && second <= 12);
    match (day_first, second > 12) {
        (true, _) => date(year, second, first),
        (false, true) => date(year, first, second),
        (false, false) => None,
    }
}

/// `Jan 31, 2025`, `January 31st 2025`.
fn month_first(cursor: &mut Cursor) -> Option<i32> {
    let month = cursor.month_name()?;
    cursor.separator();
    let day = cursor.short_number()?;
    cursor.ordinal();
    cursor.separator()?;
    date(cursor.year()?, month, day)
}

fn date(year: u32, month: u32, day: u32) -> Option<i32> {
    if !YEARS.contains(&year) {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    Some(date.num_days_from_ce() - EPOCH_DAYS_FROM_CE)
}

/// What follows a date: nothing, or `T` or a space and a time of day, maybe with fraction, am or pm, zone.
fn is_time_of_day(rest: &str) -> bool {
    let Some(time) = rest.strip_prefix(['t', ' ']) else { return rest.is_empty() };
    let mut cursor = Cursor { rest: time };
    let mut colons = 0;
    if !matches!(cursor.number(), Some((0..=24, 1 | 2))) {
        return false;
    }
    while let Some(tail) = cursor.rest.strip_prefix(':') {
        cursor.rest = tail;
        colons += 1;
        if colons > 2 || !matches!(cursor.number(), Some((0..=60, 2))) {
            return false;
        }
    }
    if let Some(tail) = cursor.rest.strip_prefix(['.', ',']) {
        cursor.rest = tail.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    let rest = cursor.rest.trim_start();
    let rest = rest.strip_suffix("am").or_else(|| rest.strip_suffix("pm")).unwrap_or(rest);
    let zone = rest.strip_prefix("utc").or_else(|| rest.strip_prefix('z')).unwrap_or(rest);
    colons > 0
        && (zone.is_empty()
            || (zone.starts_with(['+', '-']) && zone[1..].bytes().all(|b| b.is_ascii_digit() || b == b':')))
}

/// Reads a folded, lower-case text from left to right.
struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    /// A run of up to 8 digits: its value and its length.
    fn number(&mut self) -> Option<(u32, usize)> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let value = self.rest.get(..digits).filter(|_| (1..=8).contains(&digits))?.parse().ok()?;
        self.rest = &self.rest[digits..];
        Some((value, digits))
    }

    /// One or two digits.
    fn short_number(&mut self) -> Option<u32> {
        self.number().filter(|(_, digits)| *digits <= 2).map(|(value, _)| value)
    }

    /// Four digits.
    fn year(&mut self) -> Option<u32> {
        self.number().filter(|(_, digits)| *digits == 4).map(|(value, _)| value)
    }

    /// A separator with the spaces around it, or spaces alone, which count as `' '`.
    fn separator(&mut self) -> Option<char> {
        let spaced = self.rest.trim_start();
        let found = spaced.chars().next().filter(|c| matches!(c, '-' | '/' | '.' | ',' | '年' | '月'));
        let tail = match found {
            Some(c) => &spaced[c.len_utf8()..],
            None if spaced.len() < self.rest.len() => spaced,
            None => return None,
        };
        self.rest = tail.trim_start();
        Some(found.unwrap_or(' '))
    }

    /// An English month name or its first three letters (also `sept`), with an optional dot: 1 to 12.
    fn month_name(&mut self) -> Option<u32> {
        let letters = self.rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (word, tail) = self.rest.split_at(letters);
        let known =
            |name: &str| word == name || word == &name[..3] || (word == "sept" && name == "september");
        let month = MONTHS.iter().position(|name| known(name))?;
        self.rest = tail.strip_prefix('.').unwrap_or(tail);
        u32::try_from(month + 1).ok()
    }

    /// `st`, `nd`, `rd` or `th` behind a day.
    fn ordinal(&mut self) -> bool {
        for suffix in ["st", "nd", "rd", "th"] {
            if let Some(tail) = self.rest.strip_prefix(suffix) {
                self.rest = tail;
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<String> {
        let days = parse_date_days(text, &mut String::new())?;
        Some(NaiveDate::from_num_days_from_ce_opt(days + EPOCH_DAYS_FROM_CE).unwrap().to_string())
    }

    #[test]
    fn every_way_to_write_one_day() {
        for text in [
            "2025-01-31",
            "2025-1-31",
            "2025/1/31",
            "2025.01.31",
            "20250131",
            "2025年1月31日",
            "2025年01月31号",
            "2025年1月31",
            "２０２５年１月３１日",
            "２０２５－０１－３１",
            "2025 年 1 月 31 日",
            "31.01.2025",
            "31.1.2025",
            "31/01/2025",
            "31-01-2025",
            "01/31/2025",
            "1/31/2025",
            "31 Jan 2025",
            "31-Jan-2025",
            "31 January, 2025",
            "31st of January 2025",
            "Jan 31, 2025",
            "JANUARY 31 2025",
            "Jan. 31st, 2025",
            "2025-Jan-31",
            "2025 jan 31",
            " 2025-01-31 ",
            "2025 - 01 - 31",
            "2025-01-31 08:15:00",
            "2025-01-31T08:15:00.123456Z",
            "2025-01-31T08:15:00+08:00",
            "20250131 08:15",
            "2025/1/31 8:15 PM",
            "2025年1月31日 08:15:00",
        ] {
            assert_eq!(parsed(text).as_deref(), Some("2025-01-31"), "{text:?}");
        }
    }

    #[test]
    fn the_order_of_day_and_month_is_never_guessed() {
        assert_eq!(parsed("03/04/2025"), None);
        assert_eq!(parsed("3-4-2025"), None);
        assert_eq!(parsed("04/04/2025").as_deref(), Some("2025-04-04"));
        assert_eq!(parsed("03.04.2025").as_deref(), Some("2025-04-03"));
        assert_eq!(parsed("01.31.2025").as_deref(), Some("2025-01-31"));
    }

    #[test]
    fn others_are_null() {
        for text in [
            "",
            "无",
            "n/a",
            "2025",
            "2025-01",
            "2025-13-01",
            "2025-02-29",
            "2025-00-10",
            "1899-12-31",
            "2101-01-01",
            "0001-01-01",
            "9999-12-31",
            "25-01-31",
            "31/01/25",
            "2025-01/31",
            "2025年1-31",
            "20251301",
            "202501311",
            "45688",
            "32/01/2025",
            "13/13/2025",
            "Foo 31, 2025",
            "Jan 2025",
            "31 Jan",
            "2025-01-31x",
            "2025-01-31 x",
            "2025-01-31T",
            "2025-01-31 99:00",
            "-2025-01-31",
            "2025--01-31",
            "年月日",
            "1月31日",
            "2025-01-311",
            "4294967296-01-01",
            "31th,2025",
            "ſ 1 2025",
        ] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
    }

    #[test]
    fn bounds_are_inclusive() {
        assert_eq!(parsed("1900-01-01").as_deref(), Some("1900-01-01"));
        assert_eq!(parsed("2100-12-31").as_deref(), Some("2100-12-31"));
        assert_eq!(parsed("2024-02-29").as_deref(), Some("2024-02-29"));
    }

    #[test]
    fn cut_texts_do_not_panic() {
        for text in ["2025年1月31日 08:15:00+08:00", "Jan. 31st, 2025", "31st of January 2025"] {
            for (end, _) in text.char_indices() {
                parsed(&text[..end]);
                parsed(&text[end..]);
            }
        }
    }
}
