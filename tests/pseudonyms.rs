//! The key of pseudonyms comes from outside the project, is found nowhere, and cannot change by mistake.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use crate::support::project::{tiny, tiny_lake};
use crate::support::world::{files, last_run, rows, small_lake};
use crate::support::{fails, ok, repository, strata, text};

const KEY: &str = "correct horse battery staple";
const OTHER: &str = "another key, long enough too";

const PERSONS: &str = "-- The customer behind each account.
-- grain: account_id
-- store: table
select
    customer as account_id,
    pseudonym(customer, $pseudonym_key) as customer_id
from staging.sales
where customer is not null
group by customer
";

const SPEND: &str = "-- What each customer spent.
-- grain: as_of, customer_id
-- store: table
-- publish: as_of
select
    $as_of as as_of,
    p.customer_id,
    sum(s.amount) as amount
from staging.sales as s
inner join identity.persons as p on s.customer = p.account_id
group by p.customer_id
";

const ALIASES: &str = "-- Which customer id became which.
-- grain: as_of, former_id
-- store: table
-- publish: as_of
select
    $as_of as as_of,
    f.customer_id as former_id,
    p.customer_id
from former.persons as f
inner join identity.persons as p on f.account_id = p.account_id
where f.customer_id <> p.customer_id
";

/// A project whose customers have pseudonyms.
fn project() -> TempDir {
    tiny(&[
        ("identity/persons.sql", PERSONS),
        ("segments/spend.sql", SPEND),
        ("segments/aliases.sql", ALIASES),
    ])
}

/// Runs a project with this key in the environment, or none.
fn run(project: &Path, lake: &Path, key: Option<&str>, more: &[&str]) -> Output {
    let args = ["run", "--project", text(project), "--lake", text(lake)];
    let mut command = strata(&[&args[..], more].concat());
    match key {
        Some(key) => command.env("STRATA_PSEUDONYM_KEY", key),
        None => command.env_remove("STRATA_PSEUDONYM_KEY"),
    };
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn done(output: Output) -> String {
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

fn refused(output: Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    said(&output)
}

#[test]
fn a_key_comes_from_the_environment_a_file_or_a_command() {
    let (project, lake) = (project(), tiny_lake());
    let file = project.path().join("key.txt");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    let ids = |key: Option<&str>, more: &[&str]| {
        let lake = tiny_lake();
        done(run(project.path(), lake.path(), key, more));
        let spent = rows(lake.path(), "select customer_id from spend order by customer_id");
        (last_run(lake.path()).pseudonyms.unwrap().key, spent)
    };
    let of_environment = ids(Some(KEY), &[]);
    assert_eq!(ids(None, &["--pseudonym-key-file", text(&file)]), of_environment);
    assert_eq!(ids(None, &["--pseudonym-key-command", &format!("cat '{}'", text(&file))]), of_environment);
    let other = ids(Some(OTHER), &[]);
    assert!(other.0 != of_environment.0 && other.1 != of_environment.1);
    // options go before the environment
    assert_eq!(ids(Some(OTHER), &["--pseudonym-key-file", text(&file)]), of_environment);
    for (key, more) in [
        (None, vec![]),
        (Some(""), vec![]),
        (Some("fifteen bytes !"), vec![]),
        (Some("change-me"), vec![]),
        (None, vec!["--pseudonym-key-file", "/nowhere/key"]),
        (None, vec!["--pseudonym-key-command", "exit 3"]),
        (None, vec!["--pseudonym-key-command", "true"]),
        (None, vec!["--pseudonym-key-command", "true", "--pseudonym-key-file", "x"]),
    ] {
        let said = refused(run(project.path(), lake.path(), key, &more));
        assert!(!said.contains("fifteen"), "{said}");
        assert!(files(lake.path()).len() == 1, "nothing but the raw file is there after {more:?}");
    }
    let said = refused(run(project.path(), lake.path(), None, &[]));
    for way in ["STRATA_PSEUDONYM_KEY", "--pseudonym-key-file", "--pseudonym-key-command"] {
        assert!(said.contains(way), "{said}");
    }
}

#[test]
fn a_project_without_pseudonyms_needs_no_key() {
    let (project, lake) = (tiny(&[]), tiny_lake());
    let first = done(run(project.path(), lake.path(), None, &[]));
    assert_eq!(last_run(lake.path()).pseudonyms, None);
    let again = done(run(project.path(), lake.path(), Some(KEY), &["--dry-run"]));
    let id = first.split("run ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(again.contains(id), "a key that is not used changes nothing:\n{first}\n{again}");
}

#[test]
fn a_key_in_the_project_is_refused_and_not_repeated() {
    for line in [
        "pseudonym_key = \"hidden words\"",
        "pseudonym_salt = \"hidden words\"",
        "'pseudonym_key'='hidden words'",
    ] {
        let project = project();
        let file = project.path().join("project.toml");
        let toml = std::fs::read_to_string(&file).unwrap();
        for text_of in [format!("{toml}{line}\n"), format!("{line}\n{toml}")] {
            std::fs::write(&file, &text_of).unwrap();
            let number = text_of.lines().position(|found| found == line).unwrap() + 1;
            let said = fails(2, &["check", "--project", text(project.path())]);
            assert!(said.contains(&format!("project.toml:{number}")), "{said}");
            assert!(said.contains("STRATA_PSEUDONYM_KEY") && !said.contains("hidden"), "{said}");
        }
    }
}

#[test]
fn the_key_is_found_nowhere_and_another_one_changes_ids_only_when_asked() {
    let (project, lake) = (project(), tiny_lake());
    let (project, lake) = (project.path(), lake.path());
    let mut all = done(run(project, lake, Some(KEY), &["--verbose"]));
    all += &ok(&["explain", "identity.persons", "--project", text(project)]);
    all += &ok(&["runs", "--lake", text(lake)]);
    let shown = ok(&["runs", "1", "--lake", text(lake)]);
    let fingerprint = last_run(lake).pseudonyms.unwrap().key;
    assert!(shown.contains(&fingerprint), "{shown}");
    let first = rows(lake, "select customer_id from spend order by customer_id");
    assert!(rows(lake, "select * from aliases").is_empty());

    let refusal = refused(run(project, lake, Some(OTHER), &[]));
    assert!(refusal.contains("--new-pseudonyms") && refusal.contains(&fingerprint), "{refusal}");
    assert_eq!(rows(lake, "select customer_id from spend order by customer_id"), first);

    all += &done(run(project, lake, Some(OTHER), &["--new-pseudonyms", "--verbose"]));
    let named = "select former_id, customer_id from aliases order by former_id";
    let aliases = rows(lake, named);
    let second = rows(lake, "select customer_id from spend order by customer_id");
    let column = |name: &str| {
        let mut ids: Vec<_> = aliases.iter().map(|row| row[name].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let ids = |rows: &[serde_json::Value]| -> Vec<String> {
        rows.iter().map(|row| row["customer_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((column("former_id"), column("customer_id")), (ids(&first), ids(&second)));
    assert!(ids(&first).iter().all(|id| !ids(&second).contains(id)));
    // the flag is for once; a run for the same instant still knows who was who
    done(run(project, lake, Some(OTHER), &[]));
    assert_eq!(rows(lake, named), aliases);
    done(run(project, lake, Some(OTHER), &["--full-refresh"]));
    assert_eq!(rows(lake, named), aliases);
    // a key back and forth keeps all that the instant was called by
    done(run(project, lake, Some(KEY), &["--new-pseudonyms"]));
    let back = rows(lake, named);
    assert_eq!(back.len(), aliases.len(), "{back:?}");
    assert!(back.iter().all(|row| ids(&second).contains(&row["former_id"].as_str().unwrap().to_owned())));
    refused(run(project, lake, Some(OTHER), &[]));

    for key in [KEY, OTHER] {
        assert!(!all.contains(key), "the key is told:\n{all}");
        for file in files(lake) {
            let bytes = std::fs::read(&file).unwrap();
            let holds = bytes.windows(key.len()).any(|window| window == key.as_bytes());
            assert!(!holds, "{} holds the key", file.display());
        }
    }
}

#[test]
fn every_customer_of_the_built_in_project_has_an_alias_after_a_new_key() {
    let (retail, lake) = (repository().join("sql/retail"), small_lake());
    let (retail, lake) = (retail.as_path(), lake.path());
    done(run(retail, lake, Some(KEY), &[]));
    let customers = "select count(*) as n from customer_360";
    let before = rows(lake, customers);
    assert!(rows(lake, "select * from person_aliases").is_empty());
    let former = rows(lake, "select distinct customer_id as id from person_registry order by id");
    refused(run(retail, lake, Some(OTHER), &[]));
    done(run(retail, lake, Some(OTHER), &["--new-pseudonyms"]));
    assert_eq!(rows(lake, customers), before);
    let renamed = "select distinct former_id as id from person_aliases where change = 'renamed' order by id";
    assert_eq!(rows(lake, renamed), former);
    let missing = "select count(*) as n from person_registry as r
        left join person_aliases as a on r.customer_id = a.customer_id where a.customer_id is null";
    assert_eq!(rows(lake, missing)[0]["n"], 0);
}
