//! Headers, raw contracts, models and `project.toml` are refused like wrong SQL: with the place and the way out.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::support::project::{Wrong, refusal, tiny, tiny_file, write};
use crate::support::{fails, ok, text};

#[test]
fn headers_are_refused_that_lack_or_invent_something() {
    let body = "select id as a, cast(sold_at as date) as d from raw.sales\n";
    let whole_line = |line: usize, header: &str| header.lines().nth(line - 1).unwrap().to_string();
    for (header, message, line, help) in [
        ("-- grain: a\n-- store: table\n", "the header has no description", 1, "One sentence"),
        ("-- A stage.\n-- store: table\n", "the header lacks `grain`", 1, "`-- grain: ...`"),
        ("-- A stage.\n-- grain: a\n", "the header lacks `store`", 1, "`-- store: ...`"),
        ("-- A stage.\n-- grain: a\n-- store: daily\n", "the header lacks `day`", 1, "`-- day: ...`"),
        (
            "-- A stage.\n-- grian: a\n-- store: table\n",
            "unknown header key `grian`",
            2,
            "did you mean `grain`?",
        ),
        (
            "-- A stage.\n-- grain: a\n-- store: table\n-- materialized: yes\n",
            "`materialized`",
            4,
            "known keys: grain",
        ),
        (
            "-- A stage.\n-- grain: a\n-- grain: d\n-- store: table\n",
            "key `grain` is given twice",
            3,
            "keep one",
        ),
        ("-- A stage.\n-- grain: a\n-- store: tabel\n", "unknown store `tabel`", 3, "view, table or daily"),
        (
            "-- A stage.\n-- grain: a\n-- store: table\n-- sorted: yes\n",
            "cannot be `sorted: yes`",
            4,
            "for tables that are not published",
        ),
        (
            "-- A stage.\n-- grain: a\n-- store: daily\n-- day: d\n-- sorted: no\n",
            "cannot be `sorted: no`",
            5,
            "remove the line",
        ),
        (
            "-- A stage.\n-- grain: a, bb\n-- store: table\n",
            "column `bb`, which the SELECT does not give",
            2,
            "columns: a, d",
        ),
        ("-- A stage.\n-- grain: a\n-- store: daily\n-- day: a\n", "day column `a` is no DATE", 4, "cast"),
        (
            "-- A stage.\n-- grain: a\n-- store: table\n-- publish: all\n",
            "this stage is not published",
            4,
            "segments, portraits",
        ),
        (
            "-- A stage.\n-- grain: a\n-- store: table\n-- quarantine: rule\n",
            "column `rule`",
            4,
            "columns: a, d",
        ),
        (
            "-- A stage.\n-- grain: a\n-- store: table\n-- accounts: raw.sales\n",
            "the header lacks `quarantine`",
            1,
            "quarantine",
        ),
        (
            "-- A stage.\n-- grain: a\n-- store: table\n-- quarantine: d\n-- accounts: raw.sale\n",
            "`accounts` names `raw.sale`, which is no source",
            5,
            "did you mean `raw.sales`?",
        ),
    ] {
        let marked = if line == 1 { header.chars().take(1).collect() } else { whole_line(line, header) };
        Wrong {
            files: &[("staging/x.sql", &format!("{header}{body}"))],
            message,
            place: &format!("staging/x.sql:{line}:1"),
            marked: &marked,
            help,
        }
        .check();
    }
}

#[test]
fn raw_contracts_are_checked() {
    let sales = tiny_file("raw/sales.sql");
    for (from, to, message, place, marked, help) in [
        (
            "raw.sales (",
            "raw.orders (",
            "the file declares `raw.orders`",
            "5:23",
            "raw.orders",
            "declare `raw.sales`",
        ),
        ("pieces int", "pieces integr", "`integr` is no SQL type", "9:12", "integr", "bigint"),
        ("pieces int", "id int", "column `id` is declared twice", "6:5", "id", "keep one"),
        ("as csv", "as avro", "format `AVRO` cannot be read", "12:11", "avro", "STORED AS PARQUET"),
        (
            "location 'raw/sales/'",
            "",
            "missing LOCATION",
            "5:1",
            "create external table raw.sales (",
            "LOCATION 'raw/NAME/'",
        ),
        ("customer varchar,", "customer varchar", "found: amount", "8:5", "a", "CREATE EXTERNAL TABLE"),
        (
            "event_time: sold_at",
            "event_tiem: sold_at",
            "unknown header key",
            "3:1",
            "-- event_tiem: sold_at",
            "`event_time`",
        ),
        (
            "event_time: sold_at",
            "event_time: sold_on",
            "column `sold_on`",
            "3:1",
            "-- event_time: sold_on",
            "`sold_at`",
        ),
        (
            "event_time: sold_at",
            "event_time: customer",
            "is no TIMESTAMP",
            "3:1",
            "-- event_time: customer",
            "TIMESTAMP(6)",
        ),
        ("-- event_time: sold_at\n", "", "a clock needs to know", "3:1", "-- clock: true", "event_time"),
        ("clock: true", "clock: yes", "`clock` is `yes`", "4:1", "-- clock: yes", "true or false"),
        ("grain: id", "grain: key", "column `key`", "2:1", "-- grain: key", "columns: id, customer"),
        (
            "as csv",
            "as parquet\npartitioned by (pieces)",
            "`pieces` is not declared as DATE",
            "9:5",
            "pieces",
            "DATE",
        ),
    ] {
        Wrong {
            files: &[("raw/sales.sql", &sales.replace(from, to))],
            message,
            place: &format!("raw/sales.sql:{place}"),
            marked,
            help,
        }
        .check();
    }
    Wrong {
        files: &[("raw/sales.sql", &format!("{sales}options ('format.delimeter' ';')\n"))],
        message: "delimeter",
        place: "raw/sales.sql:14:11",
        marked: "format.delimeter",
        help: "'format.delimiter'",
    }
    .check();
}

#[test]
fn project_toml_is_checked() {
    let toml = tiny_file("project.toml");
    for (from, to, message, place, marked, help) in [
        ("time_zone", "timezone", "unknown key `timezone`", "2:1", "timezone", "did you mean `time_zone`?"),
        (
            "UTC",
            "Asia/Shangai",
            "`Asia/Shangai` is no IANA time zone",
            "2:14",
            "Asia/Shangai",
            "`Asia/Shanghai`",
        ),
        ("name = \"tiny\"\n", "", "missing key `name`", "1:1", "t", "name = "),
        ("\"tiny\"", "tiny", "invalid", "1:8", "tiny", "quotes"),
        ("large = 100", "large = [1, 2]", "neither a number nor text", "5:1", "large", "one value"),
        (
            "large = 100",
            "large = 100\nas_of = 1",
            "`as_of` is a parameter of every run",
            "6:1",
            "as_of",
            "another name",
        ),
        (
            "large = 100",
            "large = 100\nlrge = 1",
            "no SQL uses the setting `lrge`",
            "6:1",
            "lrge",
            "did you mean `large`?",
        ),
        (
            "time_zone",
            "extends = \"retial\"\ntime_zone",
            "`extends` names `retial`",
            "2:12",
            "retial",
            "`retail`",
        ),
        ("time_zone", "absent = [\"sale\"]\ntime_zone", "`absent` names `sale`", "2:12", "sale", "`sales`"),
    ] {
        Wrong {
            files: &[("project.toml", &toml.replace(from, to))],
            message,
            place: &format!("project.toml:{place}"),
            marked,
            help,
        }
        .check();
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let extended = |settings: &str| {
        let text = format!("name = \"mine\"\nextends = \"retail\"\n[settings]\n{settings}\n");
        write(folder.path(), &[("project.toml", &text)]);
        folder.path()
    };
    assert!(refusal(extended("look_back_day = 3")).contains("did you mean `look_back_days`?"));
    assert!(refusal(extended("look_back_days = \"3\"")).contains("another type"));
    ok(&["check", "--project", text(extended("look_back_days = 3\ndiscount_share = 1"))]);
}

#[test]
fn files_and_models_are_checked() {
    for (path, content, message, place, marked, help) in [
        (
            "stagin/x.sql",
            "-- X.\nselect 1",
            "lies in no layer",
            "1:1",
            "-",
            "did you mean the folder `staging`?",
        ),
        ("staging/deep/x.sql", "-- X.\nselect 1", "lies in no layer", "1:1", "-", "directly in raw, staging"),
        (
            "models/m.sql",
            "-- M.\n-- kind: kmean\n-- k: 3\nselect id, pieces from staging.sales",
            "`kmean`",
            "2:1",
            "-- kind: kmean",
            "`kmeans`",
        ),
        (
            "models/m.sql",
            "-- M.\n-- kind: kmeans\n-- k: x\nselect id, pieces from staging.sales",
            "`k: x`",
            "3:1",
            "-- k: x",
            "whole number",
        ),
        (
            "models/m.sql",
            "-- M.\n-- kind: kmeans\nselect id, pieces from staging.sales",
            "trainer",
            "2:1",
            "-- kind: kmeans",
            "add `k: 8`",
        ),
        (
            "models/m.sql",
            "-- M.\n-- kind: kmeans\n-- k: 3\n-- sacle: none\nselect id, pieces from staging.sales",
            "`sacle: none`",
            "4:1",
            "-- sacle: none",
            "scale",
        ),
        (
            "models/m.sql",
            "-- M.\n-- kind: kmeans\n-- k: 3\nselect id, customer from staging.sales",
            "`customer` is Utf8",
            "4:12",
            "customer",
            "numbers",
        ),
        (
            "audits/a.sql",
            "-- A.\nselect id from staging.salse",
            "no relation `staging.salse`",
            "2:16",
            "staging.salse",
            "`staging.sales`",
        ),
        ("audits/a.sql", "select id from staging.sales", "no description", "1:1", "s", "sentence"),
        (
            "audits/a.sql",
            "-- A.\nselect id from staging.sales where now() is null",
            "`now`",
            "2:36",
            "now",
            "$as_of",
        ),
    ] {
        Wrong { files: &[(path, content)], message, place: &format!("{path}:{place}"), marked, help }.check();
    }
    let spend = tiny_file("segments/spend.sql");
    let project = tiny(&[("portraits/spend.sql", spend)]);
    assert!(refusal(project.path()).contains("share the name `spend`"));
    let project = tiny(&[("segments/runs.sql", spend)]);
    assert!(refusal(project.path()).contains("`runs` is the name of a table that every run publishes"));
    let undated = spend.replace("    $as_of as as_of,\n", "").replace("as_of, ", "");
    let project = tiny(&[("segments/spend.sql", &undated)]);
    assert!(refusal(project.path()).contains("has no column `as_of`"));
}

/// Files as editors of other systems write them.
#[test]
fn files_may_have_a_byte_order_mark_and_a_loud_ending() {
    let project = tiny(&[]);
    let folder = project.path();
    for file in ["project.toml", "staging/sales.sql", "raw/sales.sql"] {
        let content = std::fs::read_to_string(folder.join(file)).unwrap();
        std::fs::write(folder.join(file), format!("\u{feff}{content}")).unwrap();
    }
    std::fs::rename(folder.join("staging/sales.sql"), folder.join("staging/sales.SQL")).unwrap();
    // no file of the project
    write(folder, &[(".ipynb_checkpoints/sales-checkpoint.sql", "nonsense")]);
    ok(&["check", "--project", text(folder)]);
    std::fs::copy(folder.join("staging/sales.SQL"), folder.join("staging/sales.sql")).unwrap();
    assert!(fails(2, &["check", "--project", text(folder)]).contains("two files staging/sales.sql"));
    std::fs::remove_file(folder.join("staging/sales.sql")).unwrap();
    std::fs::write(folder.join("raw/sales.sql"), b"-- What was sold.\n-- \xe9\n").unwrap();
    let said = fails(2, &["check", "--project", text(folder)]);
    assert!(
        said.contains("raw/sales.sql: line 2 is not UTF-8") && said.contains("save the file as UTF-8"),
        "{said}"
    );
}
