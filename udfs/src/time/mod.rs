//! Time: dates as typed, days of a time zone, positions among instants.

mod day_start;
mod interval_index;
mod local;
mod out_of_range;
mod parse_date;
mod timestamps;
mod zone;

pub use day_start::{DayStart, start_of_day};
pub use interval_index::{IntervalIndex, count_until};
pub use local::{LocalField, LocalTime, local_dates, local_fields};
pub use out_of_range::OutOfRange;
pub use parse_date::{ParseDate, parse_date_days};
pub(crate) use timestamps::timestamp_type;
pub use zone::{Span, ZoneOffsets};

/// Microseconds of a civil day without a change of the clocks.
pub const DAY_US: i64 = 86_400_000_000;
/// Microseconds of an hour.
pub const HOUR_US: i64 = 3_600_000_000;
