//! `strata sql` reads: every statement that would write, change or set something is refused and leaves the lake as it was.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::project::{tiny, tiny_lake};
use crate::support::world::files;
use crate::support::{fails, ok, strata_bin, text};

/// Every file below a folder with its content.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files(folder).into_iter().map(|file| (file.clone(), std::fs::read(&file).unwrap())).collect()
}

/// A lake that the tiny project has run on, and a folder beside it into which nothing may be written.
fn lake() -> tempfile::TempDir {
    let (project, lake) = (tiny(&[]), tiny_lake());
    ok(&["run", "--project", text(project.path()), "--lake", text(lake.path())]);
    lake
}

/// Statements that are no queries. `LAKE` stands for the lake's folder.
const REFUSED: &[&str] = &[
    "copy spend to 'LAKE/stages/_runs/0000000001.json' stored as json",
    "copy (select 1) to 'LAKE/out.csv'",
    "copy (select 1) to 'LAKE/out' stored as parquet partitioned by (\"Int64(1)\")",
    "explain analyze copy (select 1) to 'LAKE/out.csv'",
    "explain copy (select 1) to 'LAKE/out.csv'",
    "create external table t stored as csv location 'LAKE/raw/sales/'",
    "create unbounded external table t stored as csv location 'LAKE/raw/sales/'",
    "create table t as select 1",
    "create or replace table spend as select 1",
    "create table t (a int)",
    "create view v as select 1",
    "create schema s",
    "create database d",
    "create index i on spend (customer)",
    "create function f(a int) returns int return a",
    "drop function pseudonym",
    "drop table spend",
    "drop table if exists nothing",
    "drop view spend",
    "drop schema staging cascade",
    "insert into spend select * from spend",
    "insert overwrite spend select * from spend",
    "explain analyze insert into spend select * from spend",
    "update spend set amount = 0",
    "delete from spend",
    "truncate table spend",
    "merge into spend using spend as s on true when matched then delete",
    "alter table spend add column a int",
    "set datafusion.execution.batch_size = 1",
    "set time zone = 'UTC'",
    "reset datafusion.execution.batch_size",
    "prepare p as select 1",
    "prepare p as copy (select 1) to 'LAKE/out.csv'",
    "execute p",
    "deallocate p",
    "begin",
    "commit",
    "rollback",
    "vacuum spend",
    "select 1; copy (select 1) to 'LAKE/out.csv'",
    "with a as (insert into spend select * from spend) select * from a",
];

/// Queries that would read what the run did not publish or compute.
const OUTSIDE: &[&str] = &[
    "select * from 'LAKE/raw/sales/a.csv'",
    "select * from 'file://LAKE/raw/sales/a.csv'",
    "select * from \"LAKE/raw/sales/a.csv\"",
    "select * from '/etc/passwd'",
    "select * from read_csv('LAKE/raw/sales/a.csv')",
    "select * from read_parquet('LAKE/out.parquet')",
    "select * from parquet_metadata('LAKE/out.parquet')",
    "select * from delta.`LAKE/published/spend`",
];

#[test]
fn statements_that_do_more_than_read_are_refused_and_change_nothing() {
    let lake = lake();
    let before = tree(lake.path());
    let inside = |statement: &str| statement.replace("LAKE", text(lake.path()));
    for statement in REFUSED.iter().chain(OUTSIDE) {
        let said = fails(2, &["sql", "--lake", text(lake.path()), &inside(statement)]);
        assert!(said.contains("help: ") || said.contains("error: "), "{statement}:\n{said}");
        assert!(tree(lake.path()) == before, "`{statement}` changed the lake");
    }
    for statement in ["copy spend to 'LAKE/o.csv'", "create view v as select 1", "set datafusion.a = 1"] {
        let said = fails(2, &["sql", "--lake", text(lake.path()), &inside(statement)]);
        assert!(said.contains("read-only") && said.contains("--out"), "{statement}:\n{said}");
    }
}

#[test]
fn the_shell_is_read_only_too() {
    let lake = lake();
    let before = tree(lake.path());
    let statements: Vec<String> = REFUSED
        .iter()
        .map(|statement| format!("{};\n", statement.replace("LAKE", text(lake.path()))))
        .collect();
    // a pseudo-terminal opens the shell, as a person does
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &format!("{} sql --lake {}", text(strata_bin()), text(lake.path()))]);
    let mut child =
        script.arg("/dev/null").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script starts");
    let mut input = child.stdin.take().unwrap();
    input.write_all(statements.concat().as_bytes()).unwrap();
    input.write_all(b"select count(*) as still from spend;\n\\q\n").unwrap();
    drop(input);
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(said.contains("| still |"), "the shell goes on:\n{said}");
    assert!(said.matches("read-only").count() > 20, "{said}");
    assert!(tree(lake.path()) == before);
}

#[test]
fn queries_of_every_form_still_work() {
    let lake = lake();
    for query in [
        "select customer, amount from spend",
        "with a as (select * from spend) select count(*) from a",
        "explain select * from spend",
        "explain analyze select * from spend",
        "explain verbose select * from staging.sales",
        "describe spend",
        "values (1), (2)",
        "select * from generate_series(1, 3)",
        "(select customer from spend) union all (select customer from spend)",
        "select (select max(amount) from spend) as most",
        "select 1;",
    ] {
        ok(&["sql", "--lake", text(lake.path()), query]);
    }
}
