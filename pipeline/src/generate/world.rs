//! What every file of a world is made from: the settings, the calendar, the persons and the products.

use std::sync::Arc;

use chrono::{Datelike, NaiveDate};
use object_store::path::Path;

use super::mess::Lotteries;
use super::persons::People;
use super::products::Catalogue;
use super::rising::Rising;
use super::rng::{Draws, Topic, scramble};
use super::settings::WorldSettings;
use super::weather::Weather;
use crate::Result;

/// Microseconds in a second, minute, hour and day.
pub const SECOND: i64 = 1_000_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;
/// Asia/Shanghai is 8 hours ahead of UTC, without daylight saving in the years a world may span.
const ZONE_OFFSET: i64 = 8 * HOUR;

/// Persons whose rows go into one file: about a million events on a busy day.
pub const CHUNK_PERSONS: u32 = 1 << 18;

/// Levels of the quantised trend and season of activity; their product is the number of activity classes.
pub const TREND_LEVELS: usize = 64;
pub const SEASON_LEVELS: usize = 16;

/// Everything a file is a function of. Times inside are microseconds after local midnight of day 0.
#[derive(Debug)]
pub struct World {
    /// The settings, validated.
    pub settings: WorldSettings,
    /// Which rows are messy.
    pub lotteries: Lotteries,
    /// The persons.
    pub people: People,
    /// The products.
    pub catalogue: Catalogue,
    /// The weather of the home cities.
    pub weather: Weather,
    /// The search term that rises.
    pub rising: Rising,
    /// Relative activity by day and class: `activity[day][class]`, mean 1 over the days.
    activity: Vec<Vec<f32>>,
    /// Exponential law of mean 1: its quantiles at (i + 1/2) / 256.
    exponential: [f32; 256],
    /// UTC microseconds since 1970 of local midnight of day 0.
    origin: i64,
}

impl World {
    /// Draws the persons and products.
    ///
    /// # Errors
    /// When the settings are outside their limits.
    pub fn new(settings: &WorldSettings) -> Result<Arc<World>> {
        settings.validate()?;
        let settings = settings.clone();
        let days_since_1970 = settings.start.signed_duration_since(NaiveDate::default()).num_days();
        let mut exponential = [0.0; 256];
        for (index, value) in exponential.iter_mut().enumerate() {
            *value = -libm::log((index as f64 + 0.5) / 256.0) as f32;
        }
        Ok(Arc::new(World {
            lotteries: Lotteries::new(&settings.mess),
            people: People::draw(&settings),
            catalogue: Catalogue::draw(&settings),
            weather: Weather::draw(&settings),
            rising: Rising::draw(&settings),
            activity: activity(&settings),
            exponential,
            origin: days_since_1970 * DAY - ZONE_OFFSET,
            settings,
        }))
    }

    /// Stream of random numbers.
    #[inline]
    pub fn draws(&self, topic: Topic, entity: u64, counter: u64) -> Draws {
        let days_seed = self.settings.days_seed.filter(|_| topic.of_days());
        Draws::new(days_seed.unwrap_or(self.settings.seed), topic, entity, counter)
    }

    /// Quantile of the exponential law of mean 1 for 8 random bits.
    #[inline]
    pub fn exponential(&self, bits: u64) -> f32 {
        self.exponential[(bits & 255) as usize]
    }

    /// Relative activity of every class on a day.
    #[inline]
    pub fn activity(&self, day: u32) -> &[f32] {
        &self.activity[day as usize]
    }

    /// UTC microseconds since 1970 of a world time.
    #[inline]
    pub fn utc(&self, time: i64) -> i64 {
        self.origin + time
    }

    /// The local date of a day; days before the world are negative.
    pub fn date(&self, day: i64) -> NaiveDate {
        self.settings.start + chrono::TimeDelta::days(day)
    }

    /// Number of days.
    #[inline]
    pub fn days(&self) -> u32 {
        self.settings.days
    }

    /// Whether files that arrive on this day are to be written.
    pub fn wanted(&self, arrival: u32) -> bool {
        arrival < self.days()
            && self
                .settings
                .arrived
                .as_ref()
                .is_none_or(|range| range.contains(&self.date(i64::from(arrival))))
    }

    /// Number of person chunks.
    pub fn chunks(&self) -> u32 {
        self.settings.persons().div_ceil(CHUNK_PERSONS)
    }

    /// The persons of a chunk.
    pub fn chunk(&self, chunk: u32) -> std::ops::Range<u32> {
        let first = chunk * CHUNK_PERSONS;
        first..(first + CHUNK_PERSONS).min(self.settings.persons())
    }

    /// Path below the root of a raw file; `partition` is a column and a day.
    pub fn raw_path(&self, table: &str, partition: Option<(&str, u32)>, arrival: u32, chunk: u32) -> Path {
        let mut path = Path::from("raw").join(table);
        if let Some((column, day)) = partition {
            path = path.join(format!("{column}={}", self.date(i64::from(day))));
        }
        let arrived = self.date(i64::from(arrival));
        path.join(match self.chunks() {
            1 => format!("arrived-{arrived}.parquet"),
            _ => format!("arrived-{arrived}-{chunk:04}.parquet"),
        })
    }

    /// The time itself, or a second earlier in the last second of a day, so that the row can still arrive that day.
    #[inline]
    pub fn settled(time: i64) -> i64 {
        if time.rem_euclid(DAY) >= DAY - SECOND { time - SECOND } else { time }
    }

    /// When a row of a [settled](Self::settled) `time` that arrives on its own local day is ingested: after seconds to minutes, the same day.
    #[inline]
    pub fn ingested_on_time(&self, time: i64, bits: u64) -> i64 {
        let delay = 2 * SECOND + (self.exponential(bits) * 40e6) as i64 + (bits >> 8 & 0xfffff) as i64;
        let last = (time.div_euclid(DAY) + 1) * DAY - SECOND / 2;
        (time + delay).min(last)
    }

    /// When the copy of a row ingested at `ingested` follows on the same local day.
    #[inline]
    pub fn ingested_again(&self, ingested: i64, bits: u64) -> i64 {
        let last = (ingested.div_euclid(DAY) + 1) * DAY - 1;
        (ingested + SECOND + (bits & 0xfff_ffff) as i64).min(last)
    }

    /// When a row that arrives in the batch of a later day is ingested: between 1 and 5 in the morning.
    #[inline]
    pub fn ingested_late(&self, arrival: u32, bits: u64) -> i64 {
        i64::from(arrival) * DAY + HOUR + (bits >> 8) as i64 % (4 * HOUR)
    }
}

/// The device id of a device number.
pub fn device_text(device: u64) -> [u8; 15] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = *b"dev000000000000";
    let mut value = scramble(device, 48);
    for place in text[3..].iter_mut().rev() {
        *place = HEX[(value & 15) as usize];
        value >>= 4;
    }
    text
}

/// The account id of an account number: the system's letter and ten digits.
pub fn account_text(account: u64) -> [u8; 11] {
    let mut text = *b"W0000000000";
    text[0] = [b'W', b'P', b'A', b'X'][(account >> 60 & 3) as usize];
    let mut value = scramble(account & 0x3fff_ffff, 30);
    for place in text[1..].iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
    text
}

/// How strongly a date draws shoppers, 0 to 1: Spring Festival, Valentine's Day, 6-18, 11-11, Christmas.
fn peak(date: NaiveDate) -> f64 {
    match (date.month(), date.day()) {
        (1, 15..=28) => 0.6,
        (2, 10..=14) => 0.5,
        (6, 10..=18) => 0.7,
        (11, 5..=11) => 1.0,
        (12, 12..=25) => 0.7,
        _ => 0.0,
    }
}

/// Bounds of the quantised trend (exponent from the middle to the end of the world) and season (log amplitude).
pub const TREND_BOUND: f64 = 6.0;
pub const SEASON_BOUNDS: (f64, f64) = (-2.0, 4.0);

fn activity(settings: &WorldSettings) -> Vec<Vec<f32>> {
    let days = settings.days as usize;
    let dates: Vec<NaiveDate> = settings.start.iter_days().take(days).collect();
    let mut table = vec![vec![0.0f32; TREND_LEVELS * SEASON_LEVELS]; days];
    for trend_level in 0..TREND_LEVELS {
        let trend = TREND_BOUND * (2.0 * (trend_level as f64 + 0.5) / TREND_LEVELS as f64 - 1.0);
        let growth: Vec<f64> =
            (0..days).map(|day| libm::exp(trend * (2.0 * (day as f64 + 0.5) / days as f64 - 1.0))).collect();
        for season_level in 0..SEASON_LEVELS {
            let (low, high) = SEASON_BOUNDS;
            let season = low + (high - low) * (season_level as f64 + 0.5) / SEASON_LEVELS as f64;
            let amplitude = 2.0 * libm::exp(0.8 * season);
            let weights: Vec<f64> = dates
                .iter()
                .zip(&growth)
                .map(|(date, growth)| {
                    let weekend = if date.weekday().number_from_monday() > 5 { 1.15 } else { 1.0 };
                    growth * weekend * (1.0 + amplitude * peak(*date))
                })
                .collect();
            let mean = weights.iter().sum::<f64>() / days as f64;
            for (row, weight) in table.iter_mut().zip(weights) {
                row[trend_level * SEASON_LEVELS + season_level] = (weight / mean) as f32;
            }
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activity_has_mean_one_in_every_class() {
        let table = activity(&WorldSettings { days: 40, ..Default::default() });
        for class in 0..TREND_LEVELS * SEASON_LEVELS {
            let mean = table.iter().map(|row| f64::from(row[class])).sum::<f64>() / 40.0;
            assert!((mean - 1.0).abs() < 1e-5, "class {class}: {mean}");
        }
    }

    #[test]
    fn day_zero_starts_at_local_midnight() {
        let settings = WorldSettings { scale: 0.0001, days: 2, ..Default::default() };
        let world = World::new(&settings).unwrap();
        assert_eq!(world.utc(0), 1_735_660_800_000_000, "2024-12-31T16:00:00Z");
        assert_eq!(world.date(-1).to_string(), "2024-12-31");
        assert!(world.wanted(1) && !world.wanted(2));
    }

    #[test]
    fn ingestion_stays_in_its_day() {
        let world = World::new(&WorldSettings { scale: 0.0001, days: 2, ..Default::default() }).unwrap();
        for bits in [0, 0xffff_ffff, 255, 0xfff_ff00] {
            let time = World::settled(DAY - 1);
            let ingested = world.ingested_on_time(time, bits);
            assert!(ingested > time && ingested < DAY);
            let again = world.ingested_again(ingested, bits);
            assert!(again > ingested && again < DAY);
            assert_eq!(world.ingested_late(7, bits) / DAY, 7);
        }
    }
}
