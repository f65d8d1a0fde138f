//! The benchmark suite, and the forecasts that it checks.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;

use crate::support::world::small_run;
use crate::support::{fails, ok, text};

#[test]
fn the_suite_measures_growth_memory_a_cluster_and_one_more_day() {
    let folder = tempfile::tempdir().unwrap();
    let (worlds, out) = (folder.path().join("worlds"), folder.path().join("out"));
    let what = ["--scales", "0.002,0.004", "--less-memory", "512MiB", "--executors", "1", "--day"];
    let where_to = ["--times", "1", "--worlds", text(&worlds), "--out", text(&out)];
    let said = ok(&[&["bench"], &what[..], &where_to].concat());
    assert!(said.contains("one more day"), "{said}");
    let results: Value = serde_json::from_slice(&std::fs::read(out.join("bench.json")).unwrap()).unwrap();
    let worlds = results["worlds"].as_array().unwrap();
    assert_eq!(worlds.len(), 2);
    for world in worlds {
        let run = &world["run"];
        let cpu = run["usage"]["cpu_seconds"].as_f64().unwrap();
        let stages = run["stages"].as_array().unwrap();
        let told: f64 = stages.iter().map(|s| s["cost"]["cpu_seconds"].as_f64().unwrap()).sum();
        assert!(told > 0.3 * cpu && told <= cpu + 0.1, "{told} of {cpu} CPU seconds are told of stages");
        let facts = stages.iter().find(|stage| stage["stage"] == "facts.daily_activity").unwrap();
        for figure in ["scanned_bytes", "written_bytes"] {
            assert!(facts["cost"][figure].as_f64().unwrap() > 10_000.0, "{facts}");
        }
        assert!(run["usage"]["peak_bytes"].as_u64().unwrap() > 50 << 20);
        assert!(world["floor"]["rows"].as_u64().unwrap() > 10_000);
    }
    assert!(worlds[0]["forecast"].is_null() && worlds[1]["forecast"]["wall_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(
        (results["memory"].as_array().unwrap().len(), results["clusters"].as_array().unwrap().len()),
        (1, 1)
    );
    // the last day computes its own part of daily stages only
    let day = &results["day"];
    let cpu = |world: &Value| world["usage"]["cpu_seconds"].as_f64().unwrap();
    assert!(cpu(&day["run"]) < cpu(&worlds[1]["run"]), "{day}");
    let page = std::fs::read_to_string(out.join("bench.html")).unwrap();
    for said in ["scale 0.004", "facts.daily_activity", "One more day", "1 executors", "Less memory"] {
        assert!(page.contains(said), "the page lacks {said}");
    }
}

#[test]
fn wrong_scales_are_refused() {
    for scales in ["1,0.1", "0", "nan"] {
        assert!(fails(2, &["bench", "--scales", scales]).contains("rising order"));
    }
}

#[test]
fn a_dry_run_forecasts_more_data_on_more_machines() {
    let lake = text(small_run());
    let dry = |more: &[&str]| ok(&[&["run", "--lake", lake, "--threads", "2", "--dry-run"], more].concat());
    let line = |said: &str, start: &str| {
        said.lines()
            .find(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("{start} in {said}"))
            .to_owned()
    };
    let seconds = |said: &str| -> f64 {
        let last = said.trim_end().lines().last().unwrap().to_owned();
        last.split(' ').next().unwrap().parse().unwrap()
    };
    let nothing = dry(&[]);
    assert!(line(&nothing, "facts.daily_activity").contains(" 0 of "), "{nothing}");
    assert_eq!(seconds(&nothing), 0.0, "{nothing}");
    let hundred = dry(&["--times", "100"]);
    let on_ten = dry(&["--times", "100", "--executors", "10"]);
    let (one, ten) = (seconds(&hundred), seconds(&on_ten));
    // How much less depends on what training took of the small run, which one driver does; whole seconds are printed.
    assert!(one > 10.0 && ten < one && ten >= one / 10.0 - 1.0, "{one} s on one, {ten} s on ten");
    assert_eq!(line(&hundred, "facts.daily_activity"), line(&on_ten, "facts.daily_activity"));
    assert!(fails(2, &["run", "--lake", lake, "--times", "10"]).contains("--dry-run"));
    assert!(fails(2, &["run", "--lake", lake, "--dry-run", "--times", "0"]).contains("number above 0"));
}
