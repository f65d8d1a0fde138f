//! What a contract calls the key is the key across days: an order, its lines and its return delivered again under a corrected
//! date count once, on the day delivered last, in whichever run they come.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use crate::support::python::script;
use crate::support::world::{copy, generate, hashes, last_run, rows};
use crate::support::{ok, text};

/// Published tables that show what customers did.
const TABLES: &[(&str, &str)] = &[
    ("customer_360", "customer_id, as_of"),
    ("segments", "customer_id, as_of"),
    ("segment_summary", "as_of, family, segment"),
    ("quality", "as_of, stage, rule"),
    ("funnels", "as_of, funnel, step"),
    ("product_opinions", "as_of, product_id, aspect"),
];

/// For each table with a key of its own: one row of a day again two days later, that day's file written into `to`. An order takes
/// its lines along. Prints table, day, new day and key.
const AGAIN: &str = r#"
import os, sys, duckdb
lake, to = sys.argv[1:]
TABLES = [("orders", "order_id", "ordered_at", "order_date"), ("returns", "return_id", "returned_at", "return_date"),
    ("messages", "message_id", "sent_at", "sent_date"), ("texts", "text_id", "written_at", "written_date"),
    ("events", "event_id", "event_time", "event_date")]
every = lambda table: f"read_parquet('{lake}/raw/{table}/**/*.parquet', hive_partitioning = true)"

def write(table, rows, day):
    folder = f"{to}/raw/{table}/{day}"
    os.makedirs(folder, exist_ok=True)
    duckdb.sql(f"copy ({rows}) to '{folder}/again.parquet' (format parquet)")

for table, key, at, day in TABLES:
    more = {
        # an order with lines and a return, of an account that exists
        "orders": f"""and channel = 'web' and status <> 'cancelled' and order_id in (select order_id from {every('returns')})
            and account_id in (select account_id from {every('crm_customers')})""",
        "events": "and event_type = 'view'", "texts": "and body is not null", "messages": "and opened_at is null",
    }.get(table, "")
    if table == "returns":
        more = f"and order_id = {order}"
    row = duckdb.sql(f"""select {key}, {day}::varchar, ({day} + 2)::varchar from {every(table)}
        where {at} + interval 2 days < (select max({at}) - interval 3 days from {every(table)})
            and {at} <= ingested_at and ingested_at < {at} + interval 3 days {more} order by all limit 1""").fetchall()
    if table == "returns" and not row:
        # too late to be moved by two days: moved back by one, which is a correction as well
        row = duckdb.sql(f"""select {key}, {day}::varchar, ({day} - 1)::varchar from {every(table)} where true {more}
            order by all limit 1""").fetchall()
    id, old, new = row[0]
    shift = f"interval ({(1 if new > old else -1) * (2 if new > old else 1)}) days"
    rows = f"""select * exclude ({day}) replace ({at} + {shift} as {at}, greatest(ingested_at, {at} + {shift}) + interval 1 hour
        as ingested_at) from {every(table)} where {key} = {id} order by ingested_at limit 1"""
    write(table, rows, f"{day}={new}")
    print(table, old, new, id)
    if table == "orders":
        order = id
        lines = f"""select * exclude (order_date) replace (ingested_at + interval 2 days + interval 1 hour as ingested_at)
            from {every('order_items')} where order_id = {id}"""
        write("order_items", lines, f"order_date={new}")
"#;

fn run_on(lake: &Path, as_of: &str) {
    ok(&["run", "--lake", text(lake), "--as-of", as_of]);
}

/// The only value of the first row.
fn value(lake: &Path, query: &str) -> String {
    rows(lake, query)[0].as_object().unwrap().values().next().unwrap().to_string()
}

#[test]
fn what_is_delivered_again_under_another_day_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let [world, again, later, at_once] =
        ["world", "again", "later", "at_once"].map(|name| folder.path().join(name));
    generate(&world, &["--scale", "0.004", "--days", "30", "--seed", "3"]);
    let said = script(AGAIN, &[text(&world), text(&again)]);
    let moved: Vec<Vec<&str>> = said.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(moved.len(), 5, "{said}");

    copy(&world.join("raw"), &later.join("raw"));
    run_on(&later, "2025-01-30");
    let totals = "select sum(frequency) as orders, cast(sum(gross_total) as varchar) as spend,
            cast(sum(returned_total) as varchar) as returned
        from features.customers";
    let before = rows(&later, totals);
    for lake in [&later, &at_once] {
        if lake == &at_once {
            copy(&world.join("raw"), &lake.join("raw"));
        }
        for table in ["orders", "order_items", "returns", "messages", "texts", "events"] {
            let from = again.join("raw").join(table);
            for day in std::fs::read_dir(from).unwrap() {
                let day = day.unwrap();
                let to = lake.join("raw").join(table).join(day.file_name());
                std::fs::create_dir_all(&to).unwrap();
                std::fs::copy(day.path().join("again.parquet"), to.join("again.parquet")).unwrap();
            }
        }
        run_on(lake, "2025-01-30");
    }

    assert_eq!(rows(&later, totals), before, "nothing counts twice, and nothing is lost");
    let order = &moved[0];
    let day_of = format!(
        "select cast(order_date as varchar) as day from staging.orders where order_id = {}",
        order[3]
    );
    assert_eq!(rows(&later, &day_of).len(), 1);
    assert_eq!(value(&later, &day_of), format!("\"{}\"", order[2]));
    let lines = format!(
        "select min(order_date) = max(order_date) from staging.order_lines where order_id = {}",
        order[3]
    );
    assert_eq!(value(&later, &lines), "true");
    for (stage, rule) in [
        ("orders", "superseded_order"),
        ("returns", "superseded_return"),
        ("messages", "superseded_message"),
        ("texts", "superseded_text"),
        ("daily_activity", "superseded_event"),
    ] {
        let found = value(&later, &format!("select count(*) from quarantine.{stage} where rule = '{rule}'"));
        assert_eq!(found, "1", "{rule}");
    }
    let lines = "select count(*) > 0 from quarantine.order_lines where rule = 'superseded_item'";
    assert_eq!(value(&later, lines), "true");

    // the days that the rows left and came to are computed again, no others
    let stages = last_run(&later).stages;
    for stage in
        ["staging.orders", "staging.returns", "staging.messages", "staging.texts", "facts.daily_activity"]
    {
        assert_eq!(stages[stage].computed, 2, "days of {stage}");
    }
    assert_eq!(hashes(&later, TABLES), hashes(&at_once, TABLES), "a later run gives what one run gives");
}

/// One order of a customer who buys every day, in a file of its own: `known` says when it became known.
fn deliver(lake: &Path, file: &str, order: i64, day: &str, known: &str) {
    let write = r#"
import os, sys, duckdb
lake, file, order, day, known = sys.argv[1:]
every = lambda table: f"read_parquet('{lake}/raw/{table}/**/*.parquet', hive_partitioning = true)"
for table, columns in [("orders", f"timestamp '{day} 04:00' as ordered_at, "), ("order_items", "")]:
    folder = f"{lake}/raw/{table}/order_date={day}"
    os.makedirs(folder, exist_ok=True)
    rows = f"""select * exclude (order_date) replace ({columns}timestamp '{known}' as ingested_at, {order}::bigint as order_id)
        from {every(table)} where order_id = (select min(order_id) from {every('orders')} where status <> 'cancelled'
            and account_id in (select account_id from {every('crm_customers')}))"""
    duckdb.sql(f"copy ({rows}) to '{folder}/{file}.parquet' (format parquet)")
"#;
    script(write, &[text(lake), file, &order.to_string(), day, known]);
}

/// An order that moves to another day and back counts on the day under which it was delivered last; what has the same id
/// much later is another order.
#[test]
fn an_order_may_come_back_and_ids_may_be_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    generate(&lake, &["--scale", "0.002", "--days", "60", "--seed", "3"]);
    let days_of = |lake: &Path, order: i64| {
        let query = format!(
            "select cast(order_date as varchar) as day from staging.orders where order_id = {order} order by day"
        );
        let found = rows(lake, &query);
        found.iter().map(|row| row["day"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (moves, day, known) in [
        (1, "2025-01-10", "2025-01-10 05:00"),
        (2, "2025-01-12", "2025-01-12 05:00"),
        (3, "2025-01-10", "2025-01-14 05:00"),
    ] {
        deliver(&lake, &format!("moved{moves}"), 900_000_001, day, known);
        run_on(&lake, "2025-02-25");
        assert_eq!(days_of(&lake, 900_000_001), [day], "after {moves} deliveries");
    }
    let lines = "select distinct cast(order_date as varchar) as day from staging.order_lines where order_id = 900000001";
    let found = rows(&lake, lines);
    assert_eq!((found.len(), value(&lake, lines).as_str()), (1, "\"2025-01-10\""));
    deliver(&lake, "first", 900_000_002, "2025-01-05", "2025-01-05 05:00");
    deliver(&lake, "again", 900_000_002, "2025-02-20", "2025-02-20 05:00");
    run_on(&lake, "2025-02-25");
    assert_eq!(days_of(&lake, 900_000_002), ["2025-01-05", "2025-02-20"]);
}
