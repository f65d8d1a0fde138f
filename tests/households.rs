//! Two people of one household with one birth date, such as twins and couples whose records bear the date that a form
//! suggests, stay two, and two records of one person are one.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::support::python::script;
use crate::support::world::rows;
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

#[test]
fn members_of_a_household_stay_two() {
    let found = rows(
        linked().path(),
        "with accounts as (
            select split_part(account_id, '-', 1) as kind, split_part(account_id, '-', 2) as house, customer_id
            from identity.account_person
        ),
        houses as (
            select kind, house, count(*) as records, count(distinct customer_id) as customers
            from accounts where kind <> 'o' group by kind, house
        )
        select kind, count(*) as houses, count(*) filter (where customers = 1) as merged
        from houses where records = 2 group by kind",
    );
    let text = |row: &serde_json::Value| row["kind"].as_str().unwrap().to_owned();
    let count = |row: &serde_json::Value, name: &str| row[name].as_i64().unwrap();
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
        // where one record has neither, nothing tells the two apart
        ("b", (6, 6)),
    ];
    assert_eq!(merged, expected.map(|(kind, counts)| (kind.to_owned(), counts)).into());
}

#[test]
fn ordinary_records_are_linked_as_before() {
    let pairs = |by: &str| {
        format!("(select sum(n * (n - 1) / 2) from (select count(*) as n from accounts group by {by}))")
    };
    let query = format!(
        "with accounts as (
            select regexp_replace(account_id, '-[0-9]+$', '') as person, customer_id from identity.account_person
            where account_id like 'o-%'
        )
        select {} as right_pairs, {} as said, {} as true_pairs",
        pairs("person, customer_id"),
        pairs("customer_id"),
        pairs("person")
    );
    let found = &rows(linked().path(), &query)[0];
    let [right, said, truth] = ["right_pairs", "said", "true_pairs"].map(|name| found[name].as_f64().unwrap());
    assert!(truth > 200.0 && right / said > 0.97 && right / truth > 0.93, "{found}");
}

#[test]
fn evidence_shows_what_a_frequent_value_is_worth() {
    // bits add up to the odds against strangers and against a household, and the weight is the odds against both
    let sums = rows(
        linked().path(),
        "select max(weight) as weight, sum(against_strangers) as strangers, sum(against_household) as household
        from identity.evidence group by left_id, right_id",
    );
    assert!(sums.len() > 200);
    for row in &sums {
        let [weight, strangers, household] =
            ["weight", "strangers", "household"].map(|name| row[name].as_f64().unwrap());
        assert!((weight + ((-strangers).exp2() + (-household).exp2()).log2()).abs() < 1e-6, "{row}");
    }
    // the suggested birth date says much less than any other, against strangers and within a household
    let bits = |condition: &str| {
        let query = format!(
            "select min(e.against_strangers) as least, max(e.against_strangers) as most, min(e.frequency_bits) as frequency,
                max(e.against_household) as household, max(e.value_share) as share, count(*) as links
            from identity.evidence as e inner join identity.records as r on e.left_id = r.account_id
            where e.field = 'birth_date' and e.level = 3 and r.birth_date {condition}"
        );
        rows(linked().path(), &query).remove(0)
    };
    let (usual, suggested) = (bits("<> '19900101'"), bits("= '19900101'"));
    let number = |row: &serde_json::Value, name: &str| row[name].as_f64().unwrap();
    assert!(number(&suggested, "links") > 1.0 && number(&suggested, "share") > 0.03, "{suggested}");
    assert!(number(&suggested, "most") < 6.0 && number(&suggested, "frequency") < -3.0, "{suggested}");
    assert!(number(&usual, "least") > number(&suggested, "most") + 2.0, "{usual} {suggested}");
    assert!(number(&suggested, "household") < number(&usual, "household"), "{usual} {suggested}");
}
