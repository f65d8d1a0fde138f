//! The main job on real input: a company that has nothing but a file of purchases.
//!
//! CDNOW (Fader and Hardie; the master file as shipped with the package `lifetimes`): 69,659 purchases of 23,570
//! customers. What is published is held against DuckDB on the same file, customer by customer.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::support::world::rows;
use crate::support::{ok, project, python, repository, text};

const AS_OF: &str = "1998-07-01";

/// The lake of one run on the master file; do not write to it.
fn cdnow_run() -> &'static Path {
    static RUN: OnceLock<TempDir> = OnceLock::new();
    RUN.get_or_init(|| {
        let lake = tempfile::tempdir().expect("a temporary folder");
        let raw = lake.path().join("raw/cdnow");
        std::fs::create_dir_all(&raw).expect("a folder");
        std::fs::copy(master_file(), raw.join("CDNOW_master.txt")).expect("a copy of the master file");
        ok(&["run", "--project", "tests/projects/cdnow", "--lake", text(lake.path()), "--as-of", AS_OF]);
        lake
    })
    .path()
}

pub fn master_file() -> std::path::PathBuf {
    python::package_file("lifetimes==0.11.3", "lifetimes/datasets/CDNOW_master.txt")
}

#[test]
fn every_customer_is_published_once_with_types_and_segments() {
    let lake = cdnow_run();
    let counted = rows(
        lake,
        "select count(*) as rows, count(distinct customer_id) as customers, count(segment) as segments,
            count(segment_name) as names, count(rfm_type) as types, count(rfm_segment) as grid, count(life_cycle) as life,
            count(distinct segment) as kinds, count(distinct rfm_type) as kinds_of_types
        from customer_360",
    );
    for column in ["rows", "customers", "segments", "names", "types", "grid", "life"] {
        assert_eq!(counted[0][column], 23_570, "{column} of customer_360");
    }
    assert_eq!(counted[0]["kinds"], 8, "behaviour segments");
    assert_eq!(counted[0]["kinds_of_types"], 8, "RFM types");
    let segments = rows(
        lake,
        "select count(*) as rows, count(distinct customer_id) as customers, count(run_id) as runs,
            min(array_length(main_tags)) as tags
        from segments",
    );
    assert_eq!(segments[0]["rows"], 23_570);
    assert_eq!(segments[0]["customers"], 23_570);
    assert_eq!(segments[0]["runs"], 23_570);
    assert_eq!(segments[0]["tags"], 3, "life cycle, RFM type and RFM segment of everyone");
}

#[test]
fn every_purchase_is_accounted_for() {
    let lake = cdnow_run();
    let totals = rows(
        lake,
        "select sum(frequency) as orders, cast(sum(monetary_total) as varchar) as spend from customer_360",
    );
    assert_eq!(totals[0]["orders"], 69_659);
    assert_eq!(totals[0]["spend"], "2500315.63");
    let report = ok(&["runs", "1", "--lake", text(lake)]);
    let orders = report
        .lines()
        .find(|line| line.trim_start().starts_with("staging.orders"))
        .expect("the stage is listed");
    let numbers: Vec<&str> = orders.split_whitespace().skip(1).take(3).collect();
    assert_eq!(numbers, ["69659", "69659", "0"], "rows in, rows and rejected of {orders}");
}

#[test]
fn recency_frequency_monetary_and_scores_equal_duckdb() {
    let lake = cdnow_run();
    let map = tempfile::tempdir().expect("a temporary folder");
    let map = map.path().join("map.parquet");
    let query = "select account_id, customer_id from identity.account_person";
    ok(&["sql", "--lake", text(lake), "--format", "parquet", "--out", text(&map), query]);
    let published = lake.join("published/customer_360");
    let said = python::script(COMPARE, &[text(&master_file()), text(&published), text(&map), AS_OF]);
    assert_eq!(said.trim(), "69659 purchases, 23570 customers, 0 differences");
}

/// Reads the lines by any run of blanks, as the file is aligned with a varying number of them.
const COMPARE: &str = r#"
import sys
import duckdb
from deltalake import DeltaTable

master, published, mapping, as_of = sys.argv[1:]
customer_360 = DeltaTable(published).to_pyarrow_table()
db = duckdb.connect()
db.execute("set enable_progress_bar = false")
db.execute(r"""
    create table purchases as
    select words[1] as account_id, strptime(words[2], '%Y%m%d')::date as day, words[4]::decimal(18, 2) as amount
    from (
        select regexp_extract_all(line, '\S+') as words
        from (select unnest(string_split(content, chr(10))) as line from read_text(?))
    )
    where regexp_matches(words[1], '^[0-9]+$')
""", [master])
db.execute("""
    create table expected as
    select account_id, date_diff('day', max(day), ?::date) as recency_days, count(*) as frequency,
        sum(amount)::decimal(18, 2) as monetary_total,
        count(*) filter (where day >= ?::date - 365) as frequency_window,
        coalesce(sum(amount) filter (where day >= ?::date - 365), 0)::decimal(18, 2) as monetary_window
    from purchases group by account_id
""", [as_of] * 3)

# Quintiles by inverse CDF and means of who bought in the window.
reference = db.execute(
    "select recency_days, frequency_window, monetary_window from expected where frequency_window > 0").fetchall()
def cuts(values):
    ordered = sorted(values)
    return [ordered[-(-len(ordered) * fifth // 5) - 1] for fifth in (1, 2, 3, 4)]
columns = list(zip(*reference))
recency_cuts, frequency_cuts, monetary_cuts = map(cuts, columns)
means = [sum(column) / len(column) for column in columns]
def score(value, cut_points):
    return 1 + sum(cut < value for cut in cut_points)
NAMES = {
    (True, True, True): "important value", (True, False, True): "important development",
    (False, True, True): "important retention", (False, False, True): "important win-back",
    (True, True, False): "general value", (True, False, False): "general development",
    (False, True, False): "general retention", (False, False, False): "general win-back",
}
account_of = dict(db.execute(f"select customer_id, account_id from read_parquet('{mapping}')").fetchall())
got = {}
for row in customer_360.to_pylist():
    account = account_of[row["customer_id"]]
    assert account not in got, account
    got[account] = tuple(row[name] for name in (
        "recency_days", "frequency", "monetary_total", "frequency_window", "monetary_window",
        "recency_score", "frequency_score", "monetary_score", "rfm_type"))
differences = []
rows = db.execute("select * from expected").fetchall()
for account, recency, frequency, monetary, in_window, spent in rows:
    name = NAMES[recency <= means[0], in_window >= means[1], spent >= means[2]]
    expected = (recency, frequency, monetary, in_window, spent,
        6 - score(recency, recency_cuts), score(in_window, frequency_cuts), score(spent, monetary_cuts), name)
    if got.pop(account, None) != expected:
        differences.append((account, expected))
assert not got, list(got.items())[:5]
assert not differences, differences[:5]
purchases = db.execute("select count(*) from purchases").fetchone()[0]
print(f"{purchases} purchases, {len(rows)} customers, {len(differences)} differences")
"#;

#[test]
fn ones_own_purchases_in_csv_files_are_enough() {
    let lake = tempfile::tempdir().expect("a temporary folder");
    let raw = lake.path().join("raw/purchases");
    std::fs::create_dir_all(&raw).expect("a folder");
    let mut early = String::from("customer_id,purchased_at,amount\n");
    let mut late = early.clone();
    for customer in 0..60 {
        for order in 0..=customer % 7 {
            let line = format!(
                "c{customer},2025-{:02}-{:02}T12:30:00,{}.50\n",
                1 + order,
                1 + customer % 28,
                5 + customer
            );
            if order < 3 { early.push_str(&line) } else { late.push_str(&line) }
        }
    }
    // Nobody's purchase, one without an amount, one below zero.
    late.push_str(",2025-03-01T00:00:00,5.00\nc1,2025-03-02T00:00:00,\nc2,2025-03-03T00:00:00,-4.00\n");
    std::fs::write(raw.join("early.csv"), &early).expect("a file");
    std::fs::write(raw.join("late.csv"), &late).expect("a file");
    let orders = (early.lines().count() + late.lines().count() - 5) as u64;
    ok(&[
        "run",
        "--project",
        "tests/projects/purchases",
        "--lake",
        text(lake.path()),
        "--as-of",
        "2025-08-01",
    ]);

    let totals = rows(
        lake.path(),
        "select count(*) as customers, sum(frequency) as orders, count(segment) as segments, count(rfm_type) as types
        from customer_360",
    );
    assert_eq!(totals[0]["customers"], 60);
    assert_eq!(totals[0]["segments"], 60);
    assert_eq!(totals[0]["types"], 60);
    assert_eq!(totals[0]["orders"], orders);
    let rejected = rows(
        lake.path(),
        "select rule, rows from quality where stage = 'staging.order_lines' and action = 'rejected' order by rule",
    );
    let rejected: Vec<String> =
        rejected.iter().map(|row| format!("{} {}", row["rule"].as_str().unwrap(), row["rows"])).collect();
    assert_eq!(rejected, ["invalid_amount 2", "missing_key 1"]);
    let one = rows(
        lake.path(),
        "select c.recency_days, c.frequency, cast(c.monetary_total as varchar) as spend
        from customer_360 as c inner join identity.account_person as p on c.customer_id = p.customer_id
        where p.account_id = 'c13'",
    );
    // c13 bought on the 14th of each month from January to July, for 18.50.
    assert_eq!(one[0]["recency_days"], 18);
    assert_eq!(one[0]["frequency"], 7);
    assert_eq!(one[0]["spend"], "129.50");
}

/// A project that is the template for a file of purchases, with these words in its files replaced.
fn template(replaced: &[(&str, &str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let from = repository().join("tests/projects/purchases");
    for file in ["project.toml", "raw/purchases.sql", "staging/order_lines.sql", "staging/orders.sql"] {
        let mut text = std::fs::read_to_string(from.join(file)).expect("a file of the template");
        for (_, old, new) in replaced.iter().filter(|(path, ..)| *path == file) {
            assert!(text.contains(old), "{file} has no `{old}`");
            text = text.replace(old, new);
        }
        project::write(folder.path(), &[(file, &text)]);
    }
    folder
}

/// Receipts of three lines, of which customers have two at one instant and one more later.
#[test]
fn a_line_of_a_receipt_is_not_an_order() {
    let with_baskets: &[(&str, &str, &str)] = &[
        ("raw/purchases.sql", "    amount double\n", "    amount double,\n    basket_id varchar\n"),
        (
            "staging/order_lines.sql",
            "cast(null as varchar) as basket_id",
            "trim_to_null(basket_id) as basket_id",
        ),
    ];
    for (baskets, orders) in [(false, 2), (true, 3)] {
        let project = template(if baskets { with_baskets } else { &[] });
        let lake = tempfile::tempdir().expect("a temporary folder");
        let mut file = String::from("customer_id,purchased_at,amount");
        file.push_str(if baskets { ",basket_id\n" } else { "\n" });
        for customer in 0..60 {
            // with baskets the lines of a receipt may have times of their own
            for (basket, hour) in [("a", 10), ("b", 10), ("c", 17)] {
                for line in 0..3 {
                    let minute = if baskets { line } else { 0 };
                    let day = 1 + customer % 28;
                    let time = format!("2025-03-{day:02}T{hour}:0{minute}:00");
                    file.push_str(&format!("c{customer},{time},{}.25", 1 + line));
                    file.push_str(&if baskets { format!(",{customer}-{basket}\n") } else { "\n".into() });
                }
            }
        }
        project::write(lake.path(), &[("raw/purchases/receipts.csv", &file)]);
        let (project, lake) = (text(project.path()), lake.path());
        ok(&["run", "--project", project, "--lake", text(lake), "--as-of", "2025-05-01"]);
        let totals = rows(
            lake,
            "select min(frequency) as least, max(frequency) as most, cast(min(monetary_total) as varchar) as spend
            from customer_360",
        );
        assert_eq!((&totals[0]["least"], &totals[0]["most"]), (&orders.into(), &orders.into()), "{baskets}");
        assert_eq!(totals[0]["spend"], "20.25");
        let lines = rows(lake, "select count(*) as lines, max(line_no) as most from staging.order_lines");
        assert_eq!(
            (&lines[0]["lines"], &lines[0]["most"]),
            (&540.into(), &(if baskets { 3 } else { 6 }).into())
        );
    }
}
