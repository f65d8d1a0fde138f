//! Planted behaviour of a generated world, found by tags nearly as well as it could be found at best.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;

use crate::support::python::script;
use crate::support::world::{export, generate};
use crate::support::{ok, text};

/// A decision of every account for every purpose, so that a tag is known of everyone.
const GRANTS: &str = r#"
import duckdb, sys
lake = sys.argv[1]
duckdb.sql(f"""copy (
    select account_id, purpose, 'grant' as status, 'consent' as legal_basis, '1' as policy_version,
        timestamp '2025-12-30 00:00:00' as decided_at, timestamp '2025-12-30 01:00:00' as ingested_at
    from '{lake}/truth/accounts.parquet', (values ('marketing'), ('location')) as purposes (purpose)
    order by all
) to '{lake}/raw/consents/granted.parquet' (format parquet)""")
"#;

#[test]
fn planted_behaviour_is_found_nearly_as_well_as_it_could_be() {
    let lake = tempfile::tempdir().unwrap();
    generate(lake.path(), &["--scale", "0.05", "--seed", "7"]);
    script(GRANTS, &[text(lake.path())]);
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
