//! What is planted by latent trait shows in the rows, on average and not in everybody.

use std::collections::{HashMap, HashSet};

use arrow::array::AsArray;
use arrow::datatypes::Float64Type;

use super::{Made, longs, make};
use crate::generate::{MessRates, WorldSettings};

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

async fn world() -> Made {
    let mess = MessRates::none();
    make(&WorldSettings { scale: 0.02, days: 180, seed: 8, mess, threads: 4, ..Default::default() }).await
}

fn flags(made: &Made, column: &str) -> Vec<bool> {
    let batches = made.batches("truth/traits");
    let column =
        |batch: &arrow::array::RecordBatch| batch.column_by_name(column).unwrap().as_boolean().clone();
    batches.iter().flat_map(|batch| column(batch).iter().map(Option::unwrap).collect::<Vec<_>>()).collect()
}

fn numbers(made: &Made, table: &str, column: &str) -> Vec<f64> {
    let batches = made.batches(table);
    let values = |batch: &arrow::array::RecordBatch| {
        batch.column_by_name(column).unwrap().as_primitive::<Float64Type>().values().to_vec()
    };
    batches.iter().flat_map(values).collect()
}

/// Persons by account, and by device where it is nobody else's.
fn owners(made: &Made) -> HashMap<String, usize> {
    let mut owners = HashMap::new();
    let mut shared = HashSet::new();
    for (table, id) in [("truth/accounts", "account_id"), ("truth/devices", "device_id")] {
        for (key, person) in made.texts(table, id).into_iter().zip(made.longs(table, "person_id")) {
            if owners.insert(key.clone().unwrap(), person as usize).is_some() {
                shared.insert(key.unwrap());
            }
        }
    }
    owners.retain(|key, _| !shared.contains(key));
    owners
}

/// Share of hits among the rows of persons with and without a trait.
fn shares(rows: impl Iterator<Item = (usize, bool)>, bears: &[bool]) -> (f64, f64) {
    let mut counts = [[0.0; 2]; 2];
    for (person, hit) in rows {
        counts[usize::from(bears[person])][usize::from(hit)] += 1.0;
    }
    let share = |[miss, hit]: [f64; 2]| hit / (hit + miss);
    (share(counts[1]), share(counts[0]))
}

/// Events of known persons: person, type, local time, place, product.
fn events(made: &Made) -> Vec<(usize, String, i64, String, i64)> {
    let owners = owners(made);
    let mut events = Vec::new();
    for batch in made.batches("raw/events") {
        let devices = batch.column_by_name("device_id").unwrap().as_string::<i32>();
        let kinds = batch.column_by_name("event_type").unwrap().as_string::<i32>();
        let places = batch.column_by_name("place").unwrap().as_string::<i32>();
        let (times, products) = (longs(&batch, "event_time"), longs(&batch, "product_id"));
        for row in 0..batch.num_rows() {
            if let Some(person) = owners.get(devices.value(row)) {
                let place = places.value(row).to_string();
                let local = times[row] + 8 * HOUR;
                events.push((*person, kinds.value(row).to_string(), local, place, products[row]));
            }
        }
    }
    events
}

#[tokio::test]
async fn decisions_ways_and_rain_show_in_events() {
    let made = world().await;
    let events = events(&made);
    let carts = events.iter().filter(|e| e.1 == "cart" || e.1 == "dwell").map(|e| (e.0, e.1 == "cart"));
    let (hesitant, others) = shares(carts, &flags(&made, "hesitant"));
    assert!(hesitant > others + 0.05, "carts {hesitant} {others}");
    let station = |time: i64, place: &str| {
        let hour = time.rem_euclid(DAY) / HOUR;
        [7, 8, 18, 19].contains(&hour) && place.ends_with("-00")
    };
    let ways = events.iter().map(|e| (e.0, station(e.2, &e.3)));
    let (commuters, others) = shares(ways, &flags(&made, "commuter"));
    assert!(commuters > 0.08 && others < 0.05, "on the way {commuters} {others}");
    let mut rainy = HashSet::new();
    for batch in made.batches("raw/weather") {
        let cities = batch.column_by_name("city").unwrap().as_string::<i32>();
        let rain = batch.column_by_name("rain_mm").unwrap().as_primitive::<Float64Type>();
        for (row, day) in longs(&batch, "weather_date").into_iter().enumerate() {
            if rain.value(row) >= 1.0 {
                rainy.insert((cities.value(row).to_string(), day));
            }
        }
    }
    let with_place = events.iter().filter(|e| !e.3.is_empty());
    let wet =
        with_place.map(|e| (e.0, rainy.contains(&(e.3[..e.3.len() - 3].to_string(), e.2.div_euclid(DAY)))));
    let (rain_lovers, others) = shares(wet, &flags(&made, "rain_lover"));
    assert!(rain_lovers > others + 0.1, "rainy {rain_lovers} {others}");
}

#[tokio::test]
async fn impulsive_orders_come_soon_after_the_first_look() {
    let made = world().await;
    let owners = owners(&made);
    let mut first_looks: HashMap<(usize, i64), Vec<i64>> = HashMap::new();
    for (person, kind, time, _, product) in events(&made) {
        if kind == "view" {
            first_looks.entry((person, product)).or_default().push(time);
        }
    }
    let mut first_products = HashMap::new();
    for batch in made.batches("raw/order_items") {
        let (orders, lines) = (longs(&batch, "order_id"), longs(&batch, "line_no"));
        for (row, product) in longs(&batch, "product_id").into_iter().enumerate() {
            if lines[row] == 1 {
                first_products.insert(orders[row], product);
            }
        }
    }
    let mut rows = Vec::new();
    for batch in made.batches("raw/orders") {
        let accounts = batch.column_by_name("account_id").unwrap().as_string::<i32>();
        let (orders, times) = (longs(&batch, "order_id"), longs(&batch, "ordered_at"));
        for row in 0..batch.num_rows() {
            let person = owners[accounts.value(row)];
            let looks = first_looks.get(&(person, first_products[&orders[row]]));
            let time = times[row] + 8 * HOUR;
            let recent =
                looks.iter().flat_map(|looks| looks.iter()).filter(|at| (0..DAY).contains(&(time - **at)));
            if let Some(first) = recent.min() {
                rows.push((person, time - first < 4 * MINUTE));
            }
        }
    }
    let (impulsive, others) = shares(rows.into_iter(), &flags(&made, "impulsive"));
    assert!(impulsive > others + 0.2, "at once {impulsive} {others}");
}

#[tokio::test]
async fn messages_raise_orders_of_those_they_affect() {
    let made = world().await;
    let owners = owners(&made);
    let uplift = numbers(&made, "truth/traits", "uplift");
    let mut orders: HashMap<usize, Vec<i64>> = HashMap::new();
    for batch in made.batches("raw/orders") {
        let accounts = batch.column_by_name("account_id").unwrap().as_string::<i32>();
        for (row, time) in longs(&batch, "ordered_at").into_iter().enumerate() {
            orders.entry(owners[accounts.value(row)]).or_default().push(time);
        }
    }
    let mut rates = HashMap::<(bool, bool), (f64, f64)>::new();
    for batch in made.batches("raw/messages") {
        let accounts = batch.column_by_name("account_id").unwrap().as_string::<i32>();
        let arms = batch.column_by_name("arm").unwrap().as_string::<i32>();
        for (row, sent) in longs(&batch, "sent_at").into_iter().enumerate() {
            let person = owners[accounts.value(row)];
            let soon = |time: &&i64| (0..3 * DAY).contains(&(**time - sent));
            let bought = orders.get(&person).map_or(0, |times| times.iter().filter(soon).count());
            let rate = rates.entry((uplift[person] > 0.7, arms.value(row) == "treatment")).or_default();
            rate.0 += bought as f64;
            rate.1 += 1.0;
        }
    }
    let rate = |affected, treated| rates[&(affected, treated)].0 / rates[&(affected, treated)].1;
    let (raised, level) = (rate(true, true) / rate(true, false), rate(false, true) / rate(false, false));
    assert!(raised > 1.3, "affected {raised}, others {level}: {rates:?}");
    assert!((0.85..1.3).contains(&level), "affected {raised}, others {level}: {rates:?}");
}

#[tokio::test]
async fn one_search_term_rises_on_its_day() {
    let made = world().await;
    let term = made.texts("truth/rising_terms", "query").pop().flatten().unwrap();
    let first = made.longs("truth/rising_terms", "rises_from").pop().unwrap();
    let (mut before, mut after) = ([0.0; 2], [0.0; 2]);
    for batch in made.batches("raw/events") {
        let queries = batch.column_by_name("query").unwrap().as_string::<i32>();
        for (row, time) in longs(&batch, "event_time").into_iter().enumerate() {
            if arrow::array::Array::is_null(queries, row) {
                continue;
            }
            let query = queries.value(row);
            let since = (time + 8 * HOUR).div_euclid(DAY) - first;
            let hit = usize::from(query == term);
            match since {
                ..0 => before[hit] += 1.0,
                14.. => after[hit] += 1.0,
                _ => {}
            }
        }
    }
    let share = |[miss, hit]: [f64; 2]| hit / (hit + miss);
    assert!(share(before) < 0.01 && (0.035..0.065).contains(&share(after)), "{before:?} {after:?}");
}
