//! The weather of the home cities, a day at a time: rain comes in spells, temperature follows the season.

use arrow::array::RecordBatch;
use chrono::Datelike;

use super::columns::{Sorted, batch};
use super::mess::{Key, Kind, Planted};
use super::names::{CITIES, WESTERN_CITIES};
use super::rng::{Draws, Topic};
use super::settings::WorldSettings;
use super::world::{DAY, HOUR, MINUTE, World};
use crate::Result;

/// Number of cities.
const COUNT: usize = CITIES.len() + WESTERN_CITIES.len();
/// A day with at least so many tenths of a millimetre is rainy.
const RAINY: u16 = 10;
/// A session waits for rain for at most so many days.
pub const PATIENCE_DAYS: u32 = 3;
/// Probability that a rainy day is followed by another.
const PERSISTENCE: f64 = 0.55;

/// Share of rainy days in percent, mean temperature and its yearly amplitude in °C, by city.
const CLIMATES: [(u8, i8, i8); COUNT] = [
    (35, 17, 12),
    (18, 13, 16),
    (40, 22, 8),
    (38, 23, 7),
    (38, 17, 12),
    (38, 16, 10),
    (40, 18, 10),
    (35, 17, 13),
    (25, 14, 14),
    (34, 16, 13),
    (35, 17, 12),
    (18, 13, 16),
    (38, 17, 12),
    (22, 15, 14),
    (22, 13, 13),
    (22, 8, 18),
    (22, 11, 15),
    (34, 21, 7),
    (30, 15, 6),
    (20, 10, 14),
    (40, 11, 7),
    (33, 13, 12),
    (20, 14, 3),
    (33, 18, -5),
    (38, 10, 10),
    (36, 12, 9),
    (35, 9, 14),
    (45, 27, 1),
];

/// Rain and temperature of all cities and days.
#[derive(Debug)]
pub struct Weather {
    days: u32,
    /// Tenths of a millimetre, by city and day.
    rain: Vec<u16>,
    /// Tenths of a degree, by city and day.
    temperature: Vec<i16>,
}

impl Weather {
    /// Draws the weather of a world.
    pub fn draw(settings: &WorldSettings) -> Weather {
        let mut weather = Weather { days: settings.days, rain: Vec::new(), temperature: Vec::new() };
        for (city, (rainy, mean, amplitude)) in (0..).zip(CLIMATES) {
            let share = f64::from(rainy) / 100.0;
            let begins = share * (1.0 - PERSISTENCE) / (1.0 - share);
            let mut wet = false;
            for (day, date) in (0u64..).zip(settings.start.iter_days().take(settings.days as usize)) {
                let mut draws = Draws::new(settings.seed, Topic::Weather, city, day);
                wet = draws.chance(match (day, wet) {
                    (0, _) => share,
                    (_, true) => PERSISTENCE,
                    (_, false) => begins,
                });
                let millimetres = if wet { 1.0 - 9.0 * libm::log(1.0 - draws.unit()) } else { 0.0 };
                weather.rain.push((millimetres * 10.0) as u16);
                let season = libm::cos(std::f64::consts::TAU * (f64::from(date.ordinal()) - 200.0) / 365.25);
                let degrees = f64::from(mean) + f64::from(amplitude) * season + 2.5 * draws.normal();
                weather.temperature.push((degrees * 10.0) as i16);
            }
        }
        weather
    }

    fn at(&self, city: u16, day: u32) -> usize {
        usize::from(city) * self.days as usize + day as usize
    }

    /// Whether a day is rainy in a city.
    #[inline]
    pub fn rains(&self, city: u16, day: u32) -> bool {
        self.rain[self.at(city, day)] >= RAINY
    }

    /// The next rainy day after a dry one, if it comes within [`PATIENCE_DAYS`] and before the world ends.
    #[inline]
    pub fn next_rain(&self, city: u16, day: u32) -> Option<u32> {
        if self.rains(city, day) {
            return None;
        }
        (day + 1..=day + PATIENCE_DAYS).find(|later| *later < self.days && self.rains(city, *later))
    }
}

/// A row of `weather`.
#[derive(Debug, Clone, Copy)]
struct WeatherRow {
    city: u16,
    day: u32,
    rain: Option<f64>,
    temperature: f64,
    ingested: i64,
}

/// Rows of `weather` for a day: known shortly before its midnight.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn rows(world: &World, day: u32, mess: &mut Vec<Planted>) -> Result<Option<RecordBatch>> {
    let mut rows = Vec::with_capacity(COUNT);
    for city in 0..COUNT as u16 {
        let mut draws = world.draws(Topic::Weather, u64::from(city) | 1 << 32, u64::from(day));
        let kind = world.lotteries.weather.draw(draws.next_u64() as u32);
        let at = world.weather.at(city, day);
        let rain = match kind {
            Some(Kind::MissingRain) => None,
            // the instrument's code for a broken gauge
            Some(Kind::InvalidRain) => Some(-999.0),
            _ => Some(f64::from(world.weather.rain[at]) / 10.0),
        };
        let ingested = i64::from(day) * DAY + 23 * HOUR + draws.below(30 * MINUTE as u64) as i64;
        let temperature = f64::from(world.weather.temperature[at]) / 10.0;
        let row = WeatherRow { city, day, rain, temperature, ingested };
        rows.push(row);
        if kind == Some(Kind::DuplicateWeather) {
            rows.push(WeatherRow { ingested: world.ingested_again(ingested, draws.next_u64()), ..row });
        }
        let key = Key::Text(format!("{}-{}", city_name(city), world.date(i64::from(day))));
        mess.extend(kind.map(|kind| Planted { table: "weather", key, kind }));
    }
    let sorted = Sorted::by(world, &rows, |row| row.ingested);
    let columns = vec![
        sorted.texts(|row| city_name(row.city)),
        sorted.dates(|row| i64::from(row.day)),
        sorted.optional_floats(|row| row.rain),
        sorted.floats(|row| row.temperature),
        sorted.times(|row| row.ingested),
    ];
    batch("weather", rows.len(), columns)
}

/// English name of a home city.
pub fn city_name(city: u16) -> &'static str {
    let city = usize::from(city);
    CITIES.get(city).map_or_else(|| WESTERN_CITIES[(city - CITIES.len()) % WESTERN_CITIES.len()], |c| c.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rain_has_its_share_and_comes_in_spells() {
        let weather = Weather::draw(&WorldSettings { days: 3000, ..Default::default() });
        for (city, (rainy, _, _)) in (0..).zip(CLIMATES) {
            let wet: Vec<bool> = (0..3000).map(|day| weather.rains(city, day)).collect();
            let share = wet.iter().filter(|wet| **wet).count() as f64 / 30.0;
            assert!((share - f64::from(rainy)).abs() < 5.0, "{}: {share} %", city_name(city));
            let next = wet.windows(2).filter(|pair| pair[0] && pair[1]).count() as f64 / (share * 30.0);
            assert!((next - PERSISTENCE).abs() < 0.08, "{}: {next}", city_name(city));
        }
        let dry = (0..2990).find(|day| weather.next_rain(0, *day).is_some()).unwrap();
        assert!(!weather.rains(0, dry) && weather.rains(0, weather.next_rain(0, dry).unwrap()));
    }
}
