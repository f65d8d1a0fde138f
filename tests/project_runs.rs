//! Tiny projects: looked at without data, run to a fixpoint, stopped by an audit.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use crate::support::project::{tiny, tiny_lake, write};
use crate::support::world::{files, rows};
use crate::support::{fails, ok, run, text};

/// Steps that climb by one a round, to the number of pieces: 2, 5 and 1.
pub const STEPS: &str = "-- Numbers that climb to the number of pieces.\n\
    -- grain: id\n-- store: table\n-- kind: fixpoint\n-- start: staging.zero\n-- max_rounds: 6\n\
    select\n    p.id,\n    cast(least(p.step + 1, s.pieces) as int) as step\n\
    from $previous as p\ninner join staging.sales as s on p.id = s.id\n";

pub const ZERO: &str =
    "-- Where steps begin.\n-- store: view\nselect id, cast(0 as int) as step from staging.sales\n";

#[test]
fn the_project_can_be_looked_at_without_data() {
    let project = tiny(&[("identity/steps.sql", STEPS), ("staging/zero.sql", ZERO)]);
    let project = text(project.path());
    assert_eq!(
        ok(&["check", "--project", project]),
        "project tiny: 1 sources, 4 stages, 0 audits, no errors\n"
    );
    let graph = ok(&["graph", "--project", project]);
    assert!(graph.contains("identity.steps (fixpoint) <- staging.sales, staging.zero"), "{graph}");
    assert!(graph.contains("segments.spend (table, published) <- staging.sales"), "{graph}");
    let dot = ok(&["graph", "--format", "dot", "--project", project]);
    assert!(dot.starts_with("digraph strata {") && dot.trim_end().ends_with('}'), "{dot}");
    assert!(dot.contains("\"raw.sales\" -> \"staging.sales\";"), "{dot}");
    let mermaid = ok(&["graph", "--format", "mermaid", "--project", project]);
    assert!(
        mermaid.starts_with("flowchart LR\n") && mermaid.contains("staging.zero --> identity.steps\n"),
        "{mermaid}"
    );
    let steps = ok(&["explain", "identity.steps", "--project", project]);
    for part in ["fixpoint, at most 6 rounds", "its previous round", "step", "logical plan", "physical plan"]
    {
        assert!(steps.contains(part), "`{part}` not in:\n{steps}");
    }
    let spend = ok(&["explain", "segments.spend", "--project", project]);
    for part in
        ["What each customer spent.", "$as_of", "staging.sales", "Decimal128(28, 2)", "sum(amount) as amount"]
    {
        assert!(spend.contains(part), "`{part}` not in:\n{spend}");
    }
    for stage in
        ["models.behaviour_model", "facts.daily_activity", "segments.segments", "identity.account_person"]
    {
        let said = ok(&["explain", stage]);
        assert!(said.starts_with(stage) && said.contains("physical plan"), "{said}");
    }
}

#[test]
fn a_fixpoint_ends_when_no_row_changes_and_fails_when_rounds_run_out() {
    for start in [ZERO.to_string(), ZERO.replace("-- store: view", "-- grain: id\n-- store: table")] {
        let lake = tiny_lake();
        let project = tiny(&[("identity/steps.sql", STEPS), ("staging/zero.sql", &start)]);
        // Five rounds climb, the sixth finds that nothing changes.
        ok(&["run", "--project", text(project.path()), "--lake", text(lake.path())]);
        let steps = rows(lake.path(), "select step from identity.steps order by id");
        let steps: Vec<i64> = steps.iter().map(|row| row["step"].as_i64().unwrap()).collect();
        assert_eq!(steps, [2, 5, 1]);
    }
    let lake = tiny_lake();
    let short = STEPS.replace("max_rounds: 6", "max_rounds: 5");
    let project = tiny(&[("identity/steps.sql", &short), ("staging/zero.sql", ZERO)]);
    let said = fails(4, &["run", "--project", text(project.path()), "--lake", text(lake.path())]);
    assert!(
        said.contains("identity.steps: rows still change after 5 rounds")
            && said.contains("raise `max_rounds`"),
        "{said}"
    );
    assert_eq!(log_entries(lake.path()), Vec::<PathBuf>::new(), "published tables");
}

#[test]
fn a_failed_audit_publishes_nothing_and_leaves_what_was_there() {
    let lake = tiny_lake();
    let audit =
        "-- Nobody spends more than 10.\nselect customer, amount from segments.spend where amount > 10\n";
    let project = tiny(&[("audits/no_big_spender.sql", audit)]);
    let arguments = ["run", "--project", text(project.path()), "--lake", text(lake.path())];
    let said = fails(4, &arguments);
    for part in [
        "audit no_big_spender failed",
        "Nobody spends more than 10.",
        "ann",
        "11.50",
        "nothing was published",
    ] {
        assert!(said.contains(part), "`{part}` not in:\n{said}");
    }
    assert_eq!(log_entries(lake.path()), Vec::<PathBuf>::new(), "published tables");
    assert_eq!(run(&["sql", "--lake", text(lake.path()), "select * from spend"]).status.code(), Some(2));

    write(project.path(), &[("audits/no_big_spender.sql", &audit.replace("> 10", "> 20"))]);
    ok(&arguments);
    let before = rows(lake.path(), "select customer, as_of, amount from spend order by customer");
    assert_eq!(before.len(), 2);
    let versions = log_entries(lake.path());
    assert!(!versions.is_empty());
    write(
        lake.path(),
        &[("raw/sales/b.csv", "id,customer,amount,pieces,sold_at\n4,ann,90.00,1,2025-01-04T10:00:00\n")],
    );
    fails(4, &arguments);
    assert_eq!(rows(lake.path(), "select customer, as_of, amount from spend order by customer"), before);
    assert_eq!(log_entries(lake.path()), versions);
}

/// The entries of all Delta logs: what any reader can see.
fn log_entries(lake: &Path) -> Vec<PathBuf> {
    let published = files(&lake.join("published"));
    published
        .into_iter()
        .filter(|path| path.components().any(|part| part.as_os_str() == "_delta_log"))
        .collect()
}
