//! Value tiers of customers, cut as DuckDB cuts them, equals and exact lines included.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write;

use crate::support::project::write;
use crate::support::python::script;
use crate::support::world::{export, small_run};
use crate::support::{ok, repository, text};

#[test]
fn value_tiers_are_cut_as_duckdb_cuts_them() {
    let lake = small_run();
    let folder = tempfile::tempdir().unwrap();
    for relation in ["features.customers", "tags.value"] {
        export(lake, relation, folder.path());
    }
    let tiers = script(TIERS, &[text(folder.path()), "features.customers", "tags.value"]);
    let tiers: Vec<u64> = tiers.split_whitespace().map(|count| count.parse().unwrap()).collect();
    assert!(tiers.len() == 3 && tiers.iter().all(|customers| *customers > 20), "{tiers:?}");

    // a line that falls between two values, one that falls among equals, one that nobody crosses
    for (name, amounts, expected) in [
        ("exact", "40 40 10 5 2.5 2.5 0 -3 -", "2 2 4"),
        ("equals", "30 25 20 20 2.5 2.5 0", "4 0 3"),
        ("pence", "0.06 0.06 0.06 0.01 0.01 0.01 0.01", "3 4 0"),
        ("alone", "1000 1 1", "1 0 2"),
        ("nobody", "0 -1 -", "0 0 2"),
    ] {
        assert_eq!(tiers_of(name, amounts), expected, "{name}: {amounts}");
    }
}

/// How many customers of these amounts are head, potential and long tail; `-` has never bought.
fn tiers_of(name: &str, amounts: &str) -> String {
    let (project, lake, folder) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tier = std::fs::read_to_string(repository().join("sql/retail/tags/value.sql")).unwrap();
    write(
        project.path(),
        &[
            (
                "project.toml",
                "name = \"tiers\"\ntime_zone = \"UTC\"\n\n[settings]\nvalue_head_share = 0.8\n\
                 value_potential_share = 0.15\nregular_orders = 4\nloyal_orders = 10\n",
            ),
            (
                "raw/spent.sql",
                "-- What each customer spent.\n-- grain: customer_id\n\
                 create external table raw.spent (\n    customer_id varchar,\n    amount double\n)\n\
                 stored as csv\nlocation 'raw/spent/'\n",
            ),
            (
                "features/customers.sql",
                "-- The customers.\n-- grain: customer_id\n-- store: table\n\
                 select\n    customer_id,\n    case when amount is null then 0 else 1 end as frequency,\n    \
                 cast(coalesce(amount, 0) as decimal(18, 2)) as monetary_total\nfrom raw.spent\n",
            ),
            (
                "tags/rfm.sql",
                "-- Scores.\n-- grain: customer_id\n-- store: table\n\
                 select\n    customer_id,\n    1 as monetary_score\nfrom features.customers\n",
            ),
            ("tags/value.sql", &tier),
        ],
    );
    let mut lines = "customer_id,amount\n".to_string();
    for (place, amount) in amounts.split(' ').enumerate() {
        writeln!(lines, "c{place},{}", if amount == "-" { "" } else { amount }).unwrap();
    }
    write(lake.path(), &[("raw/spent/a.csv", &lines)]);
    ok(&["run", "--project", text(project.path()), "--lake", text(lake.path()), "--as-of", "2025-01-01"]);
    for relation in ["features.customers", "tags.value"] {
        export(lake.path(), relation, folder.path());
    }
    let said = script(TIERS, &[text(folder.path()), "features.customers", "tags.value"]);
    assert!(!said.is_empty(), "{name}");
    said.trim().to_string()
}

/// Cuts again: who has less than the share of all above them, equals not counted, is within it.
const TIERS: &str = r#"
import sys, duckdb
folder, customers, tiers = sys.argv[1:]
ours = duckdb.sql(f"select customer_id, value_tier from '{folder}/{tiers}.parquet' order by 1").fetchall()
theirs = duckdb.sql(f"""with buyers as (
    select customer_id, greatest(monetary_total, 0)::decimal(38, 2) as value from '{folder}/{customers}.parquet' where frequency > 0),
above as (
    select customer_id, value, sum(value) over () as whole,
        sum(value) over (order by value desc range between unbounded preceding and current row)
            - sum(value) over (partition by value) as before
    from buyers)
select customer_id, case when value > 0 and 100 * before < 80 * whole then 'head'
    when value > 0 and 100 * before < 95 * whole then 'potential' else 'long tail' end
from above order by 1""").fetchall()
assert ours == theirs, [pair for pair in zip(ours, theirs) if pair[0] != pair[1]][:5]
print(*(sum(tier == name for _, tier in ours) for name in ("head", "potential", "long tail")))
"#;
