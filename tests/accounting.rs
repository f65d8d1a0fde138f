//! No row gets lost and no good row is thrown away: rows in are rows out and rows in quarantine, every cleaning rule
//! finds what is wrong and nothing else. Rows are counted by DuckDB, in the files.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;
use strata::generate::{MessRates, WorldSettings};
use strata::lake::Lake;
use strata::project::Project;
use strata::run::StageRun;
use tempfile::TempDir;

use crate::support::python::script;
use crate::support::world::{copy, last_run, rows, small_lake, small_run, small_world};
use crate::support::{ok, text};

/// A world of 2,000 people in which every kind of mess has at least this many cases.
const CASES: u64 = 20;

/// The messy world, run once; do not write to it.
fn messy_run() -> &'static Path {
    static RUN: OnceLock<TempDir> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let mess = MessRates {
            outlier_dwell: 0.01,
            duplicate_order: 0.02,
            late_order: 0.02,
            orphan_order: 0.02,
            negative_quantity: 0.01,
            invalid_price: 0.01,
            outlier_quantity: 0.01,
            orphan_item: 0.02,
            orphan_return: 0.02,
            outlier_age: 0.01,
            duplicate_message: 0.01,
            future_message: 0.01,
            orphan_message: 0.01,
            duplicate_social: 0.02,
            orphan_social: 0.02,
            negative_count: 0.02,
            missing_count: 0.02,
            duplicate_text: 0.055,
            late_text: 0.07,
            future_text: 0.055,
            empty_text: 0.055,
            orphan_text: 0.07,
            duplicate_erasure: 0.3,
            orphan_erasure: 0.3,
            duplicate_weather: 0.03,
            missing_rain: 0.03,
            invalid_rain: 0.03,
            ..MessRates::default()
        };
        let settings = WorldSettings {
            scale: 0.02,
            days: 60,
            seed: 11,
            erasures: 0.1,
            mess,
            ..WorldSettings::default()
        };
        let lake = Lake::open(text(folder.path())).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime
            .block_on(strata::generate::generate(&settings, lake.store().clone(), &lake.path("")))
            .unwrap();
        ok(&["run", "--lake", text(folder.path()), "--as-of", "latest"]);
        folder
    })
    .path()
}

/// `(stage, rule)` and how many source rows the last run rejected by it.
fn rejected(lake: &Path) -> BTreeMap<(String, String), u64> {
    let stages = last_run(lake).stages;
    let of_stage = |(stage, run): (String, StageRun)| {
        run.by_rule.into_iter().map(move |(rule, rows)| ((stage.clone(), rule), rows))
    };
    stages.into_iter().flat_map(of_stage).collect()
}

/// Counts of one lake by DuckDB: rows of each raw table known at `as_of` (first argument after the lake), and for each
/// `layer.stem=weight` the sum of the weight over its good files, and by rule over its quarantined files.
const COUNT: &str = r#"
import sys, os, glob, json, duckdb
lake, as_of, stages = sys.argv[1], sys.argv[2], sys.argv[3:]
counts = {}
for table in sorted(os.listdir(f"{lake}/raw")):
    known = f"ingested_at is null or ingested_at < timestamp '{as_of}'"
    query = f"select count(*) from read_parquet('{lake}/raw/{table}/**/*.parquet') where {known}"
    counts["raw." + table] = duckdb.sql(query).fetchall()[0][0]
for stage in stages:
    name, weight = stage.split("=")
    folder = f"{lake}/stages/{name.replace('.', '/')}/data"
    files = glob.glob(f"{folder}/**/*.parquet", recursive=True)
    bad = [file for file in files if "/_quarantine/" in file]
    good = [file for file in files if file not in bad]
    total = f"coalesce(sum({weight}), 0)::bigint"
    one = lambda some: duckdb.sql(f"select {total} from read_parquet({some}, union_by_name = true)").fetchall()[0][0] if some else 0
    rules = f"select rule, {total} from read_parquet({bad}, union_by_name = true) group by rule"
    by_rule = dict(duckdb.sql(rules).fetchall()) if bad else {}
    assert None not in by_rule, name
    counts[name] = {"good": one(good), "by_rule": by_rule}
print(json.dumps(counts))
"#;

/// Of these sources a generated world has nothing: decisions on records, names of segments, lists of seeds.
const NOT_GENERATED: &[&str] = &["identity_overrides", "segment_names", "lookalike_seeds", "known_seeds"];

/// Every filtering stage of the built-in project that has something to filter: its name, weight, and the source it
/// accounts for.
fn filtering_stages() -> Vec<(String, String, Option<String>)> {
    let project = Project::load("retail", &strata::engine::planning_state().unwrap()).unwrap();
    let filtering = project.stages.iter().filter(|stage| stage.quarantine.is_some());
    let filtering = filtering.filter(|stage| !NOT_GENERATED.contains(&stage.stem.as_str()));
    let weight = |weight: &Option<String>| weight.clone().unwrap_or("1".into());
    filtering.map(|stage| (stage.name.clone(), weight(&stage.weight), stage.accounts.clone())).collect()
}

/// Holds every filtering stage of a lake against its input.
fn check_accounts(lake: &Path) {
    let run = last_run(lake);
    let as_of = run.as_of.trim_end_matches('Z').replace('T', " ");
    let stages = filtering_stages();
    assert!(stages.len() >= 10, "{stages:?}");
    let mut args: Vec<String> = vec![text(lake).to_string(), as_of];
    args.extend(stages.iter().map(|(name, weight, _)| format!("{name}={weight}")));
    let counts = script(COUNT, &args.iter().map(String::as_str).collect::<Vec<_>>());
    let counts: Value = serde_json::from_str(&counts).unwrap();
    let good = |stage: &str| counts[stage]["good"].as_u64().unwrap();
    for (stage, _, source) in &stages {
        let rows_in = match (source, stage.as_str()) {
            (Some(source), _) => counts[source].as_u64().unwrap(),
            (None, "features.purchases") => good("staging.orders"),
            (None, "features.returned") => good("staging.returns"),
            (None, "features.responses") => good("staging.messages"),
            (None, "features.opinions") => good("staging.texts"),
            (None, "features.activity") => good("facts.daily_activity"),
            (None, other) => panic!("say here what {other} filters"),
        };
        let by_rule: BTreeMap<String, u64> =
            serde_json::from_value(counts[stage]["by_rule"].clone()).unwrap();
        let set_apart: u64 = by_rule.values().sum();
        assert!(rows_in > 0, "{stage} had nothing to filter");
        assert_eq!(rows_in, good(stage) + set_apart, "{stage}: {by_rule:?}");
        assert_eq!(run.stages[stage].by_rule, by_rule, "{stage}: the run's manifest");
        assert!(
            source.is_none() || run.stages[stage].rows_in == Some(rows_in),
            "{stage}: the run's manifest"
        );
    }
    let published = rows(lake, "select stage, rule, rows from quality where action = 'rejected'");
    let published: BTreeMap<(String, String), u64> = published
        .iter()
        .map(|row| {
            let name = |column: &str| row[column].as_str().unwrap().to_string();
            ((name("stage"), name("rule")), row["rows"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(published, rejected(lake), "the published table `quality`");
}

#[test]
fn rows_in_are_rows_out_and_quarantined() {
    check_accounts(messy_run());
}

#[test]
fn rows_not_yet_known_are_in_no_account() {
    let lake = tempfile::tempdir().unwrap();
    copy(&messy_run().join("raw"), &lake.path().join("raw"));
    // the middle of a day, and so of many files
    ok(&["run", "--lake", text(lake.path()), "--as-of", "2025-02-07T05:00:00Z"]);
    check_accounts(lake.path());
}

/// What the rules found, one row a finding: the raw table, the kind of mess, the key as in `truth/mess`, how often. Only
/// orders of unknown accounts and long dwells have no key of their own in the result: the first are found by their
/// account, the second by day, device and account.
const FOUND: &str = "
select 'events' as \"table\", rule as kind, cast(rejected_event_id as varchar) as key, events as n
from quarantine.daily_activity
union all
select 'events', 'outlier_dwell', concat_ws('|', event_date, device_id, account_id), outlier_dwells
from facts.daily_activity where outlier_dwells > 0
union all
select 'orders', rule, cast(order_id as varchar), 1 from quarantine.orders
union all
select 'orders', q.rule, cast(o.order_id as varchar), 1
from quarantine.purchases as q inner join staging.orders as o on q.orphan_account_id = o.account_id
union all
select 'order_items', rule, concat(order_id, '-', line_no), 1 from quarantine.order_lines
union all
select 'returns', rule, cast(return_id as varchar), 1 from quarantine.returns
union all
select 'returns', rule, cast(orphan_return_id as varchar), returns from quarantine.returned
union all
select 'crm_customers', rule, account_id, 1 from quarantine.customers
union all
select 'crm_customers', rule, account_id, 1
from (select unnest(string_to_array(issues, ' ')) as rule, account_id from staging.customers where issues is not null) as issues
where rule <> 'missing_age'
union all
select 'messages', rule, cast(message_id as varchar), 1 from quarantine.messages
union all
select 'messages', 'orphan_message', cast(m.message_id as varchar), 1
from staging.messages as m left join staging.customers as c on m.account_id = c.account_id where c.account_id is null
union all
select 'social', rule, concat_ws('-', account_id, platform, cast(social_date as varchar)), 1 from quarantine.social
union all
select 'social', 'orphan_social', concat_ws('-', s.account_id, s.platform, cast(s.social_date as varchar)), 1
from staging.social as s left join staging.customers as c on s.account_id = c.account_id where c.account_id is null
union all
select 'social', 'missing_count', concat_ws('-', account_id, platform, cast(social_date as varchar)), 1
from staging.social where engagements is null
union all
select 'texts', rule, cast(text_id as varchar), 1 from quarantine.texts
union all
select 'texts', q.rule, cast(t.text_id as varchar), 1
from quarantine.opinions as q inner join staging.texts as t on q.orphan_account_id = t.account_id
union all
select 'erasure_requests', rule, cast(request_id as varchar), 1 from quarantine.erasure_requests
union all
select 'weather', rule, concat_ws('-', city, cast(weather_date as varchar)), 1 from quarantine.weather
union all
select 'weather', 'missing_rain', concat_ws('-', city, cast(weather_date as varchar)), 1
from staging.weather where rain_mm is null and not invalid_rain
union all
select 'weather', 'invalid_rain', concat_ws('-', city, cast(weather_date as varchar)), 1
from staging.weather where invalid_rain";

/// Kind, planted, found and rightly found rows of the lake and the file of findings. Of late rows within the look-back,
/// which no rule is to find, those found by any rule.
const COMPARE: &str = r#"
import sys, json, duckdb
lake, found = sys.argv[1:]
duckdb.sql(f"""
create table planted as
select m."table", m.kind, m.key, count(*) as n from '{lake}/truth/mess.parquet' m
where m.visible and m.kind <> 'outlier_dwell' group by all
union all
select 'events', m.kind, concat_ws('|', e.event_date, e.device_id, e.account_id), count(*)
from '{lake}/truth/mess.parquet' m
join read_parquet('{lake}/raw/events/**/*.parquet', hive_partitioning = true) e on m.key = e.event_id::varchar
where m.kind = 'outlier_dwell' group by all
""")
duckdb.sql(f"""create table found as select "table", kind, key, sum(n)::bigint as n from '{found}' group by all""")
duckdb.sql("""insert into found
select f."table", p.kind, f.key, f.n from found f join planted p on p."table" = f."table" and p.key = f.key
where p.kind like 'late%'
""")
print(json.dumps(duckdb.sql("""
select coalesce(p.kind, f.kind), coalesce(sum(p.n), 0)::bigint, coalesce(sum(f.n), 0)::bigint,
  coalesce(sum(least(p.n, f.n)) filter (where p.n > 0 and f.n > 0), 0)::bigint
from planted p full join found f on p."table" = f."table" and p.kind = f.kind and p.key = f.key
group by 1 order by 1
""").fetchall()))
"#;

#[test]
fn every_rule_finds_what_was_planted_and_nothing_else() {
    let lake = messy_run();
    let found = tempfile::tempdir().unwrap();
    let found = found.path().join("found.parquet");
    ok(&["sql", "--lake", text(lake), "--format", "parquet", "--out", text(&found), FOUND]);
    let compared = script(COMPARE, &[text(lake), text(&found)]);
    let compared: Vec<(String, u64, u64, u64)> = serde_json::from_str(&compared).unwrap();
    assert!(compared.len() >= 39, "{compared:?}");
    for (kind, planted, found, right) in compared {
        assert!(planted >= CASES, "{kind}: {planted} planted rows show nothing, {found} found");
        if kind.starts_with("late_") {
            assert_eq!(found, 0, "{kind}: rows within the look-back are good");
            continue;
        }
        let (precision, recall) = (right as f64 / found as f64, right as f64 / planted as f64);
        assert!(precision >= 0.99, "{kind}: {right} of {found} found rows were planted");
        assert!(recall >= 0.99, "{kind}: {right} of {planted} planted rows were found");
    }
}

/// The late or repeated delivery goes, the first stays: lists event ids of which it does not hold.
const FIRST_STAYS: &str = r#"
import sys, duckdb
lake, rejected = sys.argv[1:]
wrong = duckdb.sql(f"""
select r.id from '{rejected}' r
join (select event_id, max(ingested_at) as last from read_parquet('{lake}/raw/events/**/*.parquet') group by 1) e
  on r.id = e.event_id
where r.ingested_at::timestamp <> e.last
""").fetchall()
total = duckdb.sql(f"select count(*) from '{rejected}'").fetchall()[0][0]
print(total, len(wrong))
"#;

#[test]
fn of_several_deliveries_the_first_stays() {
    let lake = messy_run();
    let folder = tempfile::tempdir().unwrap();
    let rejected = folder.path().join("rejected.parquet");
    let query = "select rejected_event_id as id, split_part(rejected_event, '|', 3) as ingested_at
        from quarantine.daily_activity where rule = 'duplicate_event'";
    ok(&["sql", "--lake", text(lake), "--format", "parquet", "--out", text(&rejected), query]);
    let said = script(FIRST_STAYS, &[text(lake), text(&rejected)]);
    let (total, wrong) = said.trim().split_once(' ').unwrap();
    assert!(total.parse::<u64>().unwrap() >= CASES, "{said}");
    assert_eq!(wrong, "0", "{said}");
}

/// Adds rows that break the rules of which the generator plants nothing. Each is a copy of a good row but for what is
/// replaced; prints `stage rule rows` for what must be rejected more.
const PLANT: &str = r#"
import sys, duckdb
lake, truth = sys.argv[1:]
day = "2025-02-03"
where = {"events": "event_date", "orders": "order_date", "order_items": "order_date", "returns": "return_date", "devices": "login_date",
    "messages": "sent_date", "social": "social_date", "texts": "written_date"}
expected = {}
# texts are so few that a day may have none
busy = duckdb.sql(f"""select mode(written_date) from read_parquet('{lake}/raw/texts/*/*.parquet', hive_partitioning = true)
    where written_at <= ingested_at and body is not null and written_date < '2025-02-15'""").fetchall()[0][0]

def plant(table, stage, rule, replaced, rows=1, rejected=1, number=[0]):
    """Adds `rows` copies of a good row with values replaced, of which `rejected` break the rule."""
    number[0] += 1
    path = f"{lake}/raw/{table}/" + (f"{where[table]}={busy if table == 'texts' else day}/" if table in where else "")
    source = f"read_parquet('{path}*.parquet', hive_partitioning = false, filename = true)"
    good = {
        "events": "event_time <= ingested_at and ingested_at < event_time + interval 1 day and account_id is null",
        "devices": "true", "consents": "true", "products": "true",
        "campaigns": "true", "regions": "true", "stores": "true", "weather": "true", "social": "engagements >= 0",
        "messages": "sent_at <= ingested_at", "texts": "written_at <= ingested_at and body is not null",
        "orders": "ingested_at < ordered_at + interval 1 day and account_id in (select account_id from accounts)",
        "order_items": "quantity between 1 and 20 and unit_price > 0 and order_id in (select order_id from orders)",
        "returns": "order_id in (select order_id from every_order)",
        "crm_customers": "account_id not in (select key from mess) and email is not null",
    }[table]
    base = f"select * exclude (filename) from {source} where filename not like '%planted%' and {good} order by all limit 1"
    names = ", ".join(f"{value} as {column}" for column, value in replaced.items())
    query = f"select * replace ({names}) from ({base}), range({rows})"
    query = f"select * exclude (range) from ({query})"
    target = f"{path}planted-{number[0]:03}.parquet"
    duckdb.sql(f"copy ({query}) to '{target}' (format parquet)")
    assert duckdb.sql(f"select count(*) from '{target}'").fetchall() == [(rows,)], (table, rule)
    expected[stage, rule] = expected.get((stage, rule), 0) + rejected

every = lambda table: f"read_parquet('{lake}/raw/{table}/**/*.parquet')"
duckdb.sql(f"create table mess as select key from '{truth}'")
duckdb.sql(f"create table accounts as select distinct account_id from {every('crm_customers')}")
duckdb.sql(f"create table every_order as select distinct order_id from {every('orders')} where account_id in (from accounts)")
duckdb.sql(f"""create table orders as select distinct order_id from read_parquet('{lake}/raw/orders/order_date={day}/*.parquet')
    where account_id in (from accounts)""")

new = lambda number: f"{9_100_000_000_000_000 + number}"
at = lambda text: f"timestamp '{text}'"

facts = "facts.daily_activity"
plant("events", facts, "missing_key", {"event_id": "null::bigint"})
plant("events", facts, "missing_key", {"event_id": new(1), "device_id": "null::varchar"})
plant("events", facts, "missing_key", {"event_id": new(2), "event_time": "null::timestamp"})
plant("events", facts, "wrong_day", {"event_id": new(3), "event_time": at("2025-02-04 10:00:00"), "ingested_at": at("2025-02-04 10:01:00")}, 3, 3)
plant("events", facts, "unknown_event_type", {"event_id": new(4), "event_type": "'teleport'"})
plant("events", facts, "unknown_event_type", {"event_id": new(5), "event_type": "null::varchar"})
plant("events", facts, "duplicate_event", {"event_id": new(6)}, 4, 3)
# exactly at the look-back is in time, one microsecond later is too late
plant("events", facts, "too_late_event", {"event_id": new(7), "ingested_at": "event_time + interval 7 days"}, 1, 0)
plant("events", facts, "too_late_event", {"event_id": new(8), "ingested_at": "event_time + interval 7 days + interval 1 microsecond"})

orders = "staging.orders"
plant("orders", orders, "missing_key", {"order_id": new(1), "account_id": "'  '"})
plant("orders", orders, "missing_key", {"order_id": "null::bigint"}, 2, 2)
plant("orders", orders, "future_order", {"order_id": new(2), "ordered_at": "ingested_at + interval 1 microsecond"})
plant("orders", orders, "too_late_order", {"order_id": new(3), "ingested_at": "ordered_at + interval 8 days"})
plant("orders", orders, "wrong_day", {"order_id": new(4), "ordered_at": at("2025-02-02 10:00:00"), "ingested_at": at("2025-02-02 10:00:01")})
# of a broken and a good delivery the good one counts
plant("orders", orders, "future_order", {"order_id": new(5), "ordered_at": "ordered_at + interval 1 year"})
plant("orders", orders, "none", {"order_id": new(5), "ingested_at": "ingested_at + interval 1 minute"}, 1, 0)

lines = "staging.order_lines"
plant("order_items", lines, "missing_key", {"line_no": "null::int"})
plant("order_items", lines, "missing_key", {"order_id": "null::bigint"})
plant("order_items", lines, "negative_quantity", {"line_no": "101::int", "quantity": "0::int"})
plant("order_items", lines, "negative_quantity", {"line_no": "102::int", "quantity": "null::int"})
plant("order_items", lines, "invalid_price", {"line_no": "103::int", "unit_price": "null::double"})
plant("order_items", lines, "invalid_price", {"line_no": "104::int", "unit_price": "'nan'::double"})
plant("order_items", lines, "invalid_price", {"line_no": "105::int", "unit_price": "'inf'::double"})
plant("order_items", lines, "outlier_quantity", {"line_no": "106::int", "quantity": "201::int"})
plant("order_items", lines, "outlier_quantity", {"line_no": "107::int", "quantity": "200::int"}, 1, 0)
plant("order_items", lines, "duplicate_item", {"line_no": "108::int"}, 3, 2)
plant("order_items", lines, "too_late_item", {"line_no": "109::int", "ingested_at": "ingested_at + interval 8 days"})

returns = "staging.returns"
plant("returns", returns, "missing_key", {"return_id": "null::bigint"})
plant("returns", returns, "missing_key", {"return_id": new(1), "order_id": "null::bigint"})
plant("returns", returns, "future_return", {"return_id": new(2), "returned_at": "ingested_at + interval 1 hour"})
plant("returns", returns, "too_late_return", {"return_id": new(3), "ingested_at": "returned_at + interval 8 days"})
plant("returns", returns, "wrong_day", {"return_id": new(4), "returned_at": at("2025-02-02 10:00:00"), "ingested_at": at("2025-02-02 10:00:01")})
plant("returns", returns, "negative_quantity", {"return_id": new(5), "quantity": "-1::int"})
plant("returns", returns, "invalid_amount", {"return_id": new(6), "amount": "'nan'::double"})
plant("returns", returns, "invalid_amount", {"return_id": new(7), "amount": "-0.01::double"})
plant("returns", returns, "duplicate_return", {"return_id": new(8)}, 2, 1)
plant("returns", "features.returned", "orphan_return", {"return_id": new(9), "order_id": new(99)})

logins = "staging.logins"
plant("devices", logins, "missing_key", {"account_id": "''"})
plant("devices", logins, "missing_key", {"device_id": "null::varchar"})
plant("devices", logins, "future_login", {"device_id": "'planted-1'", "logged_in_at": "ingested_at + interval 1 hour"})
plant("devices", logins, "too_late_login", {"device_id": "'planted-2'", "ingested_at": "logged_in_at + interval 8 days"})
plant("devices", logins, "wrong_day", {"device_id": "'planted-3'", "logged_in_at": at("2025-02-02 10:00:00"), "ingested_at": at("2025-02-02 10:00:01")})
plant("devices", logins, "duplicate_login", {"device_id": "'planted-4'"}, 3, 2)

consents = "staging.consents"
plant("consents", consents, "missing_key", {"account_id": "null::varchar"})
plant("consents", consents, "missing_key", {"purpose": "' '", "account_id": "' '"})
plant("consents", consents, "future_consent", {"decided_at": "ingested_at + interval 1 hour"})
plant("consents", consents, "unknown_status", {"status": "'maybe'"})
plant("consents", consents, "unknown_status", {"status": "null::varchar"})
plant("consents", consents, "duplicate_consent", {"purpose": "'planted'"}, 3, 2)

customers = "staging.customers"
plant("crm_customers", customers, "missing_key", {"account_id": "' '"})
plant("crm_customers", customers, "superseded_account", {"updated_at": "updated_at - interval 1 hour"})
plant("crm_customers", customers, "duplicate_account", {"ingested_at": "ingested_at + interval 1 hour"})

products = "staging.products"
plant("products", products, "missing_key", {"product_id": "null::bigint"})
plant("products", products, "superseded_product", {"ingested_at": "ingested_at + interval 1 hour"})

messages = "staging.messages"
plant("messages", messages, "missing_key", {"message_id": new(1), "campaign_id": "' '"})
plant("messages", messages, "too_late_message", {"message_id": new(2), "ingested_at": "ingested_at + interval 8 days"})
plant("messages", messages, "wrong_day", {"message_id": new(3), "sent_at": at("2025-02-02 10:00:00"), "ingested_at": at("2025-02-02 10:00:01")})
plant("messages", messages, "unknown_arm", {"message_id": new(4), "arm": "'both'"})
# an outcome that cannot be is emptied, the message stays
plant("messages", messages, "none", {"message_id": new(5), "opened_at": "sent_at - interval 1 hour"}, 1, 0)

social = "staging.social"
plant("social", social, "missing_key", {"platform": "' '"})
plant("social", social, "future_social", {"platform": "'planted-1'", "ingested_at": at("2025-01-01 00:00:00")})
plant("social", social, "too_late_social", {"platform": "'planted-2'", "ingested_at": "ingested_at + interval 8 days"})
plant("social", social, "negative_count", {"platform": "'planted-3'", "follows": "-1::int"})

texts = "staging.texts"
plant("texts", texts, "missing_key", {"text_id": new(1), "account_id": "' '"})
plant("texts", texts, "too_late_text", {"text_id": new(2), "ingested_at": "ingested_at + interval 8 days"})
plant("texts", texts, "wrong_day", {"text_id": new(3), "written_at": at("2025-02-02 10:00:00"), "ingested_at": at("2025-02-02 10:00:01")})
plant("texts", texts, "unknown_kind", {"text_id": new(4), "kind": "'poem'"})
plant("texts", texts, "empty_text", {"text_id": new(5), "body": "'  '"})
plant("texts", texts, "none", {"text_id": new(6), "rating": "9::int"}, 1, 0)

plant("weather", "staging.weather", "missing_key", {"city": "' '"})
plant("campaigns", "staging.campaigns", "missing_key", {"campaign_id": "null::varchar"})
plant("campaigns", "staging.campaigns", "ends_before_start", {"campaign_id": "'planted'", "ends_on": "starts_on - 1"})
plant("campaigns", "staging.campaigns", "superseded_campaign", {"ingested_at": "ingested_at + interval 1 hour"})
plant("regions", "staging.regions", "missing_key", {"region_id": "''"})
plant("regions", "staging.regions", "superseded_region", {"ingested_at": "ingested_at + interval 1 hour"})
plant("stores", "staging.stores", "missing_key", {"store_id": "null::varchar"})
plant("stores", "staging.stores", "superseded_store", {"ingested_at": "ingested_at + interval 1 hour"})

# dates of other ages, in every source that has dates
ages = ["0001-01-01", "1899-12-31", "2200-01-01", "9999-12-31"]
for number, age in enumerate(ages):
    instant, date, text = at(f"{age} 00:00:00"), f"date '{age}'", f"'aged-{number}'"
    plant("events", facts, "out_of_range", {"event_id": new(100 + number), "event_time": instant})
    plant("orders", orders, "out_of_range", {"order_id": new(100 + number), "ordered_at": instant})
    plant("returns", returns, "out_of_range", {"return_id": new(100 + number), "returned_at": instant})
    plant("devices", logins, "out_of_range", {"device_id": text, "logged_in_at": instant})
    plant("consents", consents, "out_of_range", {"purpose": text, "decided_at": instant})
    plant("messages", messages, "out_of_range", {"message_id": new(100 + number), "sent_at": instant})
    plant("texts", texts, "out_of_range", {"text_id": new(100 + number), "written_at": instant})
    plant("products", products, "out_of_range", {"product_id": new(100 + number), "launched_on": date})
    plant("campaigns", "staging.campaigns", "out_of_range", {"campaign_id": text, "ends_on": date})
    plant("stores", "staging.stores", "out_of_range", {"store_id": text, "opened_on": date})
    plant("weather", "staging.weather", "out_of_range", {"weather_date": date})

for (stage, rule), rows in expected.items():
    print(stage, rule, rows)
"#;

#[test]
fn rows_broken_by_hand_fall_to_their_rule() {
    let before = rejected(small_run());
    let lake = small_lake();
    let truth = small_world().join("truth/mess.parquet");
    let expected = script(PLANT, &[text(lake.path()), text(&truth)]);
    ok(&["run", "--lake", text(lake.path()), "--as-of", "latest"]);
    let mut after = rejected(lake.path());
    for (rule, rows) in &before {
        *after.entry(rule.clone()).or_default() -= rows;
    }
    // who is behind an anonymous event is no matter of the event's own row
    after.retain(|(stage, _), rows| *rows > 0 && stage != "features.activity");
    let expected: BTreeMap<(String, String), u64> = expected
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            ((words[0].to_string(), words[1].to_string()), words[2].parse().unwrap())
        })
        .filter(|(_, rows)| *rows > 0)
        .collect();
    assert!(expected.len() >= 30, "{expected:?}");
    assert_eq!(after, expected);
    check_accounts(lake.path());
}
