//! Planted behaviour of a generated world, found by tags nearly as well as it could be found at best.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;

use crate::support::python::script;
use crate::support::world::{deliver, export, generate};
use crate::support::{ok, text};

/// A decision of every account for every purpose, so that a tag is known of everyone.
fn grant_everything(lake: &std::path::Path) {
    let accounts = "import duckdb, sys\nfor row in duckdb.sql(f\"select account_id from '{sys.argv[1]}/truth/accounts.parquet' \
                    order by 1\").fetchall(): print(row[0])";
    let accounts = script(accounts, &[text(lake)]);
    let decisions: Vec<String> = accounts
        .lines()
        .flat_map(|account| ["marketing", "location"].map(|purpose| (account, purpose)))
        .map(|(account, purpose)| {
            format!(
                "('{account}', '{purpose}', 'grant', 'consent', '1', timestamp '2025-12-30 00:00:00', \
                 timestamp '2025-12-30 01:00:00')"
            )
        })
        .collect();
    let columns = "account_id, purpose, status, legal_basis, policy_version, decided_at, ingested_at";
    deliver(lake, "consents", columns, &decisions);
}

#[test]
fn planted_behaviour_is_found_nearly_as_well_as_it_could_be() {
    let lake = tempfile::tempdir().unwrap();
    generate(lake.path(), &["--scale", "0.05", "--seed", "7"]);
    grant_everything(lake.path());
    ok(&["run", "--lake", text(lake.path()), "--as-of", "latest"]);
    let folder = tempfile::tempdir().unwrap();
    for relation in ["identity.account_person", "customer_360"] {
        export(lake.path(), relation, folder.path());
    }
    let found = script(include_str!("behaviours.py"), &[text(lake.path()), text(folder.path())]);
    println!("{found}");
    let found: Value = serde_json::from_str(&found).unwrap();
    for (behaviour, figures) in found.as_object().unwrap() {
        let (f1, ceiling) = (figures["f1"].as_f64().unwrap(), figures["ceiling"].as_f64().unwrap());
        assert!(f1 >= 0.95 * ceiling, "{behaviour}: {figures}");
    }
}
