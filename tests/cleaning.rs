//! Customer records written by hand, each rule of cleaning and what is done about it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::python::script;
use crate::support::world::{last_run, rows, small_lake, small_run};
use crate::support::{ok, repository, text};

/// Records of `name: value` in JSON; what a record does not say is NULL, or the same for all.
const WRITE: &str = r#"
import json, sys, pyarrow as pa, pyarrow.parquet as pq, datetime as dt
folder, records = sys.argv[1], json.loads(sys.argv[2])
at = dt.datetime(2025, 1, 1, 2)
usual = {"system": "web", "registered_at": at, "updated_at": at, "ingested_at": at}
names = ["account_id", "system", "full_name", "email", "phone", "birth_date", "age", "gender", "address", "city", "region",
    "registered_at", "updated_at", "ingested_at"]
kind = lambda name: pa.int32() if name == "age" else pa.timestamp("us") if name.endswith("_at") else pa.string()
value = lambda record, name: dt.datetime.fromisoformat(record[name]) if name.endswith("_at") and name in record else \
    {**usual, **record}.get(name)
table = pa.table({name: pa.array([value(record, name) for record in records], kind(name)) for name in names})
pq.write_table(table, f"{folder}/records.parquet")
"#;

/// A lake with these records beside those of the small world, run by the project in a folder.
fn cleaned(project: &str, records: &Value) -> TempDir {
    let lake = small_lake();
    script(WRITE, &[text(&lake.path().join("raw/crm_customers")), &records.to_string()]);
    ok(&["run", "--lake", text(lake.path()), "--project", project, "--as-of", "latest"]);
    lake
}

/// The fields named that are known, by account.
fn by_account(lake: &Path, fields: &str) -> BTreeMap<String, Value> {
    let query =
        format!("select account_id, {fields} from staging.customers where account_id like 'by hand %'");
    let found = rows(lake, &query);
    let strip = |mut row: Value| {
        let account = row.as_object_mut().unwrap().remove("account_id").unwrap();
        (account.as_str().unwrap().trim_start_matches("by hand ").to_owned(), row)
    };
    found.into_iter().map(strip).collect()
}

#[test]
fn each_rule_does_what_its_row_says() {
    let records = json!([
        {"account_id": "by hand plain", "full_name": "王小明", "email": "a@gmail.com", "phone": "13812345678",
            "birth_date": "1990-06-15", "age": 34, "gender": "f", "address": "浙江省杭州市西湖区文三路1号", "city": "杭州市"},
        {"account_id": "by hand traditional", "full_name": "陳國華　先生"},
        {"account_id": "by hand slip", "email": "a@gmial.com"},
        {"account_id": "by hand other domain", "email": "a@gmx.com"},
        {"account_id": "by hand no mail", "email": "a at gmail.com"},
        {"account_id": "by hand abroad", "phone": "+44 (0)20 7946 0958"},
        {"account_id": "by hand no phone", "phone": "15412345678"},
        {"account_id": "by hand toll-free", "phone": "400-800-8820"},
        {"account_id": "by hand no date", "birth_date": "1990-02-30", "age": 34},
        {"account_id": "by hand unborn", "birth_date": "2026-01-01", "age": 3},
        {"account_id": "by hand old", "birth_date": "1890-01-01"},
        {"account_id": "by hand ageless", "birth_date": "2000-01-01"},
        {"account_id": "by hand day before birthday", "birth_date": "2000-01-02"},
        {"account_id": "by hand outlier", "birth_date": "1990-06-15", "age": 999},
        {"account_id": "by hand two years", "birth_date": "1990-06-15", "age": 36},
        {"account_id": "by hand three years", "birth_date": "1990-06-15", "age": 37},
        {"account_id": "by hand odd gender", "gender": "?"},
        {"account_id": "by hand no gender", "gender": " "},
        {"account_id": "by hand city in address", "address": "广东深圳市南山区科技路9号"},
        {"account_id": "by hand western", "address": "12 Oak Street, Apt 4, Springfield, IL 62701", "city": "Shelbyville"},
        {"account_id": "by hand to come", "registered_at": "2099-01-01", "updated_at": "2099-01-01"},
        {"account_id": "by hand ahead", "full_name": "Ann Now", "updated_at": "2025-01-01T01:00:00"},
        {"account_id": "by hand ahead", "full_name": "Ann Later", "updated_at": "2099-01-01"},
        {"account_id": " ", "full_name": "nobody"},
    ]);
    let lake = cleaned("retail", &records);
    let found = by_account(lake.path(), "issues, full_name, email, phone, birth_date, age, gender");
    for (account, expected) in [
        (
            "plain",
            json!({"full_name": "王小明", "email": "a@gmail.com", "phone": "+8613812345678",
            "birth_date": "1990-06-15", "age": 34, "gender": "female"}),
        ),
        ("traditional", json!({"full_name": "陈国华"})),
        ("slip", json!({"email": "a@gmail.com", "issues": "typo_email_domain"})),
        ("other domain", json!({"email": "a@gmx.com"})),
        ("no mail", json!({"issues": "invalid_email"})),
        ("abroad", json!({"phone": "+442079460958"})),
        ("no phone", json!({"issues": "invalid_phone"})),
        ("toll-free", json!({"issues": "invalid_phone"})),
        ("no date", json!({"issues": "invalid_birth_date", "age": 34})),
        ("unborn", json!({"issues": "impossible_birth_date", "age": 3})),
        ("old", json!({"issues": "invalid_birth_date"})),
        ("ageless", json!({"issues": "missing_age", "birth_date": "2000-01-01", "age": 25})),
        ("day before birthday", json!({"issues": "missing_age", "birth_date": "2000-01-02", "age": 24})),
        ("outlier", json!({"issues": "outlier_age", "birth_date": "1990-06-15"})),
        ("two years", json!({"birth_date": "1990-06-15", "age": 36})),
        ("three years", json!({"issues": "contradicting_age", "birth_date": "1990-06-15"})),
        ("odd gender", json!({"issues": "unknown_gender"})),
        ("no gender", json!({})),
        ("to come", json!({"issues": "future_registration future_update"})),
        // a version that would have been made after its delivery is no newer one
        ("ahead", json!({"full_name": "ann now"})),
    ] {
        assert_eq!(found[account], expected, "{account}");
    }
    let dates = by_account(lake.path(), "registered_at, updated_at");
    assert_eq!(dates["to come"], json!({}), "dates after the delivery");
    let places = by_account(lake.path(), "issues, province, city, district, street, postcode");
    assert_eq!(
        places["city in address"],
        json!({"issues": "missing_city", "province": "广东省", "city": "深圳市", "district": "南山区",
            "street": "科技路9号"})
    );
    assert_eq!(
        places["western"],
        json!({"province": "IL", "city": "Shelbyville",
            "street": "12 Oak Street, Apt 4", "postcode": "62701"})
    );

    // what was done is counted, with the column, the share and examples that name nobody
    let of = |rule: &str| {
        let query = format!("select * from quality where stage = 'staging.customers' and rule = '{rule}'");
        rows(lake.path(), &query).remove(0)
    };
    let key = last_run(lake.path()).pseudonyms.unwrap().key;
    let met = rows(
        lake.path(),
        &format!(
            "select count(*) as met, pseudonym('staging.customers ' || min(account_id), '{key}') as first_example,
        pseudonym('staging.customers ' || max(account_id), '{key}') as last_example,
        (select count(*) from staging.customers) as kept,
        (select count(*) from quarantine.customers) as rejected
        from staging.customers where issues like '%invalid_phone%'"
        ),
    )
    .remove(0);
    let phone = of("invalid_phone");
    assert_eq!(
        [&phone["column_name"], &phone["severity"], &phone["action"], &phone["rows"]],
        [&json!("phone"), &json!("warning"), &json!("emptied"), &met["met"]]
    );
    assert_eq!(
        [&phone["first_example"], &phone["last_example"]],
        [&met["first_example"], &met["last_example"]]
    );
    let number = |name: &str| met[name].as_f64().unwrap();
    let share = number("met") / (number("kept") + number("rejected"));
    assert!((phone["share"].as_f64().unwrap() - share).abs() < 1e-12, "{phone}");
    assert_eq!(of("missing_age")["action"], "filled");
    assert_eq!(of("missing_city")["rows"], 1);
    assert_eq!((&of("missing_key")["action"], &of("missing_key")["rows"]), (&json!("rejected"), &json!(1)));
}

#[test]
fn a_company_may_decide_otherwise_by_changing_a_row() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("staging")).unwrap();
    std::fs::write(folder.path().join("project.toml"), "name = \"stricter\"\nextends = \"retail\"\n")
        .unwrap();
    let rules = std::fs::read_to_string(repository().join("sql/retail/staging/cleaning_rules.sql")).unwrap();
    let mut changed = rules;
    for (rule, from, to) in [
        ("invalid_email", "null", "quarantine"),
        ("typo_email_domain", "fix", "keep"),
        ("contradicting_age", "null", "keep"),
    ] {
        let line = changed.lines().find(|line| line.contains(&format!("'{rule}'"))).unwrap().to_owned();
        let other = line.replace(&format!("'{from}'"), &format!("'{to}'"));
        assert_ne!(line, other);
        changed = changed.replace(&line, &other);
    }
    std::fs::write(folder.path().join("staging/cleaning_rules.sql"), changed).unwrap();
    let records = json!([
        {"account_id": "by hand no mail", "email": "a at gmail.com"},
        {"account_id": "by hand slip", "email": "a@gmial.com"},
        {"account_id": "by hand three years", "birth_date": "1990-06-15", "age": 37},
    ]);
    let lake = cleaned(text(folder.path()), &records);
    let found = by_account(lake.path(), "email, age, issues");
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found["slip"], json!({"email": "a@gmial.com", "issues": "typo_email_domain"}));
    assert_eq!(found["three years"], json!({"age": 37, "issues": "contradicting_age"}));
    let rejected = rows(
        lake.path(),
        "select account_id, rule from quarantine.customers where account_id like 'by hand %'",
    );
    assert_eq!(rejected, [json!({"account_id": "by hand no mail", "rule": "invalid_email"})]);
    let counted = rows(
        lake.path(),
        "select rule, action from quality where stage = 'staging.customers'
        and rule in ('contradicting_age', 'invalid_email', 'typo_email_domain') order by rule",
    );
    assert_eq!(
        counted,
        [
            json!({"rule": "contradicting_age", "action": "noted"}),
            json!({"rule": "invalid_email", "action": "rejected"}),
            json!({"rule": "typo_email_domain", "action": "noted"}),
        ]
    );
}

/// Every rule that a stage of the built-in project names, in its SQL or in what a messy world makes it find, is declared.
#[test]
fn every_rule_is_declared() {
    let lake = small_run();
    let undeclared = rows(lake, "select stage, rule from quality where meaning is null");
    assert_eq!(undeclared, Vec::<Value>::new());
    let declared = rows(lake, "select stage, rule from staging.cleaning_rules");
    let declared: Vec<String> = declared
        .iter()
        .map(|row| format!("{} {}", row["stage"].as_str().unwrap(), row["rule"].as_str().unwrap()))
        .collect();
    for file in std::fs::read_dir(repository().join("sql/retail/staging")).unwrap() {
        let path = file.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        // what is rejected of an event is told where events become facts
        let stage = if stem == "events" { "facts.daily_activity".into() } else { format!("staging.{stem}") };
        let sql = std::fs::read_to_string(&path).unwrap();
        for named in sql.split("then '").skip(1).filter_map(|rest| rest.split_once('\'')) {
            if !["female", "male"].contains(&named.0) {
                assert!(declared.contains(&format!("{stage} {}", named.0)), "{stage} {}", named.0);
            }
        }
    }
}
