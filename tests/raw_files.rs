//! Raw files are known by their content: a corrected value is noticed though no footer tells, and CSV files with line
//! breaks inside quotes hold the same rows for any number of threads.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use crate::support::project::{tiny, tiny_file, write};
use crate::support::python::script;
use crate::support::world::{last_run, rows};
use crate::support::{fails, ok, run, text};

/// The project of these tests has no settings.
const SETTINGS: (&str, &str) = ("project.toml", "name = \"tiny\"\ntime_zone = \"UTC\"\n");

/// Amounts as a Parquet file.
fn parquet(amounts: [f64; 4]) -> Vec<u8> {
    let columns: [(&str, ArrayRef); 2] = [
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3, 4]))),
        ("amount", Arc::new(Float64Array::from(amounts.to_vec()))),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let plain =
        WriterProperties::builder().set_compression(Compression::UNCOMPRESSED).set_dictionary_enabled(false);
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(plain.build())).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    bytes
}

fn footer(file: &[u8]) -> &[u8] {
    let trailer = file.len() - 8;
    let length = u32::from_le_bytes(file[trailer..trailer + 4].try_into().unwrap());
    &file[trailer - length as usize..]
}

#[test]
fn a_value_corrected_between_the_least_and_the_greatest_is_published_though_the_footer_is_the_same() {
    let project = tiny(&[
        SETTINGS,
        (
            "raw/sales.sql",
            "-- What was sold.\n-- grain: id\ncreate external table raw.sales (id bigint, amount double)\n\
             stored as parquet\nlocation 'raw/sales/'\n",
        ),
        (
            "staging/sales.sql",
            "-- One row per sale.\n-- grain: id\n-- store: table\n\
             select id, cast(amount as decimal(18, 2)) as amount from raw.sales\n",
        ),
        (
            "segments/spend.sql",
            "-- What was spent.\n-- grain: as_of\n-- store: table\n\
             select $as_of as as_of, sum(amount) as amount from staging.sales\n",
        ),
    ]);
    let (first, corrected) = (parquet([1.0, 5.0, 7.0, 9.0]), parquet([1.0, 5.0, 6.0, 9.0]));
    assert_eq!(footer(&first), footer(&corrected));
    assert_ne!(first, corrected);

    let lake = tempfile::tempdir().unwrap();
    let file = lake.path().join("raw/sales/a.parquet");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let publish = |content: &[u8]| {
        std::fs::write(&file, content).unwrap();
        ok(&["run", "--lake", text(lake.path()), "--project", text(project.path()), "--as-of", "2025-02-01"]);
        let computed = last_run(lake.path()).stages.values().map(|stage| stage.computed).sum::<usize>();
        (
            rows(lake.path(), "select cast(amount as bigint) as amount from spend")[0]["amount"].clone(),
            computed,
        )
    };
    assert_eq!(publish(&first), (22.into(), 2));
    assert_eq!(publish(&first), (22.into(), 0));
    assert_eq!(publish(&corrected), (21.into(), 2));
    // the content of the first run again: its results are there
    assert_eq!(publish(&first), (22.into(), 0));
}

/// Sales whose notes hold lines that look like sales.
fn notes(sales: usize) -> String {
    let mut csv = "id,amount,note\n".to_string();
    for id in 0..sales {
        let mut note = format!("said \"\"{id}\"\",\r\n");
        for line in 0..40 {
            note += &format!("{},1000.00,no sale\n", 1_000_000 + id * 40 + line);
        }
        csv += &format!("{id},{}.25,\"{note}\"\n", id % 90);
    }
    csv
}

const NOTED: &str = "-- What was sold, with a note.\n-- grain: id\n\
    create external table raw.sales (id bigint, amount double, note varchar)\nstored as csv\nlocation 'raw/sales/'\n";

/// The project of sales with notes, with options of their files.
fn noted(options: &str) -> tempfile::TempDir {
    tiny(&[
        SETTINGS,
        ("raw/sales.sql", &format!("{NOTED}{options}\n")),
        (
            "staging/sales.sql",
            "-- One row per sale.\n-- grain: id\n-- store: table\n\
             select id, cast(amount as decimal(18, 2)) as amount, length(note) as letters from raw.sales\n",
        ),
        (
            "segments/spend.sql",
            "-- What was sold.\n-- grain: as_of\n-- store: table\n\
             select $as_of as as_of, count(*) as sales, sum(amount) as amount, sum(letters) as letters \
             from staging.sales\n",
        ),
    ])
}

/// What a run with so many threads finds in a file.
fn found(project: &Path, csv: &str, threads: &str) -> serde_json::Value {
    let lake = tempfile::tempdir().unwrap();
    write(lake.path(), &[("raw/sales/a.csv", csv), ("raw/sales/b.csv", "id,amount,note\n-1,1,one\n")]);
    let args = ["--project", text(project), "--as-of", "2025-02-01", "--threads", threads];
    ok(&[&["run", "--lake", text(lake.path())], &args[..]].concat());
    let query =
        "select sales, cast(amount * 100 as bigint) as cents, cast(letters as bigint) as letters from spend";
    rows(lake.path(), query).remove(0)
}

#[test]
fn line_breaks_inside_quotes_invent_no_row_for_any_number_of_threads() {
    let csv = notes(4_000);
    assert!(csv.len() > 3 << 20, "{} bytes", csv.len());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &csv).unwrap();
    let said = script(
        "import csv, json, sys\n\
         sales = list(csv.DictReader(open(sys.argv[1], newline='', encoding='utf-8')))\n\
         print(json.dumps({'sales': len(sales) + 1, 'cents': 100 + sum(round(float(s['amount']) * 100) for s in sales),\n\
         'letters': 3 + sum(len(s['note']) for s in sales)}))",
        &[text(file.path())],
    );
    let expected: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(expected["sales"], 4_001);
    let duckdb = script(
        "import sys\n\
         print(duckdb.sql(f\"select count(*) + 1 from read_csv('{sys.argv[1]}', quote='\\\"', escape='\\\"')\").fetchall()[0][0])",
        &[text(file.path())],
    );
    assert_eq!(duckdb.trim(), "4001");
    for options in ["", "options ('format.newlines_in_values' 'true')"] {
        let project = noted(options);
        for threads in ["1", "2", "7"] {
            assert_eq!(found(project.path(), &csv, threads), expected, "{threads} threads, {options}");
        }
    }
}

#[test]
fn a_file_that_breaks_the_promise_of_one_line_a_record_is_refused() {
    let project = noted("options ('format.newlines_in_values' 'false')");
    let lake = tempfile::tempdir().unwrap();
    write(lake.path(), &[("raw/sales/a.csv", "id,amount,note\n1,1,a\n2,1,\"b\nc\"\n")]);
    let args = ["--project", text(project.path()), "--as-of", "2025-02-01"];
    let said = fails(3, &[&["run", "--lake", text(lake.path())], &args[..]].concat());
    for word in ["raw/sales/a.csv", "record 3", "newlines_in_values", "help: "] {
        assert!(said.contains(word), "no `{word}` in:\n{said}");
    }
}

#[test]
fn a_value_that_cannot_be_read_is_found_far_into_a_large_file() {
    let project = tiny(&[]);
    assert!(tiny_file("raw/sales.sql").contains("stored as csv"));
    let lake = tempfile::tempdir().unwrap();
    let mut csv = "id,customer,amount,pieces,sold_at\n".to_string();
    for id in 2..60_000 {
        let amount = if id == 54_321 { "ten" } else { "10.5" };
        csv += &format!("{id},ann,{amount},1,2025-01-01T10:00:00\n");
    }
    write(lake.path(), &[("raw/sales/a.csv", &csv)]);
    let args = ["--project", text(project.path()), "--as-of", "2025-02-01"];
    let said = fails(3, &[&["run", "--lake", text(lake.path())], &args[..]].concat());
    for word in ["raw/sales/a.csv", "line 54321", "`amount`", "`ten`", "help: "] {
        assert!(said.contains(word), "no `{word}` in:\n{said}");
    }
}

const FROM_PARQUET: &str = "-- What was sold.\n-- grain: id\ncreate external table raw.sales (id bigint, amount double)\n\
    stored as parquet\nlocation 'raw/sales/'\n";

const FROM_CSV: &str = "-- What was sold.\n-- grain: id\ncreate external table raw.sales (id bigint, amount double)\n\
    stored as csv\nlocation 'raw/sales/'\n";

/// A project that counts the rows of `raw.sales`.
fn counting(contract: &str) -> tempfile::TempDir {
    tiny(&[
        SETTINGS,
        ("raw/sales.sql", contract),
        (
            "staging/sales.sql",
            "-- One row per sale.\n-- grain: id\n-- store: table\n\
             select id, cast(amount as decimal(18, 2)) as amount from raw.sales\n",
        ),
        (
            "segments/spend.sql",
            "-- What was sold.\n-- grain: as_of\n-- store: table\n\
             select $as_of as as_of, count(*) as sales, sum(amount) as amount from staging.sales\n",
        ),
    ])
}

/// Hidden folders, backups and unfinished files are no files of a source; a run says what it left out.
#[test]
fn copies_and_hidden_files_are_left_out_and_named() {
    let sales = parquet([1.0, 5.0, 7.0, 9.0]);
    let csv = b"id,amount\n1,2\n".as_slice();
    let parquet_files = (
        "part-00000 b.PARQUET c.parq deep/er/d.parquet",
        "_temporary/0/e.parquet .hidden/f.parquet g.parquet.bak h.parquet~ _SUCCESS i.json",
    );
    let csv_files = (
        "a b.CSV c.txt deep/er/d.csv",
        ".ipynb_checkpoints/e-checkpoint.csv f.csv.bak g.csv.tmp h.csv.crdownload i.parquet",
    );
    for (contract, content, (read, left_out)) in
        [(FROM_PARQUET, sales.as_slice(), parquet_files), (FROM_CSV, csv, csv_files)]
    {
        let (read, left_out): (Vec<&str>, Vec<&str>) =
            (read.split(' ').collect(), left_out.split(' ').collect());
        let (project, lake) = (counting(contract), tempfile::tempdir().unwrap());
        for name in read.iter().chain(&left_out) {
            let path = lake.path().join("raw/sales").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let args = ["--lake", text(lake.path()), "--project", text(project.path()), "--as-of", "2025-02-01"];
        let output = run(&[&["run"], &args[..]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let of_one = if content == csv { 1 } else { 4 };
        let found = rows(lake.path(), "select sales from spend");
        assert_eq!(found[0]["sales"], read.len() * of_one, "{said}");
        let line = said.lines().find(|line| line.contains("left out")).unwrap_or_else(|| panic!("{said}"));
        assert!(
            line.contains("`raw.sales`") && line.contains("hidden") && line.contains("a copy or unfinished")
        );
        assert!(line.contains(left_out[left_out.len() - 1]), "{line}");
        assert_eq!(said.matches("left out").count(), 1, "{said}");

        // with nothing but such files there is no file, and the reason is told
        for name in &read {
            std::fs::remove_file(lake.path().join("raw/sales").join(name)).unwrap();
        }
        let said = fails(3, &[&["run"], &args[..]].concat());
        assert!(said.contains("no files") && said.contains("left out") && said.contains("hidden"), "{said}");
    }
}

/// Old files of a Delta or Iceberg table stay in its folder, so that its files alone are not its rows.
#[test]
fn folders_of_table_formats_are_refused() {
    let project = counting(FROM_PARQUET);
    for (format, log) in
        [("Delta", "_delta_log/00000000000000000000.json"), ("Iceberg", "metadata/00000-ab.metadata.json")]
    {
        let lake = tempfile::tempdir().unwrap();
        for (name, content) in [("data/a.parquet", parquet([1.0, 2.0, 3.0, 4.0])), (log, b"{}".to_vec())] {
            let path = lake.path().join("raw/sales").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let args = ["--lake", text(lake.path()), "--project", text(project.path()), "--as-of", "2025-02-01"];
        let said = fails(3, &[&["run"], &args[..]].concat());
        assert!(
            said.contains(format) && said.contains(log) && said.contains("help: write the rows"),
            "{said}"
        );
    }
}
