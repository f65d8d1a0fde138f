//! `day_start`: the first instant of a civil day in a zone.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Date32Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Date32Type, TimeUnit};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::{DAY_US, ZoneOffsets};
use crate::args::{TextArgument, column, evaluate, expect_arity, text_type};

#[user_doc(
    doc_section(label = "Time"),
    description = "The first instant of a civil day in a time zone, as a UTC timestamp in microseconds: midnight, or the first instant after it where the clocks skip midnight. A day that a zone skipped altogether starts when the next one does. NULL when the instant does not fit a timestamp.",
    syntax_example = "day_start(day, zone)",
    sql_example = "```sql\nselect day_start(date '2025-02-01', 'Asia/Shanghai');  -- 2025-01-31T16:00:00\n```",
    argument(name = "day", description = "A date; NULL gives NULL."),
    argument(name = "zone", description = "An IANA zone name; an unknown one is an error."),
    related_udf(name = "local_date")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct DayStart {
    signature: Signature,
}

impl Default for DayStart {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for DayStart {
    fn name(&self) -> &str {
        "day_start"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["day", "zone"])?;
        if !matches!(types[0], DataType::Date32 | DataType::Date64 | DataType::Null) {
            return plan_err!("day_start: argument day must be a date, not {}; cast it to date", types[0]);
        }
        Ok(vec![DataType::Date32, text_type(self.name(), "zone", &types[1])?])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, None))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zones = TextArgument::read(&args, 1)?;
        evaluate(&args, |rows| {
            let array = column(&args, 0, rows)?;
            let Some(days) = array.as_primitive_opt::<Date32Type>() else {
                return internal_err!("day_start: expected Date32, found {}", array.data_type());
            };
            Ok(Arc::new(day_starts(days, &zones)?))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn day_starts(days: &Date32Array, zones: &TextArgument) -> Result<TimestampMicrosecondArray> {
    let mut last: Option<(&str, Arc<ZoneOffsets>)> = None;
    let mut starts = TimestampMicrosecondArray::builder(days.len());
    for (row, day) in days.iter().enumerate() {
        let (Some(day), Some(name)) = (day, zones.get(row)) else {
            starts.append_null();
            continue;
        };
        let zone = match last.take() {
            Some((known, zone)) if known == name => zone,
            _ => ZoneOffsets::of(name)?,
        };
        starts.append_option(start_of_day(day, &zone));
        last = Some((name, zone));
    }
    Ok(starts.finish())
}

/// The first instant, in UTC microseconds, whose local date is `day` (days since 1970-01-01) or later;
/// `None` when it does not fit.
pub fn start_of_day(day: i32, zone: &ZoneOffsets) -> Option<i64> {
    let midnight = i64::from(day).checked_mul(DAY_US)?;
    let spans = zone.spans();
    // offsets are below a day, so no earlier span can reach the day
    let first = spans.partition_point(|span| span.end < midnight.saturating_sub(2 * DAY_US));
    spans[first.min(spans.len())..].iter().find_map(|span| {
        let instant = midnight.checked_sub(span.offset)?.max(span.start);
        span.contains(instant).then_some(instant)
    })
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;
    use crate::time::{LocalField, Span};

    fn days(text: &str) -> i32 {
        text.parse::<NaiveDate>().unwrap().to_epoch_days()
    }

    fn start(day: &str, zone: &str) -> String {
        let instant = start_of_day(days(day), &ZoneOffsets::of(zone).unwrap()).unwrap();
        chrono::DateTime::from_timestamp_micros(instant).unwrap().naive_utc().to_string()
    }

    #[test]
    fn midnight_or_the_first_instant_after_it() {
        assert_eq!(start("2025-02-01", "Asia/Shanghai"), "2025-01-31 16:00:00");
        assert_eq!(start("2025-03-09", "America/New_York"), "2025-03-09 05:00:00");
        assert_eq!(start("2025-03-10", "America/New_York"), "2025-03-10 04:00:00");
        // clocks went from 00:00 to 01:00
        assert_eq!(start("2018-11-04", "America/Sao_Paulo"), "2018-11-04 03:00:00");
        // clocks went from 00:01 back to 23:01: the day began twice, the first time counts
        assert_eq!(start("2006-10-29", "America/St_Johns"), "2006-10-29 02:30:00");
        // Samoa skipped this day
        assert_eq!(start("2011-12-30", "Pacific/Apia"), start("2011-12-31", "Pacific/Apia"));
    }

    #[test]
    fn is_the_first_instant_of_its_day() {
        for name in ["Asia/Shanghai", "America/Sao_Paulo", "America/St_Johns", "Africa/Cairo", "Asia/Beirut"]
        {
            let zone = ZoneOffsets::of(name).unwrap();
            let date = |instant: i64| LocalField::Date.of(instant + zone.span_at(instant).offset);
            for day in days("1900-01-01")..days("2050-01-01") {
                let instant = start_of_day(day, &zone).unwrap();
                assert!(date(instant) >= day && date(instant - 1) < day, "{name} {day}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_none() {
        let zone = ZoneOffsets::of("UTC").unwrap();
        assert_eq!(zone.spans(), [Span { start: i64::MIN, end: i64::MAX, offset: 0 }]);
        assert_eq!(start_of_day(i32::MAX, &zone), None);
        assert_eq!(start_of_day(i32::MIN, &zone), None);
    }
}
