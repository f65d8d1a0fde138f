//! Messages, social activity, texts, erasure requests, weather and places: planted mess agrees with truth, rows agree
//! with each other.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Date32Type, Float64Type};

use super::rows::{messy, truth, twice};
use super::{Made, longs, make};
use crate::generate::{MessRates, WorldSettings};

const DAY: i64 = 86_400_000_000;

/// Keys of the rows of a table in which something stands.
type Found = BTreeMap<(String, String), BTreeSet<String>>;

fn find(found: &mut Found, table: &str, kind: &str, key: String) {
    found.entry((table.into(), kind.into())).or_default().insert(key);
}

/// Finds what stands in messages, texts and requests: unknown accounts, wrong times, rows delivered twice.
fn by_id(made: &Made, found: &mut Found, table: &str, names: [&str; 2], delay_days: i64, kinds: [&str; 4]) {
    let [id, time] = names;
    let [duplicate, late, future, orphan] = kinds;
    let known: HashSet<String> =
        made.texts("raw/crm_customers", "account_id").into_iter().flatten().collect();
    let raw = format!("raw/{table}");
    let accounts = made.texts(&raw, "account_id");
    let (ids, times) = (made.longs(&raw, id), made.longs(&raw, time));
    for key in twice(ids.iter().map(i64::to_string)) {
        find(found, table, duplicate, key);
    }
    for (row, ingested) in made.longs(&raw, "ingested_at").into_iter().enumerate() {
        let key = ids[row].to_string();
        if !known.contains(accounts[row].as_ref().unwrap()) {
            find(found, table, orphan, key.clone());
        }
        if times[row] > ingested {
            find(found, table, future, key);
        } else if ingested - times[row] > delay_days * DAY {
            find(found, table, late, key);
        }
    }
}

#[tokio::test]
async fn visible_mess_of_the_other_tables_is_exactly_what_truth_says() {
    let made = messy().await;
    let mut found = Found::new();
    let kinds = ["duplicate_message", "late_message", "future_message", "orphan_message"];
    by_id(&made, &mut found, "messages", ["message_id", "sent_at"], 3, kinds);
    let kinds = ["duplicate_text", "late_text", "future_text", "orphan_text"];
    by_id(&made, &mut found, "texts", ["text_id", "written_at"], 1, kinds);
    let kinds = ["duplicate_erasure", "late", "future", "orphan_erasure"];
    by_id(&made, &mut found, "erasure_requests", ["request_id", "requested_at"], 1, kinds);
    for (id, body) in made.longs("raw/texts", "text_id").iter().zip(made.texts("raw/texts", "body")) {
        if body.is_none() {
            find(&mut found, "texts", "empty_text", id.to_string());
        }
    }
    weather(&made, &mut found);
    social(&made, &mut found);
    let tables = ["messages", "texts", "erasure_requests", "weather", "social"];
    let mut planted = truth(&made);
    planted.retain(|(table, _), _| tables.contains(&table.as_str()));
    assert_eq!(planted.len(), 19, "{:?}", planted.keys());
    assert_eq!(found, planted);
}

fn weather(made: &Made, found: &mut Found) {
    let mut keys = Vec::new();
    for batch in made.batches("raw/weather") {
        let cities = batch.column_by_name("city").unwrap().as_string::<i32>();
        let dates = batch.column_by_name("weather_date").unwrap().as_primitive::<Date32Type>();
        let rain = batch.column_by_name("rain_mm").unwrap().as_primitive::<Float64Type>();
        for row in 0..batch.num_rows() {
            let key = format!("{}-{}", cities.value(row), dates.value_as_date(row).unwrap());
            if rain.is_null(row) {
                find(found, "weather", "missing_rain", key.clone());
            } else if rain.value(row) < 0.0 {
                find(found, "weather", "invalid_rain", key.clone());
            }
            keys.push(key);
        }
    }
    for key in twice(keys.into_iter()) {
        find(found, "weather", "duplicate_weather", key);
    }
}

fn social(made: &Made, found: &mut Found) {
    let known: HashSet<String> =
        made.texts("raw/crm_customers", "account_id").into_iter().flatten().collect();
    let mut keys = Vec::new();
    for (path, bytes) in made.of("raw/social") {
        let date = &path.split_once("social_date=").unwrap().1[..10];
        let arrived = &path.split_once("arrived-").unwrap().1[..10];
        let day = |text: &str| chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").unwrap();
        let late = (day(arrived) - day(date)).num_days() > 1;
        for batch in super::decode(bytes) {
            let accounts = batch.column_by_name("account_id").unwrap().as_string::<i32>();
            let platforms = batch.column_by_name("platform").unwrap().as_string::<i32>();
            let missing = batch.column_by_name("engagements").unwrap().clone();
            for (row, engagements) in longs(&batch, "engagements").into_iter().enumerate() {
                let key = format!("{}-{}-{date}", accounts.value(row), platforms.value(row));
                let kinds = [
                    (late, "late_social"),
                    (!known.contains(accounts.value(row)), "orphan_social"),
                    (missing.is_null(row), "missing_count"),
                    (engagements < 0 && !missing.is_null(row), "negative_count"),
                ];
                for (_, kind) in kinds.into_iter().filter(|(is, _)| *is) {
                    find(found, "social", kind, key.clone());
                }
                keys.push(key);
            }
        }
    }
    for key in twice(keys.into_iter()) {
        find(found, "social", "duplicate_social", key);
    }
}

async fn clean() -> Made {
    let mess = MessRates::none();
    make(&WorldSettings { scale: 0.01, days: 90, seed: 5, mess, threads: 4, ..Default::default() }).await
}

#[tokio::test]
async fn outcomes_follow_their_cause_and_are_known_when_they_arrive() {
    let made = clean().await;
    let times = ["sent_at", "opened_at", "clicked_at", "joined_at", "ingested_at"];
    let (mut opened, mut rows) = (0, 0);
    for batch in made.batches("raw/messages") {
        let columns = times.map(|name| batch.column_by_name(name).unwrap().clone());
        let values = times.map(|name| longs(&batch, name));
        let arms = batch.column_by_name("arm").unwrap().as_string::<i32>();
        for (row, arm) in arms.iter().enumerate() {
            let here: Vec<i64> =
                (0..times.len()).filter(|at| columns[*at].is_valid(row)).map(|at| values[at][row]).collect();
            assert!(here.is_sorted(), "{here:?}");
            let answered = (1..4).filter(|at| columns[*at].is_valid(row)).count();
            assert!((0..answered).all(|at| columns[at + 1].is_valid(row)), "no click before an opening");
            assert!(arm == Some("treatment") || answered == 0, "answers to nothing");
            opened += u32::from(answered > 0);
            rows += 1;
        }
    }
    assert!(rows > 1000 && opened > 100, "{opened} of {rows}");
    let campaigns: HashSet<_> = made.texts("raw/campaigns", "campaign_id").into_iter().collect();
    let named = made.texts("raw/messages", "campaign_id");
    assert!(named.iter().all(|name| campaigns.contains(name)));
}

#[tokio::test]
async fn texts_have_their_truth_and_places_their_names() {
    let made = clean().await;
    let meant: HashMap<i64, Option<String>> =
        made.longs("truth/texts", "text_id").into_iter().zip(made.texts("truth/texts", "language")).collect();
    let ids = made.longs("raw/texts", "text_id");
    assert_eq!(meant.len(), ids.len());
    for (id, body) in ids.iter().zip(made.texts("raw/texts", "body")) {
        let chinese = body.unwrap().chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
        assert_eq!(meant[id].as_deref(), Some(if chinese { "zh" } else { "en" }));
    }
    let regions: HashSet<_> = made.texts("raw/regions", "region_id").into_iter().flatten().collect();
    let places: HashSet<_> = made.texts("raw/events", "place").into_iter().flatten().collect();
    assert!(places.is_subset(&regions) && places.len() > 200);
    assert!(made.texts("raw/stores", "region_id").into_iter().flatten().all(|zone| regions.contains(&zone)));
    let cities: HashSet<_> = made.texts("raw/regions", "city").into_iter().flatten().collect();
    let weather: HashSet<_> = made.texts("raw/weather", "city").into_iter().flatten().collect();
    assert_eq!(cities, weather);
}
