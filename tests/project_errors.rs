//! A wrong project is refused before anything runs: with the file, the line, a caret under it, and the way out.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::support::project::{Wrong, refusal, tiny};
use crate::support::{ok, text};

/// A stage over the raw table with `expression` in its fifth line.
fn stage_with(expression: &str, tail: &str) -> String {
    format!(
        "-- A stage.\n-- grain: a\n-- store: table\nselect customer as a,\n    {expression} as b\nfrom raw.sales{tail}\n"
    )
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
    for expression in ["row_number() over (partition by customer order by sold_at, id)", "lag(id) over w"] {
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
        refused(
            expression,
            GROUPED,
            call,
            unordered,
            "ORDER BY over columns that leave no ties, inside the call",
        );
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
    let reads =
        |other: &str| format!("-- A stage.\n-- grain: a\n-- store: table\nselect a from staging.{other}\n");
    Wrong {
        files: &[
            ("staging/x.sql", &reads("y")),
            ("staging/y.sql", &reads("z")),
            ("staging/z.sql", &reads("x")),
        ],
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
fn a_daily_stage_may_not_depend_on_the_run() {
    let daily = |tail: &str| {
        format!(
            "-- A stage.\n-- grain: a\n-- store: daily\n-- day: d\nselect id as a, cast(sold_at as date) as d\n{tail}\n"
        )
    };
    for (param, place) in [("$as_of", "7:29"), ("$run_id", "7:29")] {
        Wrong {
            files: &[(
                "staging/x.sql",
                &daily(&format!("from raw.sales\nwhere cast(id as varchar) < {param}")),
            )],
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
            (
                "staging/known.sql",
                "-- Known sales.\n-- store: view\nselect id, sold_at from raw.sales where sold_at < $as_of\n",
            ),
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
