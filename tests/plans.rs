//! The plan of every stage and audit of the built-in project as a cluster gets it: pinned in a file, so that an exchange
//! or a sort that comes or goes is seen; and every plan can travel to an executor.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fmt::Write;

use datafusion::physical_plan::displayable;
use strata::engine::{Engine, EngineOptions};

use crate::permutation::Finished;
use crate::support::repository;

/// `STRATA_UPDATE=1` writes the plans anew.
#[tokio::test(flavor = "multi_thread")]
async fn stages_and_audits_have_the_distributed_plans_that_are_written_down() {
    let finished = Finished::new().await;
    let options = EngineOptions { threads: 4, memory_bytes: 4 << 30, ..EngineOptions::default() };
    let engine = Engine::distributed(&finished.lake, options).unwrap();
    let mut found = String::new();
    let stages = finished.project.stages.iter().map(|stage| (stage.name.clone(), stage.by_day));
    let audits = finished.project.audits.iter().map(|audit| (format!("audits.{}", audit.name), false));
    for (name, by_day) in stages.chain(audits) {
        let inputs = finished.project.stored_inputs(&name);
        let days = if by_day { Some(finished.bytes_of_days(&inputs).await) } else { None };
        let mut tables = BTreeMap::new();
        for relation in inputs {
            tables.insert(relation.clone(), finished.stored(&relation, days.as_ref()).await);
        }
        let provide = |relation: &_| Ok(tables.get(relation).cloned().expect("a stored input"));
        let logical = finished.project.plan(engine.state(), &name, &finished.params, &provide).unwrap();
        let sent = engine.physical_plan(&logical).await.unwrap();
        let shown = displayable(sent.as_ref()).indent(false).to_string();
        let arrived = engine.travelled(sent.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(arrived.schema(), sent.schema(), "{name}");
        writeln!(found, "== {name}\n{}", numbered_anew(&without_files(&shown))).unwrap();
    }
    // it changes with every change of the program
    let run_id = finished.params["run_id"].to_string();
    let found = found.replace(&run_id, "RUN");
    let file = repository().join("tests/plans.txt");
    if std::env::var_os("STRATA_UPDATE").is_some() {
        std::fs::write(&file, &found).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written.lines().map(in_any_order).eq(found.lines().map(in_any_order)),
        "plans differ from tests/plans.txt; when that is meant, run this test with STRATA_UPDATE=1:\n{}",
        first_difference(&written, &found)
    );
}

/// A line of a plan whatever the order of its columns: the optimizer numbers expressions of join keys by chance.
fn in_any_order(line: &str) -> Vec<String> {
    let mut parts: Vec<String> = line
        .split([',', '[', ']', '(', ')'])
        .map(|part| part.split('@').map(|piece| piece.trim_start_matches(char::is_numeric)).collect())
        .map(|part: String| part.trim().to_string())
        .collect();
    parts.sort();
    parts
}

/// The plan without names of files, of which only the number of groups stays.
fn without_files(plan: &str) -> String {
    let mut rest = plan;
    let mut text = String::new();
    while let Some((before, files)) = rest.split_once("file_groups={") {
        let (groups, after) = files.split_once("]}").expect("the groups end");
        let number = groups.split_whitespace().next().expect("a number of groups");
        write!(text, "{before}file_groups={number}").unwrap();
        rest = after;
    }
    text + rest
}

/// Common expressions are numbered over all plans of a session: here each plan has its own numbers.
fn numbered_anew(plan: &str) -> String {
    const NAME: &str = "__common_expr_";
    let mut numbers: Vec<&str> = Vec::new();
    let mut parts = plan.split(NAME);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let (number, rest) = part.split_at(end);
        let place = numbers.iter().position(|known| *known == number).unwrap_or_else(|| {
            numbers.push(number);
            numbers.len() - 1
        });
        write!(text, "{NAME}{}{rest}", place + 1).unwrap();
    }
    text
}

fn first_difference(written: &str, found: &str) -> String {
    let pair = written.lines().zip(found.lines()).find(|(written, found)| written != found);
    let (written, found) = pair.unwrap_or((written, found));
    format!("written: {written}\nfound:   {found}")
}
