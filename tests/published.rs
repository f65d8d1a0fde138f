//! Published tables are for others: any Delta reader opens them, and they name nobody.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::support::world::{EMPTY_AT_FIRST, PUBLISHED, rows, small_run};
use crate::support::{ok, python, text};

#[test]
fn deltalake_reads_the_rows_that_sql_gives() {
    let lake = small_run();
    let answers = tempfile::tempdir().expect("a temporary folder");
    let tables: Vec<&str> =
        PUBLISHED.iter().map(|(table, _)| *table).chain(["runs", "current_runs"]).collect();
    for table in &tables {
        let out = answers.path().join(format!("{table}.parquet"));
        let query = format!("select * from {table}");
        ok(&["sql", "--lake", text(lake), "--format", "parquet", "--out", text(&out), &query]);
    }
    let published = lake.join("published");
    let folders = std::fs::read_dir(&published).expect("the published tables").flatten();
    let mut found: Vec<String> =
        folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    found.sort();
    let mut listed = tables.clone();
    listed.sort_unstable();
    assert_eq!(found, listed, "every published table is compared");

    let said =
        python::script(COMPARE, &[&[text(&published), text(answers.path())], tables.as_slice()].concat());
    let compared: Vec<&str> = said.lines().collect();
    let expected = tables.iter().map(|table| {
        let count = rows(lake, &format!("select count(*) as rows from {table}"));
        format!("{table} {}", count[0]["rows"])
    });
    assert_eq!(compared, expected.collect::<Vec<_>>());
    let empty: Vec<&str> = compared.iter().filter_map(|line| line.strip_suffix(" 0")).collect();
    assert_eq!(empty, EMPTY_AT_FIRST);
}

/// Compares columns, types and rows, in any order, of each Delta table with the answer of `strata sql`.
const COMPARE: &str = r#"
import sys
from collections import Counter
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

published, answers, *tables = sys.argv[1:]
def plain(kind):
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(plain(kind.value_type))
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind
def columns(schema):
    return {field.name: plain(field.type) for field in schema}
def counted(table, names):
    return Counter(map(repr, zip(*(table.column(name).to_pylist() for name in names))))
for table in tables:
    delta = pa.table(DeltaTable(f"{published}/{table}").to_pyarrow_table())
    answer = pq.read_table(f"{answers}/{table}.parquet")
    assert columns(delta.schema) == columns(answer.schema), (table, delta.schema, answer.schema)
    names = sorted(delta.schema.names)
    left, right = counted(delta, names), counted(answer, names)
    assert left == right, (table, list((left - right).items())[:2], list((right - left).items())[:2])
    print(table, delta.num_rows)
"#;

#[test]
fn no_person_is_named_in_any_published_file() {
    let lake = small_run();
    let normalised = tempfile::tempdir().expect("a temporary folder");
    let normalised = normalised.path().join("customers.parquet");
    let query = "select account_id, full_name, email, phone from staging.customers";
    ok(&["sql", "--lake", text(lake), "--format", "parquet", "--out", text(&normalised), query]);
    let said = python::script(SEARCH, &[text(lake), text(&normalised)]);
    let found: Vec<(&str, u64, u64, u64)> = said
        .lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            let mut next = || words.next().expect("kind, searched, staged, published");
            let kind = next();
            (kind, next().parse().unwrap(), next().parse().unwrap(), next().parse().unwrap())
        })
        .collect();
    let kinds: Vec<&str> = found.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(kinds, ["account_id", "address", "email", "full_name", "phone"]);
    for (kind, searched, staged, published) in found {
        assert!(searched > 300, "only {searched} values of {kind} were searched for");
        // The control: the same search finds them where they belong. Addresses are dropped by staging, so they are
        // found in the raw files only.
        assert!(staged > searched / 4, "the search finds only {staged} of {searched} values of {kind}");
        assert_eq!(published, 0, "values of {kind} in published files");
    }
}

/// Searches all decoded text, file names and logs below `published/` for every raw and normalised value.
///
/// Values of less than four characters are left out, unless they are not Latin: no published word is Chinese. Short
/// digit strings occur in hashes by chance and are compared as whole values.
const SEARCH: &str = r#"
import re
import sys
import unicodedata
from pathlib import Path
import pyarrow as pa
import pyarrow.parquet as pq

lake, normalised = map(Path, sys.argv[1:])

def texts_of(column, found):
    if pa.types.is_struct(column.type):
        for index in range(column.type.num_fields):
            texts_of(column.field(index), found)
    elif pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_map(column.type):
        texts_of(column.flatten() if not pa.types.is_map(column.type) else column.items, found)
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        found.update(value for value in column.unique().to_pylist() if value is not None)
    elif pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        found.update(value.decode("utf-8", "replace") for value in column.unique().to_pylist() if value is not None)

def texts_below(folder):
    found = set()
    for path in sorted(folder.rglob("*")):
        found.add(str(path.relative_to(folder)))
        if path.suffix == ".parquet":
            parquet = pq.ParquetFile(path)
            found.update(f"{k} {v}" for k, v in (parquet.metadata.metadata or {}).items())
            for column in parquet.read().columns:
                for chunk in column.chunks:
                    texts_of(chunk.dictionary_decode() if pa.types.is_dictionary(chunk.type) else chunk, found)
        elif path.is_file():
            found.add(path.read_text("utf-8", "replace"))
    return found

raw = pa.concat_tables([pq.read_table(path) for path in sorted((lake / "raw/crm_customers").rglob("*.parquet"))])
staged = pq.read_table(normalised)
values = {}
for kind in ("account_id", "address", "email", "full_name", "phone"):
    wanted = values.setdefault(kind, set())
    for table in (raw, staged):
        if kind in table.schema.names:
            wanted.update(value for value in table.column(kind).to_pylist() if value)
    for value in list(wanted):
        folded = unicodedata.normalize("NFKC", value)
        wanted.update((folded, folded.lower(), folded.strip(), re.sub(r"\s+", " ", folded).strip().lower()))
        if kind == "phone":
            wanted.add(re.sub(r"\D", "", folded))
        if kind == "email":
            wanted.add(folded.lower().split("@")[0])
    values[kind] = {v for v in wanted if len(v.strip()) >= 4 or (len(v.strip()) >= 2 and not v.isascii())}

def hits(kind, texts):
    everything = "\x00" + "\x00".join(sorted(texts)) + "\x00"
    lower = everything.lower()
    def found(value):
        if value.isdigit() and len(value) < 9 or kind == "email" and "@" not in value:
            return f"\x00{value}\x00" in everything or f"\x00{value}\x00" in lower
        return value in everything or value in lower
    return sorted(value for value in values[kind] if found(value))

published = texts_below(lake / "published")
controls = {kind: texts_below(lake / "stages/staging") for kind in ("account_id", "email", "full_name", "phone")}
controls["address"] = texts_below(lake / "raw/crm_customers")
for kind in sorted(values):
    named = hits(kind, published)
    assert not named, (kind, named[:10])
    print(kind, len(values[kind]), len(hits(kind, controls[kind])), len(named))
"#;
