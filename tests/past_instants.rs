//! Nothing after `as_of` decides anything: no row, no existence of a customer, whether or not a source has `ingested_at`; and
//! what is dated after the machine's clock is not the latest day.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use strata::engine::planning_state;
use strata::lake::Lake;
use strata::project::Project;
use strata::run::{Outcome, Reporter, RunOptions};
use tempfile::TempDir;

use crate::support::project::{tiny, tiny_file, tiny_lake, write};
use crate::support::world::{copy, generate, rows};
use crate::support::{fails, ok, python, repository, run, text};

/// What a company's raw files are, and when.
struct Case {
    project: String,
    raw: TempDir,
    /// Tables of the raw files, each with the DuckDB expression that says when a row became known.
    known: Vec<(&'static str, &'static str)>,
    /// Five values of `--as-of`, and the instants in UTC that they mean.
    instants: [(&'static str, &'static str); 5],
}

/// Writes the raw files of a lake without the rows that became known at an instant or later. Parquet files stay where they
/// are; text files are read as lines, of which the first holds the names.
const DROP: &str = r#"
import os, sys
source, target, instant, *known = sys.argv[1:]
known = dict(pair.split("=", 1) for pair in known)
db = duckdb.connect()
db.execute("set threads = 1")
dropped = 0
for at, _, names in os.walk(source):
    for name in sorted(names):
        path, out = f"{at}/{name}", f"{target}/{os.path.relpath(at, source)}/{name}"
        table = os.path.relpath(path, source).split(os.sep)[0].removesuffix(".parquet")
        os.makedirs(os.path.dirname(out), exist_ok=True)
        if os.path.exists(out):
            os.remove(out)
        when = known.get(table)
        if name.endswith(".parquet"):
            rows = f"read_parquet('{path}', hive_partitioning = false)"
            kept = f"select * from {rows} where coalesce({when or 'null'} < timestamp '{instant}', true)"
            count = lambda query: db.execute(f"select count(*) from ({query})").fetchone()[0]
            after = count(kept)
            dropped += count(f"select * from {rows}") - after
            if after or "=" not in os.path.basename(at):
                db.execute(f"copy ({kept}) to '{out}' (format parquet)")
            continue
        lines = open(path, encoding="utf-8").read().splitlines()
        kept = lines[:1] + [line for line in lines[1:] if not when or eval(when, {"line": line}) < instant]
        dropped += len(lines) - len(kept)
        open(out, "w", encoding="utf-8").write("\n".join(kept) + "\n")
print(dropped)
"#;

/// The published tables of two lakes, `runs` and run ids left out: those that differ, with their first rows that do.
const COMPARE: &str = r#"
import os, sys
from deltalake import DeltaTable
def rows(lake, table):
    found = DeltaTable(f"{lake}/published/{table}").to_pyarrow_table()
    found = found.drop_columns([name for name in found.column_names if name == "run_id"])
    return sorted(map(repr, found.to_pylist()))
# they say when runs ended
tables = [sorted(set(os.listdir(f"{lake}/published")) - {"runs", "current_runs"}) for lake in sys.argv[1:]]
assert tables[0] == tables[1], tables
compared = 0
for table in tables[0]:
    one, other = (rows(lake, table) for lake in sys.argv[1:])
    compared += len(one)
    if one != other:
        only = [sorted(set(a) - set(b))[:2] for a, b in ((one, other), (other, one))]
        print(f"{table}: {len(one)} and {len(other)} rows, of the first only {only[0]}, of the second only {only[1]}")
print(f"{len(tables[0])} tables, {compared} rows")
# threads of the libraries may abort an interpreter that takes itself down
sys.stdout.flush()
os._exit(0)
"#;

/// A folder for raw files.
fn raw_folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn local_project(name: &str) -> String {
    text(&repository().join("tests/projects").join(name)).to_string()
}

fn retail() -> Case {
    let raw = raw_folder();
    let world = raw_folder();
    generate(world.path(), &["--scale", "0.003", "--days", "30", "--seed", "5"]);
    copy(&world.path().join("raw"), &raw.path().join("raw"));
    let known = std::fs::read_dir(raw.path().join("raw")).unwrap().map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        (&*Box::leak(name.into_boxed_str()), "ingested_at")
    });
    Case {
        project: "retail".into(),
        known: known.collect(),
        instants: [
            ("2025-01-10", "2025-01-09 16:00:00"),
            ("2025-01-14T05:30:00Z", "2025-01-14 05:30:00"),
            ("2025-01-20T14:00:00Z", "2025-01-20 14:00:00"),
            ("2025-01-21", "2025-01-20 16:00:00"),
            ("2025-01-29T23:59:59Z", "2025-01-29 23:59:59"),
        ],
        raw,
    }
}

/// Every thirtieth household, described or not, with a catalogue of what it bought.
fn complete_journey() -> Case {
    const SAMPLE: &str = r#"
import os, sys
folder, *files = sys.argv[1:]
os.makedirs(folder)
for path in files:
    name = os.path.basename(path)
    kept = "true" if name.startswith("products") else "cast(household_id as bigint) % 30 = 1"
    # the contract counts nanoseconds
    columns = "* replace (cast(transaction_timestamp as timestamp_ns) as transaction_timestamp)" if "transactions" in name else "*"
    duckdb.sql(f"copy (select {columns} from read_parquet('{path}') where {kept}) to '{folder}/{name}' (format parquet)")
"#;
    let raw = raw_folder();
    let folder = raw.path().join("raw");
    let files = ["transactions", "products", "demographics"].map(crate::complete_journey::data);
    let files = files.iter().map(|path| text(path));
    python::script(SAMPLE, &std::iter::once(text(&folder)).chain(files).collect::<Vec<_>>());
    Case {
        project: "complete_journey".into(),
        raw,
        known: vec![("transactions", "transaction_timestamp")],
        instants: [
            ("2017-02-01", "2017-02-01 05:00:00"),
            ("2017-04-15T15:00:00Z", "2017-04-15 15:00:00"),
            ("2017-08-01", "2017-08-01 04:00:00"),
            ("2017-08-01T20:00:00Z", "2017-08-01 20:00:00"),
            ("2017-11-11", "2017-11-11 05:00:00"),
        ],
    }
}

fn master_file() -> PathBuf {
    python::package_file("lifetimes==0.11.3", "lifetimes/datasets/CDNOW_master.txt")
}

/// Every twentieth customer, and two lines that cannot be used: one without a date, and a later one below zero.
fn cdnow() -> Case {
    let raw = raw_folder();
    let lines = std::fs::read_to_string(master_file()).unwrap();
    let customer = |line: &str| line.split_whitespace().next().and_then(|id| id.parse::<u32>().ok());
    let mut kept: String = lines
        .lines()
        .filter(|line| customer(line).is_none_or(|id| id % 20 == 3))
        .flat_map(|line| [line, "\n"])
        .collect();
    kept.push_str(" 00003 1997-?? 1 10.00\n 00023 19980101 1 -10.00\n");
    write(raw.path(), &[("raw/cdnow/master.txt", kept.as_str())]);
    Case {
        project: local_project("cdnow"),
        raw,
        // a line without a date is always known: `1` is before every instant
        known: vec![(
            "cdnow",
            "'1' if '?' in line else '{0:.4}-{0[4]}{0[5]}-{0[6]}{0[7]}'.format(line.split()[1])",
        )],
        instants: [
            ("1997-02-01", "1997-02-01"),
            ("1997-03-15", "1997-03-15"),
            ("1997-09-01", "1997-09-01"),
            ("1998-01-01", "1998-01-01"),
            ("1998-06-15", "1998-06-15"),
        ],
    }
}

/// The clicks of all visitors.
fn ecom() -> Case {
    const UNPACK: &str = r#"
import gzip, os, sys
os.makedirs(sys.argv[2])
open(sys.argv[2] + "/ecom.csv", "wb").write(gzip.open(sys.argv[1]).read())
"#;
    let raw = raw_folder();
    let clicks = python::package_file("retentioneering==5.2.4", "retentioneering/datasets/ecom.csv.gz");
    python::script(UNPACK, &[text(&clicks), text(&raw.path().join("raw/ecom"))]);
    Case {
        project: local_project("ecom"),
        raw,
        known: vec![("ecom", "line.split(',')[3].replace('T', ' ')")],
        instants: ECOM_INSTANTS,
    }
}

/// Early on, and once many have gone, segments are too unstable to be published.
const ECOM_INSTANTS: [(&str, &str); 5] = [
    ("2024-05-22", "2024-05-22 00:00:00"),
    ("2024-05-24T11:30:38Z", "2024-05-24 11:30:38"),
    ("2024-06-01", "2024-06-01 00:00:00"),
    ("2024-06-03T15:00:00Z", "2024-06-03 15:00:00"),
    ("2024-06-10T12:00:00Z", "2024-06-10 12:00:00"),
];

/// Sixty customers who buy up to seven times, at three times of the day.
fn some_purchases() -> String {
    let mut lines = String::from("customer_id,purchased_at,amount\n");
    for customer in 0..60 {
        for order in 0..=customer % 7 {
            let (month, day, hour) = (1 + order, 1 + customer % 28, [0, 12, 23][(customer + order) % 3]);
            writeln!(lines, "c{customer},2025-{month:02}-{day:02}T{hour:02}:30:00,{}.50", 5 + customer)
                .unwrap();
        }
    }
    lines
}

fn purchases() -> Case {
    let raw = raw_folder();
    write(raw.path(), &[("raw/purchases/all.csv", some_purchases().as_str())]);
    Case {
        project: local_project("purchases"),
        raw,
        known: vec![("purchases", "line.split(',')[1].replace('T', ' ')")],
        instants: [
            ("2025-02-01", "2025-02-01 00:00:00"),
            ("2025-03-07T12:00:00Z", "2025-03-07 12:00:00"),
            ("2025-03-07T23:30:00.000001Z", "2025-03-07 23:30:00.000001"),
            ("2025-05-11", "2025-05-11 00:00:00"),
            ("2025-06-01T00:30:00Z", "2025-06-01 00:30:00"),
        ],
    }
}

/// The wines of the library's own tests, four of any kind analysed each hour.
fn wine() -> Case {
    let raw = raw_folder();
    let wines = std::fs::read_to_string(repository().join("pipeline/src/cluster/fixtures/wine.csv")).unwrap();
    let (header, lines) = wines.split_once('\n').unwrap();
    let mut file = format!("wine_id,analysed_at,{header}\n");
    for (id, line) in lines.lines().enumerate() {
        // 77 and the 178 wines have no divisor in common
        let place = id * 77 % 178;
        writeln!(file, "{id},2025-01-{:02}T{:02}:00:00,{line}", 1 + place / 96, place / 4 % 24).unwrap();
    }
    write(raw.path(), &[("raw/wines/wines.csv", file.as_str())]);
    Case {
        project: local_project("wine"),
        raw,
        known: vec![("wines", "line.split(',')[1].replace('T', ' ')")],
        instants: [
            ("2025-01-01T18:00:00Z", "2025-01-01 18:00:00"),
            ("2025-01-01T23:00:00Z", "2025-01-01 23:00:00"),
            ("2025-01-02", "2025-01-02 00:00:00"),
            ("2025-01-02T06:30:00Z", "2025-01-02 06:30:00"),
            ("2025-01-02T18:00:00Z", "2025-01-02 18:00:00"),
        ],
    }
}

/// Runs the project at its instants on all rows, and beside that on those that were known by then, which join the lake from
/// instant to instant; both must publish the same.
fn later_rows_change_nothing(case: &Case) {
    let all = tempfile::tempdir().unwrap();
    copy(&case.raw.path().join("raw"), &all.path().join("raw"));
    let known = tempfile::tempdir().unwrap();
    let tables: Vec<String> = case.known.iter().map(|(table, when)| format!("{table}={when}")).collect();
    let mut dropped = Vec::new();
    for (as_of, instant) in case.instants {
        let (from, to) = (case.raw.path().join("raw"), known.path().join("raw"));
        let args = [text(&from), text(&to), instant];
        let args: Vec<&str> = args.into_iter().chain(tables.iter().map(String::as_str)).collect();
        dropped.push(python::script(DROP, &args).trim().parse::<u64>().unwrap());
        for lake in [&all, &known] {
            ok(&["run", "--project", &case.project, "--lake", text(lake.path()), "--as-of", as_of]);
        }
    }
    assert!(dropped.iter().all(|rows| *rows > 0), "rows dropped before each run: {dropped:?}");
    let said = python::script(COMPARE, &[text(all.path()), text(known.path())]);
    assert_eq!(said.lines().count(), 1, "{}: {said}", case.project);
    eprintln!("{}: {}", case.project, said.trim());
}

#[test]
fn no_row_published_by_retail_depends_on_later_rows() {
    later_rows_change_nothing(&retail());
}

#[test]
fn no_row_published_by_complete_journey_depends_on_later_rows() {
    later_rows_change_nothing(&complete_journey());
}

#[test]
fn no_row_published_by_cdnow_depends_on_later_rows() {
    later_rows_change_nothing(&cdnow());
}

#[test]
fn no_row_published_by_ecom_depends_on_later_rows() {
    later_rows_change_nothing(&ecom());
}

#[test]
fn no_row_published_by_purchases_depends_on_later_rows() {
    later_rows_change_nothing(&purchases());
}

#[test]
fn no_row_published_by_wine_depends_on_later_rows() {
    later_rows_change_nothing(&wine());
}

/// A copy of a project of the tests with one text replaced.
fn changed(project: &str, file: &str, from: &str, to: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join(project);
    let copied = std::process::Command::new("cp").arg("-r").arg(local_project(project)).arg(&target).status();
    assert!(copied.unwrap().success());
    let text = std::fs::read_to_string(target.join(file)).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(target.join(file), text.replace(from, to)).unwrap();
    folder
}

#[test]
fn who_buys_later_is_no_customer_yet() {
    let lake = tempfile::tempdir().unwrap();
    write(lake.path(), &[("raw/cdnow/master.txt", &std::fs::read_to_string(master_file()).unwrap())]);
    let publish = |project: &str| {
        ok(&["run", "--project", project, "--lake", text(lake.path()), "--as-of", "1997-02-01"]);
        let query = "select count(*) as customers, min(frequency) as fewest, sum(frequency) as orders from customer_360";
        rows(lake.path(), query).remove(0)
    };
    // 7,846 customers of Fader and Hardie's cohort made their first purchase in January 1997
    let dated = publish(&local_project("cdnow"));
    assert_eq!((&dated["customers"], &dated["fewest"]), (&7_846.into(), &1.into()), "{dated}");
    // a source that does not say when: its readers cut it by day
    let event = "-- event_time: parse_date(split_part(fold_width(line), ' ', 2))\n-- clock: true\n";
    let undated = changed("cdnow", "raw/cdnow.sql", event, "");
    assert_eq!(publish(text(&undated.path().join("cdnow"))), dated);
}

#[test]
fn an_instant_within_a_day_counts_what_came_before_it() {
    let lake = tempfile::tempdir().unwrap();
    let late = "twice,2025-07-15T10:00:00,10.00\ntwice,2025-07-15T18:00:00,20.00\nevening,2025-07-15T18:00:00,5.00\n";
    write(lake.path(), &[("raw/purchases/all.csv", &(some_purchases() + late))]);
    let arguments = ["run", "--project", &local_project("purchases"), "--lake", text(lake.path()), "--as-of"];
    let of = |as_of: &str| {
        ok(&[&arguments[..], &[as_of]].concat());
        rows(
            lake.path(),
            "select p.account_id, c.frequency, cast(c.monetary_total as varchar) as spend, c.recency_days
            from customer_360 as c inner join identity.account_person as p on c.customer_id = p.customer_id
            where p.account_id in ('twice', 'evening') and c.as_of = (select max(as_of) from customer_360)
            order by p.account_id",
        )
    };
    let noon = of("2025-07-15T12:00:00Z");
    assert_eq!(noon.len(), 1, "{noon:?}");
    assert_eq!((&noon[0]["frequency"], &noon[0]["spend"]), (&1.into(), &"10.00".into()), "{noon:?}");
    let next = of("2025-07-16");
    assert_eq!(next.len(), 2, "{next:?}");
    assert_eq!((&next[1]["frequency"], &next[1]["spend"]), (&2.into(), &"30.00".into()), "{next:?}");
}

#[test]
fn an_instant_within_a_day_is_refused_for_what_does_not_say_when() {
    let lake = tempfile::tempdir().unwrap();
    write(lake.path(), &[("raw/cdnow/master.txt", &std::fs::read_to_string(master_file()).unwrap())]);
    let refused = |project: &str, words: &[&str]| {
        let as_of = ["--as-of", "1997-02-01T12:00:00Z"];
        let said =
            fails(2, &[&["run", "--project", project, "--lake", text(lake.path())], &as_of[..]].concat());
        for word in words.iter().chain(&[
            "raw.cdnow",
            "staging.orders",
            "--as-of 1997-02-01)",
            "event_time",
            "ingested_at",
        ]) {
            assert!(said.contains(word), "no `{word}`:\n{said}");
        }
    };
    refused(&local_project("cdnow"), &["says only the day", "parse_date(split_part("]);
    let event = "-- event_time: parse_date(split_part(fold_width(line), ' ', 2))\n-- clock: true\n";
    let undated = changed("cdnow", "raw/cdnow.sql", event, "");
    refused(text(&undated.path().join("cdnow")), &["does not say when its rows happened"]);
}

/// `as_of` of a run of a project on a lake by a given clock.
fn run_at(project: &Path, lake: &Path, now: &str) -> strata::Result<String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let project = Project::load(text(project), &planning_state()?)?;
        let lake = Lake::connect(text(lake)).await?;
        let now: DateTime<Utc> = now.parse().unwrap();
        let options = RunOptions { now, ..RunOptions::default() };
        match strata::run::run(&lake, &project, &options, &Reporter::new(true)).await? {
            Outcome::Published(manifest) => Ok(manifest.as_of),
            other => panic!("{other:?}"),
        }
    })
}

#[test]
fn the_latest_day_is_the_last_that_the_clock_has_seen() {
    let project = tiny(&[]);
    for (now, as_of) in [
        ("2025-01-03T10:00:00Z", "2025-01-04T00:00:00.000000Z"),
        ("2025-01-03T09:59:59Z", "2025-01-03T00:00:00.000000Z"),
        ("2025-01-01T23:00:00Z", "2025-01-02T00:00:00.000000Z"),
    ] {
        let lake = tiny_lake();
        assert_eq!(run_at(project.path(), lake.path(), now).unwrap(), as_of, "now {now}");
    }
    let lake = tiny_lake();
    let refused = run_at(project.path(), lake.path(), "2024-12-31T00:00:00Z").unwrap_err();
    assert_eq!(refused.exit_code(), 3);
    let said = refused.to_string();
    for part in [
        "cannot resolve `latest`: every row of source `raw.sales` is dated in the future",
        "2024-12-31T00:00:00Z",
        "help: ",
    ] {
        assert!(said.contains(part), "no `{part}`: {said}");
    }
}

#[test]
fn rows_dated_after_the_clock_are_counted_and_decide_nothing() {
    let project = tiny(&[]);
    let arguments = |lake: &TempDir| -> Vec<String> {
        ["run", "--project", text(project.path()), "--lake", text(lake.path())].map(String::from).to_vec()
    };
    let plain = tiny_lake();
    let plain_arguments = arguments(&plain);
    ok(&plain_arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let lake = tiny_lake();
    let future = "id,customer,amount,pieces,sold_at\n4,ann,90.00,1,2099-01-01T00:00:00\n5,eve,1.00,1,2099-12-31T23:00:00\n";
    write(lake.path(), &[("raw/sales/b.csv", future)]);
    let future_arguments = arguments(&lake);
    let output = run(&future_arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for part in [
        "source `raw.sales`: 2 rows are dated after the machine's clock",
        "`sold_at` is 2099-12-31T23:00:00Z",
    ] {
        assert!(said.contains(part), "no `{part}`:\n{said}");
    }
    let spend =
        |lake: &TempDir| rows(lake.path(), "select customer, as_of, amount from spend order by customer");
    assert_eq!(spend(&lake), spend(&plain));
}

/// Sales in folders by day, in Parquet, which says for each file from when to when its rows happened.
const SALES: &str = "-- What was sold.\n-- grain: id\n-- event_time: sold_at\n-- clock: true\n\
    create external table raw.sales (\n    id bigint,\n    customer varchar,\n    amount double,\n    pieces int,\n    \
    sold_at timestamp(6),\n    sold_on date\n)\nstored as parquet\npartitioned by (sold_on)\nlocation 'raw/sales/'\n";

#[test]
fn folders_of_days_to_come_do_not_make_the_latest_day() {
    const WRITE: &str = r#"
import os, sys
for day, at in (("2025-01-01", "10:00"), ("2025-01-02", "10:00"), ("2099-01-01", "10:00"), ("2099-01-02", "10:00")):
    folder = f"{sys.argv[1]}/sold_on={day}"
    os.makedirs(folder)
    duckdb.sql(f"""copy (select cast(1 as bigint) as id, 'ann' as customer, cast(2.5 as double) as amount,
        cast(1 as int) as pieces, timestamp '{day} {at}' as sold_at) to '{folder}/a.parquet' (format parquet)""")
"#;
    let project = tiny(&[("raw/sales.sql", SALES)]);
    let lake = tempfile::tempdir().unwrap();
    python::script(WRITE, &[text(&lake.path().join("raw/sales"))]);
    let said = run_at(project.path(), lake.path(), "2026-01-01T00:00:00Z").unwrap();
    assert_eq!(said, "2025-01-03T00:00:00.000000Z");
    let spend = rows(lake.path(), "select customer, cast(amount as varchar) as amount from spend");
    assert_eq!(spend[0]["amount"], "5.00", "{spend:?}");
}

/// A source may say when by an expression of its columns; of what is no time, or of more than the row, it is refused.
#[test]
fn when_a_row_happened_may_be_an_expression() {
    let contract = tiny_file("raw/sales.sql").replace("sold_at timestamp(6)", "sold_at varchar");
    let dated = |event: &str| contract.replace("event_time: sold_at", &format!("event_time: {event}"));
    for (event, as_of, customers) in [
        ("parse_date(substr(sold_at, 1, 10))", "2025-01-02", 1),
        ("to_timestamp_micros(cast(cast(sold_at as timestamp(6)) as bigint))", "2025-01-02T11:00:00Z", 2),
    ] {
        let lake = tiny_lake();
        let project = tiny(&[("raw/sales.sql", &dated(event))]);
        ok(&["run", "--project", text(project.path()), "--lake", text(lake.path()), "--as-of", as_of]);
        let spend = rows(lake.path(), "select customer from spend");
        assert_eq!(spend.len(), customers, "{event}: {spend:?}");
    }
    for (event, message) in [
        ("length(sold_at)", "is no TIMESTAMP and no DATE"),
        ("now()", "depends on more than the row's own columns"),
        ("max(parse_date(sold_at))", "depends on more than the row's own columns"),
        ("parse_date(sold_on)", "sold_on"),
        ("parse_date(sold_at", "`event_time` is `parse_date(sold_at`"),
    ] {
        let project = tiny(&[("raw/sales.sql", &dated(event))]);
        let said = crate::support::project::refusal(project.path());
        assert!(said.contains(message) && said.contains("raw/sales.sql:3:1"), "{event}:\n{said}");
    }
}

/// A row counts by `ingested_at`, without one by `event_time`, without either always, however files hold the rows.
#[test]
fn rows_that_do_not_say_when_they_became_known_count_by_when_they_happened() {
    const WRITE: &str = r#"
import os, sys
folder, *files = sys.argv[1:]
os.makedirs(folder)
for number, ids in enumerate(files):
    duckdb.sql(f"""copy (select cast(id as bigint) as id, customer, cast(1 as double) as amount, cast(1 as int) as pieces,
        cast(sold_at as timestamp) as sold_at, cast(seen_at as timestamp) as seen_at from (values
        (1, 'early', '2025-01-01', '2025-01-02'), (2, 'seen late', '2025-01-01', '2025-01-04'),
        (3, 'sold early', '2025-01-02', null), (4, 'sold late', '2025-01-04', null), (5, 'undated', null, null),
        (6, 'seen on the day', '2025-01-01', '2025-01-03')) as sales(id, customer, sold_at, seen_at)
        where id in ({ids})) to '{folder}/{number}.parquet' (format parquet)""")
"#;
    let contract = tiny_file("raw/sales.sql")
        .replace("-- clock: true", "-- ingested_at: seen_at")
        .replace("sold_at timestamp(6)", "sold_at timestamp(6),\n    seen_at timestamp(6)")
        .replace("stored as csv", "stored as parquet");
    let project = tiny(&[("raw/sales.sql", &contract)]);
    for files in [
        &["1, 2, 3, 4, 5, 6"][..],
        &["1", "2", "3", "4", "5", "6"],
        &["1, 2", "4, 5", "3, 6"],
        &["2, 5", "1, 3, 4, 6"],
    ] {
        let lake = tempfile::tempdir().unwrap();
        python::script(WRITE, &[&[text(&lake.path().join("raw/sales"))], files].concat());
        ok(&["run", "--project", text(project.path()), "--lake", text(lake.path()), "--as-of", "2025-01-03"]);
        let known = rows(lake.path(), "select customer from spend order by customer");
        let known: Vec<&str> = known.iter().map(|row| row["customer"].as_str().unwrap()).collect();
        assert_eq!(known, ["early", "sold early", "undated"], "files of {files:?}");
    }
}
