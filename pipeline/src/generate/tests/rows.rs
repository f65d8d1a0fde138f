//! What stands in the rows: planted mess agrees with truth, tables agree with each other.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use arrow::array::AsArray;
use arrow::datatypes::Float64Type;

use super::{Made, longs, make};
use crate::generate::{MessRates, WorldSettings};

const DAY: i64 = 86_400_000_000;

pub(super) async fn messy() -> Made {
    let mess = MessRates {
        too_late_event: 0.005,
        future_event: 0.005,
        orphan_order: 0.02,
        orphan_item: 0.02,
        orphan_return: 0.02,
        duplicate_account: 0.03,
        future_message: 0.01,
        orphan_message: 0.02,
        late_text: 0.05,
        future_text: 0.05,
        duplicate_text: 0.05,
        empty_text: 0.05,
        orphan_text: 0.05,
        duplicate_erasure: 0.4,
        orphan_erasure: 0.4,
        ..Default::default()
    };
    let erasures = 0.1;
    make(&WorldSettings { scale: 0.01, days: 60, seed: 5, erasures, mess, threads: 4, ..Default::default() })
        .await
}

/// Keys of truth by table and kind.
pub(super) fn truth(made: &Made) -> BTreeMap<(String, String), BTreeSet<String>> {
    let column = |name| made.texts("truth/mess", name).into_iter().flatten();
    let mut planted = BTreeMap::<_, BTreeSet<String>>::new();
    for ((table, key), kind) in column("table").zip(column("key")).zip(column("kind")) {
        assert!(planted.entry((table, kind)).or_default().insert(key), "a key planted twice");
    }
    planted
}

pub(super) fn twice(ids: impl Iterator<Item = String>) -> BTreeSet<String> {
    let mut seen = HashMap::<String, u32>::new();
    ids.for_each(|id| *seen.entry(id).or_default() += 1);
    assert!(seen.values().all(|count| *count <= 2), "an id occurs more than twice");
    seen.into_iter().filter(|(_, count)| *count == 2).map(|(id, _)| id).collect()
}

/// Keys of the rows of a table for which `faulty` holds of two integer columns.
fn keys(
    made: &Made,
    table: &str,
    id: &str,
    columns: [&str; 2],
    faulty: impl Fn(i64, i64) -> bool,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for batch in made.batches(table) {
        let (ids, a, b) = (longs(&batch, id), longs(&batch, columns[0]), longs(&batch, columns[1]));
        for (row, id) in ids.iter().enumerate() {
            if faulty(a[row], b[row]) {
                found.insert(id.to_string());
            }
        }
    }
    found
}

#[tokio::test]
async fn visible_mess_is_exactly_what_truth_says() {
    let made = messy().await;
    let planted = truth(&made);
    let expect = |table: &str, kind: &str, found: BTreeSet<String>| {
        let said = planted.get(&(table.to_string(), kind.to_string())).cloned().unwrap_or_default();
        assert!(!said.is_empty(), "no {kind} planted");
        assert_eq!(said, found, "{kind}");
    };
    for kind in planted.keys() {
        let visible = !["wrong_birth_date", "name_typo", "placeholder_phone"].contains(&kind.1.as_str());
        let column = made.texts("truth/mess", "kind");
        let flags = made.batches("truth/mess");
        let mut row = 0;
        for batch in flags {
            for flag in batch.column_by_name("visible").unwrap().as_boolean() {
                assert!(column[row].as_deref() != Some(&kind.1) || flag == Some(visible));
                row += 1;
            }
        }
    }
    let ids = |table: &str, id: &str| {
        made.longs(table, id).into_iter().map(|id| id.to_string()).collect::<Vec<_>>()
    };
    expect("events", "duplicate_event", twice(ids("raw/events", "event_id").into_iter()));
    expect("orders", "duplicate_order", twice(ids("raw/orders", "order_id").into_iter()));
    let accounts = made.texts("raw/crm_customers", "account_id");
    expect("crm_customers", "duplicate_account", twice(accounts.iter().flatten().cloned()));
    let times = ["event_time", "ingested_at"];
    let events = |faulty: fn(i64, i64) -> bool| keys(&made, "raw/events", "event_id", times, faulty);
    expect("events", "future_event", events(|time, ingested| time > ingested));
    expect("events", "too_late_event", events(|time, ingested| ingested - time > 7 * DAY));
    let late = events(|time, ingested| (DAY..=7 * DAY).contains(&(ingested - time)));
    let again = twice(ids("raw/events", "event_id").into_iter());
    expect("events", "late_event", late.difference(&again).cloned().collect());
    let dwells = ["dwell_ms", "dwell_ms"];
    expect(
        "events",
        "outlier_dwell",
        keys(&made, "raw/events", "event_id", dwells, |ms, _| ms >= 86_400_000),
    );
    let orders: HashSet<i64> = made.longs("raw/orders", "order_id").into_iter().collect();
    let columns = ["order_id", "order_id"];
    let orphans = keys(&made, "raw/returns", "return_id", columns, |order, _| !orders.contains(&order));
    expect("returns", "orphan_return", orphans);
    let known: HashSet<String> = accounts.into_iter().flatten().collect();
    let mut orphans = BTreeSet::new();
    for (order, account) in
        ids("raw/orders", "order_id").into_iter().zip(made.texts("raw/orders", "account_id"))
    {
        if !known.contains(&account.unwrap()) {
            orphans.insert(order);
        }
    }
    expect("orders", "orphan_order", orphans);
}

#[tokio::test]
async fn planted_lines_are_exactly_what_truth_says() {
    let made = messy().await;
    let planted = truth(&made);
    let orders: HashSet<i64> = made.longs("raw/orders", "order_id").into_iter().collect();
    let mut found = BTreeMap::<(String, String), BTreeSet<String>>::new();
    for batch in made.batches("raw/order_items") {
        let (ids, lines, quantities) =
            (longs(&batch, "order_id"), longs(&batch, "line_no"), longs(&batch, "quantity"));
        let prices =
            batch.column_by_name("unit_price").unwrap().as_primitive::<Float64Type>().values().to_vec();
        for row in 0..batch.num_rows() {
            let kind = match (quantities[row], prices[row]) {
                _ if !orders.contains(&ids[row]) => "orphan_item",
                (..0, _) => "negative_quantity",
                (500.., _) => "outlier_quantity",
                (_, price) if price.is_nan() || price <= 0.0 => "invalid_price",
                _ => continue,
            };
            let key = format!("{}-{}", ids[row], lines[row]);
            assert!(found.entry(("order_items".into(), kind.into())).or_default().insert(key));
        }
    }
    assert_eq!(found.len(), 4);
    for (kind, keys) in found {
        assert_eq!(planted[&kind], keys, "{kind:?}");
    }
}

#[tokio::test]
async fn logins_stand_in_devices_and_end_anonymity() {
    let made = messy().await;
    let row = |table: &str, time: &str| -> HashSet<(String, String, i64)> {
        let devices = made.texts(table, "device_id").into_iter().map(Option::unwrap);
        let accounts = made.texts(table, "account_id").into_iter().map(Option::unwrap_or_default);
        devices.zip(accounts).zip(made.longs(table, time)).map(|((d, a), t)| (d, a, t)).collect()
    };
    let logins = row("raw/devices", "logged_in_at");
    let kinds = made.texts("raw/events", "event_type");
    let devices = made.texts("raw/events", "device_id");
    let accounts = made.texts("raw/events", "account_id");
    let times = made.longs("raw/events", "event_time");
    let (mut anonymous, mut login_events) = (0, 0);
    for (((kind, device), account), time) in kinds.iter().zip(&devices).zip(&accounts).zip(&times) {
        anonymous += usize::from(account.is_none());
        if kind.as_deref() == Some("login") {
            login_events += 1;
            assert!(logins.contains(&(device.clone().unwrap(), account.clone().unwrap(), *time)));
        }
    }
    let share = anonymous as f64 / kinds.len() as f64;
    assert!((0.35..0.7).contains(&share), "anonymous {share}");
    assert!(login_events > 100 && logins.len() > login_events);
    let known: HashSet<String> = made.texts("truth/accounts", "account_id").into_iter().flatten().collect();
    assert!(accounts.iter().flatten().all(|account| known.contains(account)));
    let owned: HashSet<String> = made.texts("truth/devices", "device_id").into_iter().flatten().collect();
    assert!(devices.iter().flatten().all(|device| owned.contains(device)));
}

#[tokio::test]
async fn online_orders_follow_a_cart_of_the_same_session() {
    let made = make(&WorldSettings {
        scale: 0.01,
        days: 20,
        mess: MessRates::none(),
        threads: 4,
        ..Default::default()
    })
    .await;
    assert_eq!(made.summary.tables["truth/mess"].rows, 0);
    let mut carts = HashMap::<(String, String), Vec<i64>>::new();
    let kinds = made.texts("raw/events", "event_type");
    let devices = made.texts("raw/events", "device_id");
    let accounts = made.texts("raw/events", "account_id");
    for (row, time) in made.longs("raw/events", "event_time").into_iter().enumerate() {
        if let (Some("cart"), Some(account)) = (kinds[row].as_deref(), &accounts[row]) {
            carts.entry((devices[row].clone().unwrap(), account.clone())).or_default().push(time);
        }
    }
    let accounts = made.texts("raw/orders", "account_id");
    let devices = made.texts("raw/orders", "device_id");
    let mut online = 0;
    for (row, time) in made.longs("raw/orders", "ordered_at").into_iter().enumerate() {
        let Some(device) = &devices[row] else { continue };
        online += 1;
        let near = &carts[&(device.clone(), accounts[row].clone().unwrap())];
        assert!(near.iter().any(|cart| (0..2 * 60_000_000).contains(&(time - cart))), "order without cart");
    }
    assert!(online > 100 && online < accounts.len(), "{online} of {}", accounts.len());
}
