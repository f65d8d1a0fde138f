//! Where things are: the zones of every city, as in `events.place`, and the stores.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};

use super::columns::batch;
use super::names::{CITIES, REGIONS, WESTERN_CITIES};
use super::rng::{Draws, Topic};
use super::sessions::ZONES;
use super::weather::city_name;
use super::world::{HOUR, SECOND, World};
use crate::Result;

/// The zone of every city where its main station lies.
pub const STATION: u16 = 0;
/// Zones a side: a city is a square of 4 by 4.
const SIDE: u16 = 4;
/// Kilometres from the middle of one zone to that of the next.
const ZONE_KM: f64 = 3.0;

fn cities() -> u16 {
    (CITIES.len() + WESTERN_CITIES.len()) as u16
}

/// Text of a zone: `Shanghai-07`.
fn zone_name(city: u16, zone: u16) -> String {
    format!("{}-{zone:02}", city_name(city))
}

/// Kilometres east and north of the city's south-west corner to the middle of a zone. The station's zone is next to
/// the centre; the others follow in rows.
fn position(zone: u16) -> (f64, f64) {
    let cell = (zone + 5) % ZONES;
    (ZONE_KM * (f64::from(cell % SIDE) + 0.5), ZONE_KM * (f64::from(cell / SIDE) + 0.5))
}

fn distance(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (x, y) = (a.0 - b.0, a.1 - b.1);
    (libm::sqrt(x * x + y * y) * 100.0).round() / 100.0
}

/// What a zone mostly is.
fn zone_kind(seed: u64, city: u16, zone: u16) -> &'static str {
    if zone == STATION {
        return "station";
    }
    let mut draws = Draws::new(seed, Topic::Place, u64::from(city) << 8 | u64::from(zone), 1);
    ["residential", "business", "mixed"][draws.weighted(&[0.5, 0.25, 0.25])]
}

/// Rows of `regions`, one a zone: a list that arrives once, on day 0.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn regions(world: &World) -> Result<Option<RecordBatch>> {
    let zones: Vec<(u16, u16)> =
        (0..cities()).flat_map(|city| (0..ZONES).map(move |zone| (city, zone))).collect();
    let texts = |text: &dyn Fn(u16, u16) -> String| -> ArrayRef {
        Arc::new(zones.iter().map(|(city, zone)| Some(text(*city, *zone))).collect::<StringArray>())
    };
    let numbers = |number: &dyn Fn(u16) -> f64| -> ArrayRef {
        Arc::new(zones.iter().map(|(_, zone)| number(*zone)).collect::<Float64Array>())
    };
    let centre = (ZONE_KM * f64::from(SIDE) / 2.0, ZONE_KM * f64::from(SIDE) / 2.0);
    let native = |city: u16| CITIES.get(usize::from(city)).map_or(city_name(city), |c| c.0);
    let part = |city: u16| {
        let name = CITIES.get(usize::from(city)).map_or("海外", |c| c.2);
        REGIONS.iter().find(|(native, _)| *native == name).map_or(name, |(_, english)| english)
    };
    let columns: Vec<ArrayRef> = vec![
        texts(&zone_name),
        texts(&|city, zone| format!("{} {zone:02}", native(city))),
        texts(&|city, _| city_name(city).to_string()),
        texts(&|city, _| part(city).to_string()),
        texts(&|city, zone| zone_kind(world.settings.seed, city, zone).to_string()),
        numbers(&|zone| position(zone).0),
        numbers(&|zone| position(zone).1),
        numbers(&|zone| distance(position(zone), centre)),
        numbers(&|zone| distance(position(zone), position(STATION))),
        loaded(world, zones.len()),
    ];
    batch("regions", zones.len(), columns)
}

/// Rows of `stores`, 1 to 4 a city: a list that arrives once, on day 0.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn stores(world: &World) -> Result<Option<RecordBatch>> {
    let (mut ids, mut names, mut zones, mut opened) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut xy = [Vec::new(), Vec::new()];
    for city in 0..cities() {
        let mut draws = world.draws(Topic::Place, u64::from(city), 0);
        for number in 1..=1 + draws.below(4) {
            let zone = draws.below(u64::from(ZONES)) as u16;
            ids.push(format!("S{:03}{number}", city + 1));
            names.push(format!("{} store {number}", city_name(city)));
            zones.push((city, zone));
            let (x, y) = position(zone);
            for (column, middle) in xy.iter_mut().zip([x, y]) {
                column.push(((middle + ZONE_KM * (draws.unit() - 0.5)) * 100.0).round() / 100.0);
            }
            let day = world.date(-1 - draws.below(3000) as i64);
            opened.push(day.signed_duration_since(chrono::NaiveDate::default()).num_days() as i32);
        }
    }
    let rows = ids.len();
    let [x, y] = xy;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(ids)),
        Arc::new(StringArray::from(names)),
        Arc::new(zones.iter().map(|(city, _)| Some(city_name(*city))).collect::<StringArray>()),
        Arc::new(zones.iter().map(|(city, zone)| Some(zone_name(*city, *zone))).collect::<StringArray>()),
        Arc::new(Float64Array::from(x)),
        Arc::new(Float64Array::from(y)),
        Arc::new(Date32Array::from(opened)),
        loaded(world, rows),
    ];
    batch("stores", rows, columns)
}

/// One load of a whole list in the night of day 0, row after row.
fn loaded(world: &World, rows: usize) -> ArrayRef {
    let times = (0..rows as i64).map(|row| Some(world.utc(2 * HOUR + row * SECOND)));
    Arc::new(times.collect::<TimestampMicrosecondArray>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_fill_the_square_of_a_city() {
        let mut seen: Vec<(i64, i64)> = (0..ZONES).map(position).map(|(x, y)| (x as i64, y as i64)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), usize::from(ZONES));
        assert_eq!(distance(position(STATION), position(STATION)), 0.0);
        assert_eq!(distance((0.0, 0.0), (3.0, 4.0)), 5.0);
    }
}
