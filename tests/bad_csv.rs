//! CSV files that are not what their contract says: refused with the file, the line, the column and the remedy.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use tempfile::TempDir;

use crate::bad_input::refused_of;
use crate::support::world::rows;
use crate::support::{ok, text};

/// A lake with one CSV file of purchases for the project of a shop that has nothing else.
fn purchases(change: impl Fn(Vec<String>) -> Vec<u8>) -> TempDir {
    let mut lines = vec!["customer_id,purchased_at,amount".to_string()];
    lines.extend((0..400).map(|n| {
        format!("c{},2025-01-{:02} 10:00:{:02},{}.5", n * 7 % 80, n % 28 + 1, n % 60, n * 37 % 500)
    }));
    let lake = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(lake.path().join("raw/purchases")).unwrap();
    std::fs::write(lake.path().join("raw/purchases/shop.csv"), change(lines)).unwrap();
    lake
}

fn joined(lines: Vec<String>) -> Vec<u8> {
    (lines.join("\n") + "\n").into_bytes()
}

/// Line 5 of the file, changed.
fn fifth(mut lines: Vec<String>, change: impl Fn(&str) -> String) -> Vec<u8> {
    lines[4] = change(&lines[4]);
    joined(lines)
}

const PURCHASES: [&str; 2] = ["--project", "tests/projects/purchases"];

#[test]
fn files_that_break_their_contract() {
    let file = "raw/purchases/shop.csv";
    let refused = |lake: TempDir, words: &[&str]| {
        refused_of(lake.path(), &PURCHASES, &[&["raw.purchases", file], words].concat());
    };
    let reordered = |line: &String| {
        line.splitn(2, ',').collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(",")
    };
    let renamed = |mut lines: Vec<String>, name: &str| {
        lines[0] = lines[0].replace("amount", name);
        joined(lines)
    };
    let cut = |line: &String| line.rsplit_once(',').unwrap().0.to_string();
    refused(purchases(|lines| joined(lines.iter().map(cut).collect())), &["lacks column `amount`"]);
    refused(purchases(|lines| renamed(lines, "total")), &["lacks column `amount`", "total"]);
    refused(
        purchases(|lines| joined(lines.iter().map(reordered).collect())),
        &["order customer_id, purchased_at, amount"],
    );
    refused(
        purchases(|lines| joined(lines.iter().map(|line| line.clone() + ",x").collect())),
        &["column `x`"],
    );
    refused(
        purchases(|lines| fifth(lines, |line| line.replace(".5", ".5O"))),
        &["line 5", "`amount`", ".5O", "VARCHAR"],
    );
    refused(
        purchases(|lines| fifth(lines, |line| line.replace("2025-", "25/"))),
        &["line 5", "`purchased_at`", "`25/"],
    );
    refused(purchases(|lines| fifth(lines, |line| line.to_string() + ",1")), &["line 5", "expected 3 got 4"]);
    let latin1 = |lines| {
        let mut bytes = joined(lines);
        bytes[40] = 0xe9;
        bytes
    };
    refused(purchases(latin1), &["line 2", "UTF-8"]);
}

#[test]
fn files_without_a_row() {
    for kept in [0, 1] {
        let lake = purchases(|lines| joined(lines[..kept].to_vec()));
        refused_of(lake.path(), &PURCHASES, &["raw.purchases", "hold no row", "may_be_empty"]);
    }
}

#[test]
fn files_as_spreadsheets_write_them() {
    let lake = purchases(|mut lines| {
        lines[0] = "\u{feff}Customer ID,\"Purchased At\",Amount".into();
        (lines.join("\r\n") + "\r\n").into_bytes()
    });
    ok(&[&["run", "--lake", text(lake.path())], &PURCHASES[..]].concat());
    let found = rows(lake.path(), "select count(*) as customers from customer_360");
    assert_eq!(found[0]["customers"], 80);
}
