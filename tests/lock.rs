//! One run at a time on one lake, and one project.

use crate::support::process::{Running, holder};
use crate::support::world::{files, rows, small_lake, small_run};
use crate::support::{fails, ok, text};

#[test]
fn of_runs_that_start_together_one_wins_and_the_others_say_who() {
    let lake = small_lake();
    let mut runs: Vec<Running> =
        (0..3).map(|_| Running::start(&["run", "--lake", text(lake.path())])).collect();
    let winner = holder(lake.path(), 1);
    let winner = runs.iter().position(|run| run.id() == winner).expect("one of the three holds the lock");
    let mut winner = runs.swap_remove(winner);
    // it holds the lock until the others have tried
    winner.signal("STOP");
    for mut other in runs {
        assert_eq!(other.wait().code(), Some(75), "{}", other.said());
        assert!(
            other.said().contains(&format!("is held by process {} on ", winner.id())),
            "{}",
            other.said()
        );
    }
    winner.signal("CONT");
    assert!(winner.wait().success(), "{}", winner.said());
    let ran = rows(lake.path(), "select epoch from runs");
    assert_eq!(ran.len(), 1, "{ran:?}");

    // and it has let go
    ok(&["run", "--lake", text(lake.path())]);
    assert_eq!(rows(lake.path(), "select epoch from runs").len(), 2);
}

#[test]
fn a_reader_needs_no_lock() {
    let lake = small_lake();
    ok(&["run", "--lake", text(lake.path()), "--as-of", "2025-02-28"]);
    let mut writer = Running::start(&["run", "--lake", text(lake.path())]);
    holder(lake.path(), 2);
    writer.signal("STOP");
    let seen = rows(lake.path(), "select count(distinct as_of) as n from segments");
    assert_eq!(seen[0]["n"], 1);
    writer.kill();
}

#[test]
fn after_kill_9_of_the_holder_the_next_run_proceeds_at_once() {
    for reaped in [true, false] {
        let lake = small_lake();
        let mut dead = Running::start(&["run", "--lake", text(lake.path())]);
        assert_eq!(holder(lake.path(), 1), dead.id());
        match reaped {
            true => assert!(dead.is_killed(), "{}", dead.said()),
            false => dead.kill(),
        }
        assert!(lake.path().join("locks/0000000001.json").exists());
        // a holder that might live would be refused with exit code 75
        ok(&["run", "--lake", text(lake.path())]);
        let ran = rows(lake.path(), "select epoch from runs");
        assert_eq!(ran.len(), 1);
        assert_eq!(ran[0]["epoch"], 2);
    }
}

#[test]
fn another_project_is_refused() {
    let lake = small_run();
    let other = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(other.path().join("project.toml"), "name = \"other\"\nextends = \"retail\"\n")
        .expect("written");
    let before = files(lake);
    let said = fails(2, &["run", "--lake", text(lake), "--project", text(other.path())]);
    assert!(said.contains("belongs to project `retail`"), "{said}");
    assert!(said.contains("run `other` with another --lake"), "{said}");
    assert_eq!(files(lake), before);
}
