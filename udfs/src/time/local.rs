//! `local_date`, `local_hour`, `local_dow`: the civil date, hour and weekday of an instant in a zone.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Date32Array, Int32Array, Int64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Date32Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::timestamps::{timestamp_type, to_micros};
use super::{DAY_US, HOUR_US, ZoneOffsets};
use crate::args::{TextArgument, column, evaluate, expect_arity, text_type};

/// Which part of the local time is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LocalField {
    /// The date, as days since 1970-01-01.
    Date,
    /// The hour, 0 to 23.
    Hour,
    /// The weekday, 1 (Monday) to 7 (ISO 8601).
    DayOfWeek,
}

impl LocalField {
    /// The field of a local time in microseconds since 1970-01-01 00:00 local.
    #[inline]
    pub fn of(self, local: i64) -> i32 {
        match self {
            // below 1.1e8 days for any 64-bit number of microseconds
            Self::Date => local.div_euclid(DAY_US) as i32,
            Self::Hour => (local.rem_euclid(DAY_US) / HOUR_US) as i32,
            // 1970-01-01 was a Thursday
            Self::DayOfWeek => (local.div_euclid(DAY_US) + 3).rem_euclid(7) as i32 + 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Date => "local_date",
            Self::Hour => "local_hour",
            Self::DayOfWeek => "local_dow",
        }
    }

    fn documentation(self) -> Documentation {
        let what = match self {
            Self::Date => "The civil date",
            Self::Hour => "The hour (0 to 23)",
            Self::DayOfWeek => "The weekday (1 is Monday, 7 is Sunday)",
        };
        let section = DocSection { include: true, label: "Time", description: None };
        let example = match self {
            Self::Date => "local_date(timestamp '2025-01-31 17:00:00', 'Asia/Shanghai');  -- 2025-02-01",
            Self::Hour => "local_hour(timestamp '2025-01-31 17:30:00', 'Asia/Shanghai');  -- 1",
            Self::DayOfWeek => "local_dow(timestamp '2025-01-31 17:00:00', 'Asia/Shanghai');  -- 6",
        };
        Documentation::builder(
            section,
            format!("{what} of an instant in a time zone. A zone in the timestamp's own type is ignored: the instant counts."),
            format!("{}(instant, zone)", self.name()),
        )
        .with_sql_example(format!("```sql\nselect {example}\n```"))
        .with_argument("instant", "A timestamp in UTC, of any unit; NULL gives NULL.")
        .with_argument("zone", "An IANA zone name; an unknown one is an error.")
        .with_related_udf("day_start")
        .build()
    }
}

/// The family of functions; one value is one SQL function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct LocalTime {
    field: LocalField,
    signature: Signature,
    documentation: Documentation,
}

impl LocalTime {
    /// The function that gives `field`.
    pub fn new(field: LocalField) -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { field, signature, documentation: field.documentation() }
    }
}

impl ScalarUDFImpl for LocalTime {
    fn name(&self) -> &str {
        self.field.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["instant", "zone"])?;
        Ok(vec![
            timestamp_type(self.name(), "instant", &types[0])?,
            text_type(self.name(), "zone", &types[1])?,
        ])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(match self.field {
            LocalField::Date => DataType::Date32,
            LocalField::Hour | LocalField::DayOfWeek => DataType::Int32,
        })
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zones = TextArgument::read(&args, 1)?;
        evaluate(&args, |rows| {
            let instants = to_micros(&column(&args, 0, rows)?)?;
            let fields = match &zones {
                TextArgument::Constant(None) => Int32Array::new_null(rows),
                TextArgument::Constant(Some(zone)) => {
                    local_fields(&instants, ZoneOffsets::of(zone)?.as_ref(), self.field)
                }
                TextArgument::Column(_) => zoned_fields(&instants, &zones, self.field)?,
            };
            Ok(match self.field {
                LocalField::Date => Arc::new(fields.reinterpret_cast::<Date32Type>()) as ArrayRef,
                LocalField::Hour | LocalField::DayOfWeek => Arc::new(fields),
            })
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// The field of every instant (UTC microseconds) in one zone. Within a day of the ends of the 64-bit range
/// local times saturate.
pub fn local_fields(instants: &Int64Array, zone: &ZoneOffsets, field: LocalField) -> Int32Array {
    let values = instants.values();
    // one loop a field, so that the compiler sees a constant
    let fields = match field {
        LocalField::Date => each_local(values, zone, |local| LocalField::Date.of(local)),
        LocalField::Hour => each_local(values, zone, |local| LocalField::Hour.of(local)),
        LocalField::DayOfWeek => each_local(values, zone, |local| LocalField::DayOfWeek.of(local)),
    };
    Int32Array::new(fields.into(), instants.nulls().cloned())
}

fn each_local(instants: &[i64], zone: &ZoneOffsets, field: impl Fn(i64) -> i32) -> Vec<i32> {
    let mut span = zone.span_at(instants.first().copied().unwrap_or(0));
    let mut fields = Vec::with_capacity(instants.len());
    for &instant in instants {
        if !span.contains(instant) {
            span = zone.span_at(instant);
        }
        fields.push(field(instant.saturating_add(span.offset)));
    }
    fields
}

/// The same where each row names its zone.
fn zoned_fields(instants: &Int64Array, zones: &TextArgument, field: LocalField) -> Result<Int32Array> {
    let mut fields = Vec::with_capacity(instants.len());
    let mut valid = Vec::with_capacity(instants.len());
    let mut last: Option<(&str, Arc<ZoneOffsets>)> = None;
    for row in 0..instants.len() {
        let Some(name) = zones.get(row).filter(|_| instants.is_valid(row)) else {
            fields.push(0);
            valid.push(false);
            continue;
        };
        let zone = match last.take() {
            Some((known, zone)) if known == name => zone,
            _ => ZoneOffsets::of(name)?,
        };
        let instant = instants.value(row);
        fields.push(field.of(instant.saturating_add(zone.span_at(instant).offset)));
        valid.push(true);
        last = Some((name, zone));
    }
    Ok(Int32Array::new(fields.into(), Some(NullBuffer::from(valid))))
}

/// The local dates of instants as an array of dates.
pub fn local_dates(instants: &Int64Array, zone: &ZoneOffsets) -> Date32Array {
    local_fields(instants, zone, LocalField::Date).reinterpret_cast()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Datelike, Timelike};

    use super::*;

    #[test]
    fn agrees_with_chrono() {
        for name in ["Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "UTC"] {
            let tz: chrono_tz::Tz = name.parse().unwrap();
            let zone = ZoneOffsets::of(name).unwrap();
            let instants: Vec<i64> =
                (0..20_000).map(|i| (i * 7_919_123_457_871i64) % 4_000_000_000_000_000).collect();
            let array = Int64Array::from(instants.clone());
            let (dates, hours, weekdays) = (
                local_fields(&array, &zone, LocalField::Date),
                local_fields(&array, &zone, LocalField::Hour),
                local_fields(&array, &zone, LocalField::DayOfWeek),
            );
            for (row, &instant) in instants.iter().enumerate() {
                let local = DateTime::from_timestamp_micros(instant).unwrap().with_timezone(&tz);
                assert_eq!(
                    dates.value(row),
                    local.date_naive().num_days_from_ce() - 719_163,
                    "{name} {instant}"
                );
                assert_eq!(hours.value(row), local.hour() as i32, "{name} {instant}");
                assert_eq!(
                    weekdays.value(row),
                    local.weekday().number_from_monday() as i32,
                    "{name} {instant}"
                );
            }
        }
    }

    #[test]
    fn before_1970_and_at_the_extremes() {
        assert_eq!(LocalField::Date.of(-1), -1);
        assert_eq!(LocalField::Hour.of(-1), 23);
        assert_eq!(LocalField::DayOfWeek.of(-1), 3);
        let zone = ZoneOffsets::of("Asia/Shanghai").unwrap();
        let dates = local_dates(&Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)]), &zone);
        assert_eq!(dates.null_count(), 1);
        assert_eq!(dates.value(2), 106_751_991);
    }

    #[test]
    fn slices_keep_their_rows() {
        let zone = ZoneOffsets::of("Asia/Shanghai").unwrap();
        let all = Int64Array::from(vec![Some(0), None, Some(16 * HOUR_US), Some(DAY_US)]);
        let part = local_fields(&all.slice(1, 2), &zone, LocalField::Date);
        assert_eq!(part, Int32Array::from(vec![None, Some(1)]));
        assert_eq!(local_fields(&all.slice(4, 0), &zone, LocalField::Hour).len(), 0);
    }
}
