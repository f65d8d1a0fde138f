//! Tags as of a day do not change by what becomes known later: neither by what happened later, nor by what happened before and
//! was delivered later.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use crate::support::world::{rows, small_lake};
use crate::support::{ok, python, text};

const AS_OF: &str = "2025-02-15";

/// The first instant of `AS_OF` in the time zone of the retail project.
const INSTANT: &str = "2025-02-14 16:00:00";

/// Takes out of the raw files of a lake all that became known from an instant on. With `more`, adds then, to every raw table, as
/// many rows as there were: each an old one with the values of other old rows in some of its columns, every second one delivered in the
/// hours after the instant, the others moved behind it as a whole.
const CHANGE: &str = r#"
import os, shutil, sys
import duckdb

raw, instant, more, seed = sys.argv[1], sys.argv[2], sys.argv[3] == "more", int(sys.argv[4])
db = duckdb.connect()
db.execute("set threads = 1")
changed = 0
for table in sorted(os.listdir(raw)):
    folder = f"{raw}/{table}"
    day = next((name.split("=")[0] for name in sorted(os.listdir(folder)) if "=" in name), None)
    files = f"read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
    described = db.execute(f"describe select * from {files}").fetchall()
    columns = [(name, kind) for name, kind, *_ in described]
    stored = [name for name, _ in columns if name != day]
    db.execute(f"create or replace table everything as select * from {files}")
    db.execute(f"create or replace table known as select * from everything where ingested_at < timestamp '{instant}'")
    shutil.rmtree(folder)
    key = stored[0]
    db.execute(f"""create or replace table numbered as select *,
        row_number() over (order by hash({', '.join(stored)}, {seed}), {', '.join(stored)}) as row_place from known""")
    rows = db.execute("select count(*) from known").fetchone()[0]
    moved = "interval 61 day"
    def later(name, kind):
        if name == "ingested_at":
            return f"""case when a.row_place % 2 = 0 then timestamp '{instant}' + to_seconds(a.row_place % 20000)
                else a.ingested_at + {moved} end"""
        if kind.startswith("TIMESTAMP"):
            return f"case when a.row_place % 2 = 0 then a.{name} else a.{name} + {moved} end"
        if kind == "DATE":
            return f"case when a.row_place % 2 = 0 then a.{name} else cast(a.{name} + {moved} as date) end"
        # other values of the same column, the keys of every third row too
        if name != key or seed % 3 == 0:
            return f"case when (a.row_place + {len(name)}) % 3 = 0 then b.{name} else a.{name} end"
        return f"a.{name}"
    added = ", ".join(f"cast({later(name, kind)} as {kind}) as {name}" for name, kind in columns)
    parts = ["select * from known"]
    if more:
        parts.append(f"""select {added} from numbered as a
            inner join numbered as b on b.row_place = 1 + (a.row_place * 7 + {seed}) % {max(rows, 1)}""")
    db.execute(f"create or replace table written as {' union all '.join(parts)}")
    changed += db.execute("select count(*) from written").fetchone()[0] - rows
    days = [None] if day is None else [row[0] for row in db.execute(f"select distinct {day} from written order by 1").fetchall()]
    for value in days:
        into = folder if day is None else f"{folder}/{day}={value}"
        os.makedirs(into)
        where = "true" if day is None else f"{day} = date '{value}'"
        db.execute(f"""copy (select {', '.join(stored)} from written where {where} order by all)
            to '{into}/a.parquet' (format parquet)""")
print(changed)
"#;

fn change(lake: &Path, more: bool, seed: u64) -> u64 {
    let (raw, seed) = (lake.join("raw"), seed.to_string());
    let args = [text(&raw), INSTANT, if more { "more" } else { "less" }, &seed];
    python::script(CHANGE, &args).trim().parse().unwrap()
}

/// The tags of every customer as of the day, and those that someone has.
fn tags(lake: &Path) -> (String, Vec<serde_json::Value>) {
    ok(&["run", "--lake", text(lake), "--as-of", AS_OF]);
    let query = "select customer_id, tag, value, number from customer_tags order by customer_id, tag";
    let all = ok(&["sql", "--lake", text(lake), "--format", "csv", query]);
    (all, rows(lake, "select tag, customers_given, customers_withheld from tag_registry order by tag"))
}

#[test]
fn later_rows_change_no_tag() {
    let lake = small_lake();
    assert_eq!(change(lake.path(), false, 0), 0);
    let (expected, registry) = tags(lake.path());
    let given = registry.iter().filter(|tag| tag["customers_given"].as_i64() > Some(0)).count();
    assert!(given * 10 >= registry.len() * 8, "few tags are given to anybody: {registry:#?}");
    for seed in [2, 3] {
        let lake = small_lake();
        assert!(change(lake.path(), true, seed) > 10_000);
        let (found, counted) = tags(lake.path());
        let differs = expected.lines().zip(found.lines()).find(|(before, after)| before != after);
        assert!(expected == found, "seed {seed}: {differs:?}");
        assert_eq!(counted, registry, "seed {seed}");
    }
}
