//! A wrong project is refused before anything runs: with the file, the line, a caret under it, and the way out.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use crate::support::project::{refusal, tiny, tiny_file, tiny_lake, write};
use crate::support::world::rows;
use crate::support::{fails, ok, run, text};

/// One wrong file, and what the refusal says.
struct Wrong<'a> {
    /// Path and text of the file that replaces or joins those of the tiny project.
    files: &'a [(&'a str, &'a str)],
    message: &'a str,
    /// `file:line:column`.
    place: &'a str,
    /// The text that the caret underlines.
    marked: &'a str,
    help: &'a str,
}

impl Wrong<'_> {
    fn check(&self) {
        let project = tiny(self.files);
        let said = refusal(project.path());
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines[0].starts_with("error: ") && lines[0].contains(self.message), "`{}` not in:\n{said}", self.message);
        let arrow = lines.iter().position(|line| line.trim_start().starts_with("-->")).expect("a place");
        assert_eq!(lines[arrow].trim_start().trim_start_matches("--> "), self.place, "place of:\n{said}");
        let shown = lines[arrow + 2].split_once(" | ").map_or("", |(_, text)| text);
        let carets = lines[arrow + 3].split_once(" | ").map_or("", |(_, text)| text);
        let from = carets.find('^').expect("a caret");
        let marked: String = shown.chars().skip(from).take(carets.matches('^').count()).collect();
        assert_eq!(marked, self.marked, "marked in:\n{said}");
        let help = lines[arrow + 4..].join("\n");
        assert!(help.contains("= help: ") && help.contains(self.help), "`{}` not in the help of:\n{said}", self.help);
    }
}

/// A stage over the raw table with `expression` in its fifth line.
fn stage_with(expression: &str, tail: &str) -> String {
    format!("-- A stage.\n-- grain: a\n-- store: table\nselect customer as a,\n    {expression} as b\nfrom raw.sales{tail}\n")
}

/// Checks that `expression` is refused at `call`.
fn refused(expression: &str, tail: &str, call: &str, message: &str, help: &str) {
    let sql = stage_with(expression, tail);
    let column = 5 + expression.find(call).unwrap();
    Wrong {
        files: &[("staging/x.sql", &sql)],
        message: &format!("`{}` {message}", call.to_lowercase()),
        place: &format!("staging/x.sql:5:{column}"),
        marked: call,
        help,
    }
    .check();
}

const GROUPED: &str = "\ngroup by customer";

#[test]
fn clocks_and_chance_are_refused() {
    for (expression, call) in [
        ("now()", "now"),
        ("NOW()", "NOW"),
        ("today()", "today"),
        ("current_date", "current_date"),
        ("current_date()", "current_date"),
        ("current_time", "current_time"),
        ("current_timestamp", "current_timestamp"),
        ("sold_at < now()", "now"),
    ] {
        refused(expression, "", call, "depends on when the stage runs", "$as_of");
    }
    refused("random()", "", "random", "gives another answer each time", "row_hash(key)");
    refused("uuid()", "", "uuid", "gives another answer each time", "row_hash(key)");
    refused("input_file_name()", "", "input_file_name", "depends on more than its arguments", "own columns");
    let tail = "\nwhere id in (select id from staging.sales where now() is not null)";
    let hidden = stage_with("id", tail);
    let project = tiny(&[("staging/x.sql", &hidden)]);
    assert!(refusal(project.path()).contains("staging/x.sql:7:"), "a clock in a subquery");
}

#[test]
fn sketches_and_float_sums_are_refused() {
    for call in ["approx_distinct", "approx_median"] {
        refused(&format!("{call}(pieces)"), GROUPED, call, "depends on the order of rows", "exact");
    }
    let percentile = "approx_percentile_cont(0.5) within group (order by pieces)";
    refused(percentile, GROUPED, "approx_percentile_cont", "depends on the order of rows", "exact");
    let added = "adds floating-point numbers, so its result depends on the order of rows";
    for call in ["sum", "avg", "mean"] {
        refused(&format!("{call}(amount)"), GROUPED, call, added, "decimal");
    }
    for call in ["var", "var_pop", "var_samp", "stddev", "stddev_pop", "stddev_samp"] {
        refused(&format!("{call}(amount)"), GROUPED, call, added, "sums and products of decimals");
    }
    for call in ["corr", "covar_pop", "covar_samp", "regr_slope", "regr_r2", "regr_intercept"] {
        refused(&format!("{call}(amount, pieces)"), GROUPED, call, added, "sums and products of decimals");
    }
    // What becomes a float on the way counts too.
    refused("avg(pieces)", GROUPED, "avg", added, "decimal");
    refused("sum(pieces * $rate)", GROUPED, "sum", added, "decimal");
    refused("sum(cast(pieces as double))", GROUPED, "sum", added, "decimal");
    refused("sum(amount) over (partition by customer)", "", "sum", added, "decimal");
    // The caret stands under the sum of floats, not under the harmless one before it.
    refused("sum(pieces) as n,    SUM( amount )", GROUPED, "SUM", added, "decimal");
}

#[test]
fn exact_sums_and_ordered_collections_are_allowed() {
    for expression in [
        "sum(pieces)",
        "sum(cast(amount as decimal(18, 2)))",
        "avg(cast(amount as decimal(18, 2)))",
        "count(*)",
        "max(amount)",
        "array_agg(id order by id)",
        "string_agg(customer, ',' order by customer, id)",
        "first_value(id order by sold_at, id)",
    ] {
        let sql = stage_with(expression, GROUPED);
        let project = tiny(&[("staging/x.sql", &sql)]);
        ok(&["check", "--project", text(project.path())]);
    }
    for expression in [
        "row_number() over (partition by customer order by sold_at, id)",
        "lag(id) over w",
    ] {
        let sql = stage_with(expression, "\nwindow w as (partition by customer order by sold_at, id)");
        let project = tiny(&[("staging/x.sql", &sql)]);
        ok(&["check", "--project", text(project.path())]);
    }
}

#[test]
fn what_depends_on_the_order_of_rows_is_refused() {
    let unordered = "without ORDER BY depends on the order of rows";
    for (expression, call) in [
        ("array_agg(id)", "array_agg"),
        ("string_agg(customer, ',')", "string_agg"),
        ("first_value(id)", "first_value"),
        ("last_value(id)", "last_value"),
        ("nth_value(id, 2)", "nth_value"),
    ] {
        refused(expression, GROUPED, call, unordered, "ORDER BY over columns that leave no ties, inside the call");
    }
    for (expression, call) in [
        ("first_value(id) over (partition by customer)", "first_value"),
        ("row_number() over (partition by customer)", "row_number"),
        ("lag(id) over ()", "lag"),
        ("last_value(id) over w", "last_value"),
    ] {
        refused(expression, "\nwindow w as (partition by customer)", call, unordered, "to the window");
    }
    refused("any_value(id)", GROUPED, "any_value", "takes whichever row comes first", "min or max");
    for (tail, what, place, marked) in [
        ("\nlimit 3", "LIMIT", "7:7", "3"),
        ("\noffset 3", "OFFSET", "7:8", "3"),
        ("\nfetch first 3 rows only", "FETCH", "7:13", "3"),
    ] {
        Wrong {
            files: &[("staging/x.sql", &stage_with("id", tail))],
            message: &format!("{what} without ORDER BY"),
            place: &format!("staging/x.sql:{place}"),
            marked,
            help: "add ORDER BY",
        }
        .check();
    }
    Wrong {
        files: &[("staging/x.sql", "-- A stage.\n-- grain: a\n-- store: table\nselect distinct on (customer) customer as a, id\nfrom raw.sales\n")],
        message: "DISTINCT ON without ORDER BY",
        place: "staging/x.sql:4:21",
        marked: "customer",
        help: "add ORDER BY",
    }
    .check();
    Wrong {
        files: &[("staging/x.sql", &stage_with("id", " tablesample (10 percent)"))],
        message: "TABLESAMPLE takes other rows each time",
        place: "staging/x.sql:6:6",
        marked: "raw.sales",
        help: "row_hash(key)",
    }
    .check();
}

#[test]
fn a_star_across_a_stage_boundary_is_refused() {
    for (select, column, marked) in [
        ("select * from raw.sales", 8, "*"),
        ("select s.*, s.id as a from staging.sales as s", 8, "s.*"),
        ("select id as a from (select * from staging.sales) as s", 29, "*"),
        ("with c as (select * from raw.sales) select id as a from c", 19, "*"),
        ("select * from (raw.sales as r inner join staging.sales as s on r.id = s.id)", 8, "*"),
        ("from raw.sales", 1, "from raw.sales"),
    ] {
        Wrong {
            files: &[("staging/x.sql", &format!("-- A stage.\n-- grain: a\n-- store: table\n{select}\n"))],
            message: "`select *` across a stage boundary",
            place: &format!("staging/x.sql:4:{column}"),
            marked,
            help: "name the columns",
        }
        .check();
    }
    let inside = "-- A stage.\n-- grain: a\n-- store: table\nwith c as (select id as a from raw.sales)\nselect * from c\n";
    let project = tiny(&[("staging/x.sql", inside)]);
    ok(&["check", "--project", text(project.path())]);
}

#[test]
fn stages_that_read_each_other_are_refused() {
    let reads = |other: &str| format!("-- A stage.\n-- grain: a\n-- store: table\nselect a from staging.{other}\n");
    Wrong {
        files: &[("staging/x.sql", &reads("y")), ("staging/y.sql", &reads("z")), ("staging/z.sql", &reads("x"))],
        message: "in a circle: staging.x -> staging.z -> staging.y -> staging.x",
        place: "staging/x.sql:4:15",
        marked: "staging.y",
        help: "fixpoint",
    }
    .check();
    Wrong {
        files: &[("staging/x.sql", &stage_with("id", "").replace("raw.sales", "segments.spend"))],
        message: "`staging.x` reads `segments.spend`, which lies in a later layer",
        place: "staging/x.sql:6:6",
        marked: "segments.spend",
        help: "raw -> staging -> identity -> facts",
    }
    .check();
}

#[test]
fn unknown_names_are_refused_with_what_was_meant() {
    for (from, help) in [
        ("staging.sale", "did you mean `staging.sales`?"),
        ("raw.slaes", "did you mean `raw.sales`?"),
        ("quarantine.sales", "its header has no `quarantine` column"),
        ("zzzzzzzzzzzz", "`strata graph` lists them"),
    ] {
        Wrong {
            files: &[("staging/x.sql", &stage_with("id", "").replace("raw.sales", from))],
            message: &format!("there is no relation `{from}`"),
            place: "staging/x.sql:6:6",
            marked: from,
            help,
        }
        .check();
    }
    for (param, help) in [("$larg", "did you mean `$large`?"), ("$xyzxyzxyz", "settings of project.toml")] {
        Wrong {
            files: &[("staging/x.sql", &stage_with(&format!("pieces > {param}"), ""))],
            message: &format!("there is no parameter `{param}`"),
            place: "staging/x.sql:5:14",
            marked: param,
            help,
        }
        .check();
    }
    Wrong {
        files: &[("staging/x.sql", &stage_with("amuont", ""))],
        message: "no field named amuont",
        place: "staging/x.sql:5:5",
        marked: "amuont",
        help: "did you mean 'raw.sales.amount'?",
    }
    .check();
    Wrong {
        files: &[("staging/x.sql", &stage_with("normalise_email(customer)", ""))],
        message: "invalid function 'normalise_email'",
        place: "staging/x.sql:5:5",
        marked: "normalise_email",
        help: "did you mean 'normalize_email'?",
    }
    .check();
    Wrong {
        files: &[("staging/x.sql", &stage_with("id", "").replace("raw.sales", "$previous"))],
        message: "there is no relation `$previous`",
        place: "staging/x.sql:6:6",
        marked: "$previous",
        help: "kind: fixpoint",
    }
    .check();
}

#[test]
fn headers_are_refused_that_lack_or_invent_something() {
    let body = "select id as a, cast(sold_at as date) as d from raw.sales\n";
    let whole_line = |line: usize, header: &str| header.lines().nth(line - 1).unwrap().to_string();
    for (header, message, line, help) in [
        ("-- grain: a\n-- store: table\n", "the header has no description", 1, "One sentence"),
        ("-- A stage.\n-- store: table\n", "the header lacks `grain`", 1, "`-- grain: ...`"),
        ("-- A stage.\n-- grain: a\n", "the header lacks `store`", 1, "`-- store: ...`"),
        ("-- A stage.\n-- grain: a\n-- store: daily\n", "the header lacks `day`", 1, "`-- day: ...`"),
        ("-- A stage.\n-- grian: a\n-- store: table\n", "unknown header key `grian`", 2, "did you mean `grain`?"),
        ("-- A stage.\n-- grain: a\n-- store: table\n-- materialized: yes\n", "`materialized`", 4, "known keys: grain"),
        ("-- A stage.\n-- grain: a\n-- grain: d\n-- store: table\n", "key `grain` is given twice", 3, "keep one"),
        ("-- A stage.\n-- grain: a\n-- store: tabel\n", "unknown store `tabel`", 3, "view, table or daily"),
        ("-- A stage.\n-- grain: a, bb\n-- store: table\n", "column `bb`, which the SELECT does not give", 2, "columns: a, d"),
        ("-- A stage.\n-- grain: a\n-- store: daily\n-- day: a\n", "day column `a` is no DATE", 4, "cast"),
        ("-- A stage.\n-- grain: a\n-- store: table\n-- publish: all\n", "this stage is not published", 4, "segments, portraits"),
        ("-- A stage.\n-- grain: a\n-- store: table\n-- quarantine: rule\n", "column `rule`", 4, "columns: a, d"),
        ("-- A stage.\n-- grain: a\n-- store: table\n-- accounts: raw.sales\n", "the header lacks `quarantine`", 1, "quarantine"),
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
fn a_daily_stage_may_not_depend_on_the_run() {
    let daily = |tail: &str| {
        format!("-- A stage.\n-- grain: a\n-- store: daily\n-- day: d\nselect id as a, cast(sold_at as date) as d\n{tail}\n")
    };
    for (param, place) in [("$as_of", "7:29"), ("$run_id", "7:29")] {
        Wrong {
            files: &[("staging/x.sql", &daily(&format!("from raw.sales\nwhere cast(id as varchar) < {param}")))],
            message: &format!("a daily stage may not use `{param}`: its days are computed once and kept"),
            place: &format!("staging/x.sql:{place}"),
            marked: param,
            help: "`store: table`",
        }
        .check();
    }
    Wrong {
        files: &[
            ("staging/x.sql", &daily("from staging.known")),
            ("staging/known.sql", "-- Known sales.\n-- store: view\nselect id, sold_at from raw.sales where sold_at < $as_of\n"),
        ],
        message: "`$as_of`, which the view `staging.known` does",
        place: "staging/x.sql:6:6",
        marked: "staging.known",
        help: "`store: table`",
    }
    .check();
}

#[test]
fn broken_sql_is_shown_where_it_breaks() {
    let file = |select: &str| format!("-- A stage.\n-- grain: a\n-- store: table\n{select}\n");
    for (select, message, place, marked) in [
        ("selct id as a\nfrom raw.sales", "expected: an SQL statement, found: selct", "4:1", "s"),
        ("select (id as a\nfrom raw.sales", "expected: ), found: as", "4:12", "a"),
        ("select 'abc as a\nfrom raw.sales", "unterminated string literal", "4:8", "'"),
        ("", "the file holds no SELECT", "1:1", "-"),
        ("drop table x", "the file holds no SELECT", "4:1", "drop table x"),
        ("select id as a from raw.sales;\nselect 1 as a", "more than one statement", "5:1", "select 1 as a"),
    ] {
        Wrong {
            files: &[("staging/x.sql", &file(select))],
            message,
            place: &format!("staging/x.sql:{place}"),
            marked,
            help: "a stage is one SELECT",
        }
        .check();
    }
    Wrong {
        files: &[("staging/x.sql", &stage_with("amount + customer", ""))],
        message: "cannot coerce arithmetic expression Float64 + Utf8",
        place: "staging/x.sql:5:5",
        marked: "amount + customer",
        help: "strata explain",
    }
    .check();
}

#[test]
fn raw_contracts_are_checked() {
    let sales = tiny_file("raw/sales.sql");
    for (from, to, message, place, marked, help) in [
        ("raw.sales (", "raw.orders (", "the file declares `raw.orders`", "5:23", "raw.orders", "declare `raw.sales`"),
        ("pieces int", "pieces integr", "`integr` is no SQL type", "9:12", "integr", "bigint"),
        ("pieces int", "id int", "column `id` is declared twice", "6:5", "id", "keep one"),
        ("as csv", "as avro", "format `AVRO` cannot be read", "12:11", "avro", "STORED AS PARQUET"),
        ("location 'raw/sales/'", "", "missing LOCATION", "5:1", "create external table raw.sales (", "LOCATION 'raw/NAME/'"),
        ("customer varchar,", "customer varchar", "found: amount", "8:5", "a", "CREATE EXTERNAL TABLE"),
        ("event_time: sold_at", "event_tiem: sold_at", "unknown header key", "3:1", "-- event_tiem: sold_at", "`event_time`"),
        ("event_time: sold_at", "event_time: sold_on", "column `sold_on`", "3:1", "-- event_time: sold_on", "`sold_at`"),
        ("event_time: sold_at", "event_time: customer", "is no TIMESTAMP", "3:1", "-- event_time: customer", "TIMESTAMP(6)"),
        ("-- event_time: sold_at\n", "", "a clock needs to know", "3:1", "-- clock: true", "event_time"),
        ("clock: true", "clock: yes", "`clock` is `yes`", "4:1", "-- clock: yes", "true or false"),
        ("grain: id", "grain: key", "column `key`", "2:1", "-- grain: key", "columns: id, customer"),
        ("as csv", "as parquet\npartitioned by (pieces)", "`pieces` is not declared as DATE", "9:5", "pieces", "DATE"),
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
        ("UTC", "Asia/Shangai", "`Asia/Shangai` is no IANA time zone", "2:14", "Asia/Shangai", "`Asia/Shanghai`"),
        ("name = \"tiny\"\n", "", "missing key `name`", "1:1", "time_zone = \"UTC\"", "name = "),
        ("\"tiny\"", "tiny", "invalid", "1:8", "tiny", "quotes"),
        ("large = 100", "large = [1, 2]", "neither a number nor text", "5:1", "large", "one value"),
        ("large = 100", "large = 100\nas_of = 1", "`as_of` is a parameter of every run", "6:1", "as_of", "another name"),
        ("large = 100", "large = 100\nlrge = 1", "no SQL uses the setting `lrge`", "6:1", "lrge", "did you mean `large`?"),
        ("time_zone", "extends = \"retial\"\ntime_zone", "`extends` names `retial`", "2:12", "retial", "`retail`"),
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
        ("stagin/x.sql", "-- X.\nselect 1", "lies in no layer", "1:1", "-", "did you mean the folder `staging`?"),
        ("staging/deep/x.sql", "-- X.\nselect 1", "lies in no layer", "1:1", "-", "directly in raw, staging"),
        ("models/m.sql", "-- M.\n-- kind: kmean\n-- k: 3\nselect id, pieces from staging.sales", "`kmean`", "2:1", "-- kind: kmean", "`kmeans`"),
        ("models/m.sql", "-- M.\n-- kind: kmeans\n-- k: x\nselect id, pieces from staging.sales", "`k: x`", "3:1", "-- k: x", "whole number"),
        ("models/m.sql", "-- M.\n-- kind: kmeans\nselect id, pieces from staging.sales", "trainer", "2:1", "-- kind: kmeans", "add `k: 8`"),
        ("models/m.sql", "-- M.\n-- kind: kmeans\n-- k: 3\n-- sacle: none\nselect id, pieces from staging.sales", "`sacle: none`", "4:1", "-- sacle: none", "scale"),
        ("models/m.sql", "-- M.\n-- kind: kmeans\n-- k: 3\nselect id, customer from staging.sales", "`customer` is Utf8", "4:12", "customer", "numbers"),
        ("audits/a.sql", "-- A.\nselect id from staging.salse", "no relation `staging.salse`", "2:16", "staging.salse", "`staging.sales`"),
        ("audits/a.sql", "select id from staging.sales", "no description", "1:1", "s", "sentence"),
        ("audits/a.sql", "-- A.\nselect id from staging.sales where now() is null", "`now`", "2:36", "now", "$as_of"),
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

/// Steps that climb by one a round, to the number of pieces: 2, 5 and 1.
const STEPS: &str = "-- Numbers that climb to the number of pieces.\n\
    -- grain: id\n-- store: table\n-- kind: fixpoint\n-- start: staging.zero\n-- max_rounds: 6\n\
    select\n    p.id,\n    cast(least(p.step + 1, s.pieces) as int) as step\n\
    from $previous as p\ninner join staging.sales as s on p.id = s.id\n";

const ZERO: &str = "-- Where steps begin.\n-- store: view\nselect id, cast(0 as int) as step from staging.sales\n";

#[test]
fn the_project_can_be_looked_at_without_data() {
    let project = tiny(&[("identity/steps.sql", STEPS), ("staging/zero.sql", ZERO)]);
    let project = text(project.path());
    assert_eq!(ok(&["check", "--project", project]), "project tiny: 1 sources, 4 stages, 0 audits, no errors\n");
    let graph = ok(&["graph", "--project", project]);
    assert!(graph.contains("identity.steps (fixpoint) <- staging.sales, staging.zero"), "{graph}");
    assert!(graph.contains("segments.spend (table, published) <- staging.sales"), "{graph}");
    let dot = ok(&["graph", "--format", "dot", "--project", project]);
    assert!(dot.starts_with("digraph strata {") && dot.trim_end().ends_with('}'), "{dot}");
    assert!(dot.contains("\"raw.sales\" -> \"staging.sales\";"), "{dot}");
    let mermaid = ok(&["graph", "--format", "mermaid", "--project", project]);
    assert!(mermaid.starts_with("flowchart LR\n") && mermaid.contains("staging.zero --> identity.steps\n"), "{mermaid}");
    let steps = ok(&["explain", "identity.steps", "--project", project]);
    for part in ["fixpoint, at most 6 rounds", "its previous round", "step", "logical plan", "physical plan"] {
        assert!(steps.contains(part), "`{part}` not in:\n{steps}");
    }
    let spend = ok(&["explain", "segments.spend", "--project", project]);
    for part in ["What each customer spent.", "$as_of", "staging.sales", "Decimal128(28, 2)", "sum(amount) as amount"] {
        assert!(spend.contains(part), "`{part}` not in:\n{spend}");
    }
    for stage in ["models.behaviour_model", "facts.daily_activity", "segments.segments", "identity.account_person"] {
        let said = ok(&["explain", stage]);
        assert!(said.starts_with(stage) && said.contains("physical plan"), "{said}");
    }
}

#[test]
fn a_fixpoint_ends_when_no_row_changes_and_fails_when_rounds_run_out() {
    for start in [ZERO.to_string(), ZERO.replace("-- store: view", "-- grain: id\n-- store: table")] {
        let lake = tiny_lake();
        let project = tiny(&[("identity/steps.sql", STEPS), ("staging/zero.sql", &start)]);
        // Five rounds climb, the sixth finds that nothing changes.
        ok(&["run", "--project", text(project.path()), "--lake", text(lake.path())]);
        let steps = rows(lake.path(), "select step from identity.steps order by id");
        let steps: Vec<i64> = steps.iter().map(|row| row["step"].as_i64().unwrap()).collect();
        assert_eq!(steps, [2, 5, 1]);
    }
    let lake = tiny_lake();
    let short = STEPS.replace("max_rounds: 6", "max_rounds: 5");
    let project = tiny(&[("identity/steps.sql", &short), ("staging/zero.sql", ZERO)]);
    let said = fails(4, &["run", "--project", text(project.path()), "--lake", text(lake.path())]);
    assert!(said.contains("identity.steps: rows still change after 5 rounds") && said.contains("raise `max_rounds`"), "{said}");
    assert!(nothing_published(lake.path()));
}

#[test]
fn a_failed_audit_publishes_nothing_and_leaves_what_was_there() {
    let lake = tiny_lake();
    let audit = "-- Nobody spends more than 10.\nselect customer, amount from segments.spend where amount > 10\n";
    let project = tiny(&[("audits/no_big_spender.sql", audit)]);
    let arguments = ["run", "--project", text(project.path()), "--lake", text(lake.path())];
    let said = fails(4, &arguments);
    for part in ["audit no_big_spender failed", "Nobody spends more than 10.", "ann", "11.50", "nothing was published"] {
        assert!(said.contains(part), "`{part}` not in:\n{said}");
    }
    assert!(nothing_published(lake.path()));
    assert_eq!(run(&["sql", "--lake", text(lake.path()), "select * from spend"]).status.code(), Some(2));

    write(project.path(), &[("audits/no_big_spender.sql", &audit.replace("> 10", "> 20"))]);
    ok(&arguments);
    let before = rows(lake.path(), "select customer, as_of, amount from spend order by customer");
    assert_eq!(before.len(), 2);
    write(lake.path(), &[("raw/sales/b.csv", "id,customer,amount,pieces,sold_at\n4,ann,90.00,1,2025-01-04T10:00:00\n")]);
    fails(4, &arguments);
    assert_eq!(rows(lake.path(), "select customer, as_of, amount from spend order by customer"), before);
}

fn nothing_published(lake: &Path) -> bool {
    !lake.join("published").exists() || crate::support::world::files(&lake.join("published")).is_empty()
}
