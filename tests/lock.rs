//! One run at a time on one lake, and one project.

use strata::lake::{Lake, Lock};

use crate::support::process::{Running, holder};
use crate::support::world::{files, rows, small_lake, small_run};
use crate::support::{fails, ok, set_environment, text};

#[test]
fn of_runs_that_start_together_one_wins_and_the_others_say_who() {
    let lake = small_lake();
    let mut runs: Vec<Running> =
        (0..3).map(|_| Running::start(&["run", "--lake", text(lake.path())])).collect();
    let ids: Vec<u32> = runs.iter().map(Running::id).collect();
    let mut finished = 0;
    for run in &mut runs {
        let status = run.wait();
        let holds = |id: &u32| run.said().contains(&format!("is held by process {id} on "));
        match status.code() {
            Some(0) => finished += 1,
            code => assert!(code == Some(75) && ids.iter().any(holds), "{}", run.said()),
        }
    }
    let ran = rows(lake.path(), "select epoch from runs");
    assert!(finished > 0);
    assert_eq!(ran.len(), finished, "{ran:?}");

    // and it has let go
    ok(&["run", "--lake", text(lake.path())]);
    assert_eq!(rows(lake.path(), "select epoch from runs").len(), finished + 1);
}

#[test]
fn a_living_holder_is_waited_for_however_short_the_time() {
    let lake = small_lake();
    set_environment(vec![("STRATA_LOCK_TIMEOUT".into(), "1".into())]);
    let opened = Lake::open(text(lake.path())).expect("a lake");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let held = runtime.block_on(Lock::acquire(&opened)).expect("the lock");
    // nothing runs here that could show life, but the lock's own thread
    let said = fails(75, &["run", "--lake", text(lake.path())]);
    assert!(said.contains(&format!("is held by process {} on ", std::process::id())), "{said}");
    runtime.block_on(held.check()).expect("the lock is still held");
    runtime.block_on(held.release()).expect("the lock is released");
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
fn after_kill_9_of_the_holder_the_next_run_proceeds() {
    set_environment(vec![("STRATA_LOCK_TIMEOUT".into(), "1".into())]);
    for reaped in [true, false] {
        let lake = small_lake();
        let mut dead = Running::start(&["run", "--lake", text(lake.path())]);
        assert_eq!(holder(lake.path(), 1), dead.id());
        match reaped {
            true => assert!(dead.is_killed(), "{}", dead.said()),
            false => dead.kill(),
        }
        assert!(lake.path().join("locks/0000000001.json").exists());
        // a holder that lives would be named, with exit code 75
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
