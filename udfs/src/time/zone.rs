//! The offsets of a time zone as a table of spans, found once per zone and process.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;
use datafusion::common::{Result, exec_err};

/// The first transition of the IANA database lies in 1835 (Amsterdam); before it, local mean time holds.
const FIRST_PROBE_SECONDS: i64 = -4_417_977_600; // 1830-01-01
/// `chrono-tz` lists transitions up to 2100; after it, the last offset holds.
const LAST_PROBE_SECONDS: i64 = 4_165_516_800; // 2102-01-01
/// Distance of two probes: no zone has two transitions within it that cancel each other.
const PROBE_SECONDS: i64 = 43_200;
const MICROS: i64 = 1_000_000;

static ZONES: LazyLock<RwLock<HashMap<Tz, Arc<ZoneOffsets>>>> = LazyLock::new(RwLock::default);

/// A stretch of time with one offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First instant, UTC microseconds.
    pub start: i64,
    /// First instant behind the span, UTC microseconds; the last span ends at `i64::MAX`, inclusive.
    pub end: i64,
    /// Local time minus UTC, microseconds.
    pub offset: i64,
}

impl Span {
    /// Whether an instant, in UTC microseconds, lies in the span.
    #[inline]
    pub fn contains(&self, instant: i64) -> bool {
        self.start <= instant && (instant < self.end || self.end == i64::MAX)
    }
}

/// All spans of one zone, in order and without gaps.
#[derive(Debug, PartialEq, Eq)]
pub struct ZoneOffsets {
    spans: Vec<Span>,
}

impl ZoneOffsets {
    /// The table of an IANA zone name such as `Asia/Shanghai`.
    pub fn of(name: &str) -> Result<Arc<Self>> {
        let Ok(zone) = name.parse::<Tz>() else {
            return exec_err!("time zone '{name}' is not known; use an IANA name such as 'Asia/Shanghai'");
        };
        if let Some(known) = ZONES.read().unwrap_or_else(PoisonError::into_inner).get(&zone) {
            return Ok(Arc::clone(known));
        }
        let found = Arc::new(Self { spans: find_spans(zone) });
        ZONES.write().unwrap_or_else(PoisonError::into_inner).insert(zone, Arc::clone(&found));
        Ok(found)
    }

    /// The spans, in order.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The span that holds an instant, in UTC microseconds.
    pub fn span_at(&self, instant: i64) -> Span {
        let behind = self.spans.partition_point(|span| span.start <= instant);
        self.spans[behind.saturating_sub(1)]
    }
}

fn find_spans(zone: Tz) -> Vec<Span> {
    let mut offset = offset_at(zone, FIRST_PROBE_SECONDS);
    let mut spans = vec![Span { start: i64::MIN, end: i64::MAX, offset: offset * MICROS }];
    let mut from = FIRST_PROBE_SECONDS;
    while from < LAST_PROBE_SECONDS {
        let mut to = from + PROBE_SECONDS;
        if offset_at(zone, to) != offset {
            to = first_change(zone, from, to);
            offset = offset_at(zone, to);
            if let Some(last) = spans.last_mut() {
                last.end = to * MICROS;
            }
            spans.push(Span { start: to * MICROS, end: i64::MAX, offset: offset * MICROS });
        }
        from = to;
    }
    spans
}

/// The second at which the offset leaves that of `from`, by bisection; `after` has another offset.
fn first_change(zone: Tz, from: i64, after: i64) -> i64 {
    let start = offset_at(zone, from);
    let (mut same, mut other) = (from, after);
    while other - same > 1 {
        let middle = same + (other - same) / 2;
        if offset_at(zone, middle) == start {
            same = middle;
        } else {
            other = middle;
        }
    }
    other
}

/// Local time minus UTC at a Unix second, in seconds.
fn offset_at(zone: Tz, second: i64) -> i64 {
    let instant = DateTime::from_timestamp(second, 0).unwrap_or_default();
    i64::from(zone.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_chrono_everywhere() {
        let zones =
            ["Asia/Shanghai", "America/New_York", "Africa/Casablanca", "Pacific/Apia", "Europe/Amsterdam"];
        for name in zones {
            let zone: Tz = name.parse().unwrap();
            let table = ZoneOffsets::of(name).unwrap();
            let mut second = -5_000_000_000i64;
            while second < 5_000_000_000 {
                let span = table.span_at(second * MICROS);
                assert!(span.contains(second * MICROS), "{name} {second}");
                assert_eq!(span.offset, offset_at(zone, second) * MICROS, "{name} {second}");
                second += 4_999;
            }
        }
    }

    #[test]
    fn spans_touch_and_differ() {
        for zone in chrono_tz::TZ_VARIANTS.iter().step_by(40) {
            let table = ZoneOffsets::of(zone.name()).unwrap();
            assert_eq!(table.spans.first().unwrap().start, i64::MIN);
            assert_eq!(table.spans.last().unwrap().end, i64::MAX);
            for pair in table.spans.windows(2) {
                assert_eq!(pair[0].end, pair[1].start, "{zone}");
                assert_ne!(pair[0].offset, pair[1].offset, "{zone}");
            }
        }
    }

    #[test]
    fn extremes_lie_in_a_span() {
        let table = ZoneOffsets::of("America/New_York").unwrap();
        for instant in [i64::MIN, -1, 0, i64::MAX] {
            assert!(table.span_at(instant).contains(instant));
        }
    }

    #[test]
    fn an_unknown_zone_is_named() {
        let message = ZoneOffsets::of("Mars/Olympus").unwrap_err().to_string();
        assert!(message.contains("'Mars/Olympus'"), "{message}");
    }
}
