//! Two people of one household with one birth date, such as twins and couples whose records bear the date that a form
//! suggests, stay two, and two records of one person are one.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::python::script;
use crate::support::{ok, text};

/// A company that knows its customers only.
const PROJECT: &str = r#"# A company that knows its customers only.
name = "households"
extends = "retail"
time_zone = "Asia/Shanghai"

absent = [
    "campaigns", "consents", "devices", "erasure_requests", "events", "identity_overrides", "lookalike_seeds", "messages",
    "order_items", "orders", "products", "regions", "returns", "segment_names", "social", "stores", "texts", "weather",
]
"#;

/// A lake with the records of `households.py`, linked once for all tests.
fn linked() -> &'static TempDir {
    static LAKE: OnceLock<TempDir> = OnceLock::new();
    LAKE.get_or_init(|| {
        let (lake, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = lake.path().join("raw/crm_customers");
        std::fs::create_dir_all(&folder).unwrap();
        script(include_str!("households.py"), &[text(&folder.join("a.parquet"))]);
        std::fs::write(project.path().join("project.toml"), PROJECT).unwrap();
        let project = text(project.path());
        let select = ["--as-of", "2025-01-01", "--select", "identity.evidence"];
        ok(&[&["run", "--lake", text(lake.path()), "--project", project], &select[..]].concat());
        lake
    })
}

/// Prints the rows of a query over identity stages, which stand in it as `identity.NAME`.
const QUERY: &str = r#"
import sys, json, re, duckdb
lake, query = sys.argv[1:]
query = re.sub(r"identity\.(\w+)", rf"read_parquet('{lake}/stages/identity/\1/data/*/*.parquet')", query)
found = duckdb.sql(query)
for row in found.fetchall():
    print(json.dumps(dict(zip(found.columns, row))))
"#;

fn rows(query: &str) -> Vec<Value> {
    let printed = script(QUERY, &[text(linked().path()), query]);
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn members_of_a_household_stay_two() {
    let found = rows(
        "with accounts as (
            select split_part(account_id, '-', 1) as kind, split_part(account_id, '-', 2) as house, person_account as customer_id
            from identity.matches
        ),
        houses as (
            select kind, house, count(*) as records, count(distinct customer_id) as customers
            from accounts where kind <> 'o' group by kind, house
        )
        select kind, count(*) as houses, count(*) filter (where customers = 1) as merged
        from houses where records = 2 group by kind",
    );
    let text = |row: &Value| row["kind"].as_str().unwrap().to_owned();
    let count = |row: &Value, name: &str| row[name].as_i64().unwrap();
    let merged: BTreeMap<String, (i64, i64)> =
        found.iter().map(|row| (text(row), (count(row, "houses"), count(row, "merged")))).collect();
    let expected = [
        // a couple of the suggested date; one person twice; a brother and a sister, also without one's gender or given name
        ("c", (10, 0)),
        ("d", (10, 10)),
        ("g", (6, 0)),
        ("n", (6, 0)),
        ("s", (12, 0)),
        ("t", (24, 0)),
        // where one record has neither, only twins elsewhere in the data keep the two apart
        ("b", (6, 0)),
    ];
    assert_eq!(merged, expected.map(|(kind, counts)| (kind.to_owned(), counts)).into());
}

#[test]
fn ordinary_records_are_linked_as_before() {
    let pairs = |by: &str| {
        format!(
            "(select cast(sum(n * (n - 1) / 2) as double) from (select count(*) as n from accounts group by {by}))"
        )
    };
    let query = format!(
        "with accounts as (
            select regexp_replace(account_id, '-[0-9]+$', '') as person, person_account as customer_id from identity.matches
            where account_id like 'o-%'
        )
        select {} as right_pairs, {} as said, {} as true_pairs",
        pairs("person, customer_id"),
        pairs("customer_id"),
        pairs("person")
    );
    let found = &rows(&query)[0];
    let [right, said, truth] =
        ["right_pairs", "said", "true_pairs"].map(|name| found[name].as_f64().unwrap());
    assert!(truth > 200.0 && right / said > 0.97 && right / truth > 0.93, "{found}");
}

#[test]
fn evidence_shows_what_a_frequent_value_is_worth() {
    // bits add up to the odds against strangers and against a household, and the weight is the odds against both
    let sums = rows(
        "select max(weight) as weight, sum(against_strangers) as strangers, sum(against_household) as household
        from identity.evidence group by left_id, right_id",
    );
    assert!(sums.len() > 200);
    for row in &sums {
        let [weight, strangers, household] =
            ["weight", "strangers", "household"].map(|name| row[name].as_f64().unwrap());
        assert!((weight + ((-strangers).exp2() + (-household).exp2()).log2()).abs() < 1e-6, "{row}");
    }
    // the suggested birth date says much less than any other against strangers, and no more within a household
    let bits = |condition: &str| {
        let query = format!(
            "select min(e.against_strangers) as least, max(e.against_strangers) as most, min(e.frequency_bits) as frequency,
                max(e.against_household) as household, max(e.value_share) as share, count(*) as links
            from identity.evidence as e inner join identity.records as r on e.left_id = r.account_id
            where e.field = 'birth_date' and e.level = 3 and r.birth_date {condition}"
        );
        rows(&query).remove(0)
    };
    let (usual, suggested) = (bits("<> '19900101'"), bits("= '19900101'"));
    let number = |row: &Value, name: &str| row[name].as_f64().unwrap();
    assert!(number(&suggested, "links") > 1.0 && number(&suggested, "share") > 0.03, "{suggested}");
    assert!(number(&suggested, "most") < 6.0 && number(&suggested, "frequency") < -3.0, "{suggested}");
    assert!(number(&usual, "least") > number(&suggested, "most") + 2.0, "{usual} {suggested}");
    assert!(number(&suggested, "household") <= number(&usual, "household"), "{usual} {suggested}");
}
