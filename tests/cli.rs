//! The commands as a new user types them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::support::world::small_run;
use crate::support::{fails, ok, python, strata, strata_bin, text};

#[test]
fn sql_writes_every_format() {
    let lake = text(small_run());
    let query = "select count(*) as n, min(life_cycle) as life from customer_360";
    assert!(ok(&["sql", "--lake", lake, query]).contains("| n "));
    assert!(ok(&["sql", "--lake", lake, query, "--format", "csv"]).starts_with("n,life\n"));
    let lists = "select main_tags from segments where cardinality(main_tags) > 1 limit 1";
    let shown = ok(&["sql", "--lake", lake, lists, "--format", "csv"]);
    assert!(shown.starts_with("main_tags\n\"[") && shown.trim_end().ends_with("]\""), "{shown}");
    assert!(ok(&["sql", "--lake", lake, query, "--format", "json"]).starts_with("{\"n\":"));
    let parquet = strata(&["sql", "--lake", lake, query, "--format", "parquet"]).output().unwrap().stdout;
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
}

#[test]
fn every_format_holds_the_same_rows() {
    let lake = text(small_run());
    let folder = tempfile::tempdir().unwrap();
    let query = "select customer_id, as_of, monetary_total, recency_days, rfm_type from customer_360 order by customer_id";
    for format in ["csv", "json", "parquet"] {
        let out = folder.path().join(format!("rows.{format}"));
        let said = ok(&["sql", "--lake", lake, query, "--format", format, "--out", text(&out)]);
        assert_eq!(said, "", "with --out nothing goes to standard output");
    }
    let table = ok(&["sql", "--lake", lake, query]);
    let compare = r#"
import sys
import duckdb
folder = sys.argv[1]
columns = "customer_id, as_of::timestamp as as_of, monetary_total::decimal(18, 2) as monetary_total, recency_days::bigint as recency_days, rfm_type"
read = {
    "csv": f"select {columns} from read_csv('{folder}/rows.csv', nullstr='')",
    "json": f"select {columns} from read_json('{folder}/rows.json')",
    "parquet": f"select {columns} from read_parquet('{folder}/rows.parquet')",
}
rows = {name: duckdb.sql(query).fetchall() for name, query in read.items()}
assert rows["csv"] == rows["parquet"], (rows["csv"][:3], rows["parquet"][:3])
assert rows["json"] == rows["parquet"], (rows["json"][:3], rows["parquet"][:3])
print(len(rows["parquet"]))
"#;
    let count: usize = python::script(compare, &[text(folder.path())]).trim().parse().unwrap();
    assert!(count > 100);
    assert_eq!(
        table.lines().filter(|line| line.starts_with("| ")).count(),
        count + 1,
        "and a line of column names"
    );
}

#[test]
fn sql_takes_a_file_standard_input_or_nothing() {
    let lake = text(small_run());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("count.sql");
    let query = "-- How many segments there are.\nselect count(distinct segment) as n\nfrom segments;\n";
    std::fs::write(&file, query).unwrap();
    let from_file = ok(&["sql", "--lake", lake, text(&file), "--format", "csv"]);
    assert!(from_file.starts_with("n\n"), "{from_file}");
    for arguments in
        [&["sql", "--lake", lake, "-", "--format", "csv"][..], &["sql", "--lake", lake, "--format", "csv"]]
    {
        let said = with_input(strata(arguments), query);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        assert_eq!(String::from_utf8_lossy(&said.stdout), from_file);
    }
    // a path with blanks, a byte-order mark, a comment that looks like an option
    let marked = folder.path().join("my count.SQL");
    std::fs::write(&marked, format!("\u{feff}{query}")).unwrap();
    for given in [text(&marked), query, "--count\nselect count(distinct segment) as n from segments"] {
        assert_eq!(ok(&["sql", "--lake", lake, given, "--format", "csv"]), from_file, "{given}");
    }
    let said =
        with_input(strata(&["sql", "--lake", lake, "-", "--format", "csv"]), &format!("\u{feff}{query}"));
    assert_eq!(String::from_utf8_lossy(&said.stdout), from_file);
    let missing = folder.path().join("no such file.sql");
    let said = fails(2, &["sql", "--lake", lake, text(&missing)]);
    assert!(said.contains("there is no file") && said.contains("no such file.sql"), "{said}");
    std::fs::write(&missing, b"select 1\n, '\xff'").unwrap();
    let said = fails(2, &["sql", "--lake", lake, text(&missing)]);
    assert!(said.contains("no such file.sql: line 2 is not UTF-8"), "{said}");
}

fn with_input(mut command: Command, input: &str) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn runs_are_listed_and_shown_by_id_and_by_epoch() {
    let lake = text(small_run());
    let list = ok(&["runs", "--lake", lake]);
    let row = list.lines().nth(3).expect("a run below the line of column names");
    let id = row.split('|').nth(1).expect("its id").trim();
    assert_eq!(id.len(), 16, "{list}");
    let shown = ok(&["runs", id, "--lake", lake]);
    assert_eq!(shown, ok(&["runs", "1", "--lake", lake]));
    for part in
        ["as of", "raw.orders", "staging.orders", "rejected by", "published", "customer_360", "audits passed"]
    {
        assert!(shown.contains(part), "`{part}` not in:\n{shown}");
    }
    let said = fails(2, &["runs", "0000", "--lake", lake]);
    assert!(said.contains("there is no run `0000`") && said.contains(id), "{said}");
}

#[test]
fn unknown_things_are_refused_with_the_way_out() {
    let lake = text(small_run());
    assert!(fails(2, &["sql", "--lake", lake, "select nothing from segments"]).contains("segment_name"));
    assert!(fails(2, &["sql", "--lake", lake, "select 1 from segmets"]).contains("segments"));
    assert!(fails(2, &["sql", "--lake", lake, "select 1 from staging.order"]).contains("`staging.orders`"));
    assert!(fails(2, &["explain", "segments.segmets"]).contains("did you mean `segments.segments`"));
    assert!(fails(2, &["run", "--lake", lake, "--project", "no-such-project"]).contains("retail"));
    assert!(fails(2, &["run", "--lake", lake, "--project", "retial"]).contains("did you mean `retail`"));
    assert!(fails(2, &["run", "--lake", lake, "--as-of", "yesterday"]).contains("2025-01-31"));
    assert!(fails(2, &["run", "--lake", lake, "--memory", "1KiB"]).contains("256MiB"));
    assert!(fails(2, &["run", "--lake", lake, "--select", "tags.rmf"]).contains("`tags.rfm`"));
    let empty = tempfile::tempdir().unwrap();
    assert!(fails(2, &["sql", "--lake", text(empty.path()), "select 1"]).contains("strata run --lake"));
}

#[test]
fn the_demo_needs_nothing_and_its_next_commands_work() {
    let folder = tempfile::tempdir().unwrap();
    let programs = folder.path().join("bin");
    std::fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(strata_bin(), programs.join("strata")).unwrap();
    let path = format!("{}:{}", text(&programs), std::env::var("PATH").unwrap());
    let shell = |line: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(folder.path()).env("PATH", &path);
        let output = command.env_remove("STRATA_LAKE").env_remove("STRATA_PROJECT").output().unwrap();
        assert!(output.status.success(), "`{line}` ended with:\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let said = shell("strata demo");
    for column in ["segment_name", "customers", "share", "spend", "deciding_features"] {
        assert!(said.contains(column), "`{column}` not in:\n{said}");
    }
    let (table, next) = said.split_once("\nnext:\n").expect("the next commands");
    assert_eq!(table.lines().filter(|line| line.starts_with("| ")).count(), 9, "eight segments:\n{table}");
    let commands: Vec<&str> = next.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(commands.len(), 3, "{next}");
    let answers: Vec<String> = commands.iter().map(|command| shell(command)).collect();
    for (answer, part) in answers.iter().zip(["too_late", "audits passed", "logical plan"]) {
        assert!(answer.contains(part), "`{part}` not in:\n{answer}");
    }
}

/// A pipe whose reader has gone, as after `| head -1`.
fn broken_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let lake = text(small_run());
    let query = "select * from customer_360";
    for arguments in [
        &["check"][..],
        &["graph"],
        &["graph", "--format", "dot"],
        &["explain", "segments.segments"],
        &["runs", "--lake", lake],
        &["runs", "1", "--lake", lake],
        &["sql", "--lake", lake, query],
        &["sql", "--lake", lake, query, "--format", "csv"],
        &["sql", "--lake", lake, query, "--format", "json"],
        &["sql", "--lake", lake, query, "--format", "parquet"],
    ] {
        let output = strata(arguments).stdout(broken_pipe()).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && !said.contains("panicked"),
            "strata {arguments:?}: {}\n{said}",
            output.status
        );
    }
    // An error keeps its exit code although nobody reads what it says.
    let status =
        strata(&["explain", "no.stage"]).stdout(broken_pipe()).stderr(broken_pipe()).status().unwrap();
    assert_eq!(status.code(), Some(2));
}
