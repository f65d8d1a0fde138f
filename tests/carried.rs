//! What runs carry: models of a later day are named, cut points follow a growing company, a reset uses no segment id twice.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use serde_json::Value;
use strata::run::RunManifest;
use tempfile::TempDir;

use crate::cdnow::master_file;
use crate::support::project::{FAMILIES_OVER_TIME, take, write};
use crate::support::world::{files, last_run, rows};
use crate::support::{fails, repository, run, text};

/// Customers as points of a day, in two segments by k-means, and cut points of their spend; what follows them over time is
/// the built-in project's.
const POINTS: &[(&str, &str)] = &[
    (
        "project.toml",
        "name = \"points\"\ntime_zone = \"UTC\"\n\n[settings]\nmigration_runs = 3\nportrait_min_cell = 1\nearliest_date = \"1900-01-01\"\nlatest_date = \"2200-01-01\"\n",
    ),
    (
        "raw/points.sql",
        "-- Where each customer was on each day.\n\
         -- grain: day, customer_id\n\
         create external table raw.points (\n    day date,\n    customer_id varchar,\n    x double,\n    \
         life_cycle varchar\n)\n\
         stored as csv\n\
         location 'raw/points/'\n",
    ),
    (
        "features/points.sql",
        "-- The points of the day of the run.\n\
         -- store: view\n\
         select customer_id, x, life_cycle from raw.points where day = local_date($as_of, $time_zone)\n",
    ),
    ("models/groups.sql", GROUPS),
    (
        "models/cuts.sql",
        "-- Cut points.\n-- kind: reference\n-- refit: never\nselect customer_id, x from features.points\n",
    ),
    (
        "segments/customer_360.sql",
        "-- The segment of each customer.\n\
         -- grain: as_of, customer_id\n\
         -- store: table\n\
         select\n    customer_id,\n    $as_of as as_of,\n    \
         cast(kmeans_assign(make_array(x), $groups)['segment'] as int) as segment,\n    \
         concat('number ', kmeans_assign(make_array(x), $groups)['segment']) as segment_name,\n    \
         cast(null as varchar) as segment_name_zh,\n    \
         cast(quantile_score(x, $cuts, 'x') as varchar) as rfm_type,\n    life_cycle,\n    \
         cast(null as varchar) as own_life_cycle,\n    cast(null as varchar) as value_tier,\n    \
         cast(null as varchar) as spending_level,\n    cast(null as varchar) as buyer_grade,\n    \
         cast(null as int) as recency_days,\n    cast(0 as bigint) as frequency,\n    \
         cast(0 as decimal(18, 2)) as monetary_total\n\
         from features.points\n",
    ),
];

const GROUPS: &str = "-- Two groups.\n-- kind: kmeans\n-- k: 2\n-- refit: drifted\n-- max_share: 1\n\
                      select customer_id, x from features.points\n";

/// A lake of points and its project.
struct Points {
    project: TempDir,
    lake: TempDir,
}

impl Points {
    /// Two hundred customers around 0 and 10 on days 1 to 3 of January; from day 4 on all have moved by `step`.
    fn new(step: f64) -> Points {
        let points = Points { project: tempfile::tempdir().unwrap(), lake: tempfile::tempdir().unwrap() };
        write(points.project.path(), POINTS);
        take(points.project.path(), FAMILIES_OVER_TIME);
        take(points.project.path(), &["segments/models_used.sql"]);
        let mut lines = "day,customer_id,x,life_cycle\n".to_string();
        for day in 1..=8 {
            for customer in 0..200 {
                let x = f64::from(customer % 2) * 10.0 + f64::from(customer % 10) * 0.1;
                let x = if day < 4 { x } else { x + step };
                // whoever was new on a day is active on the next
                let life_cycle = if customer / 20 == day { "new" } else { "active" };
                writeln!(lines, "2025-01-{day:02},c{customer:03},{x},{life_cycle}").unwrap();
            }
        }
        write(points.lake.path(), &[("raw/points/a.csv", &lines)]);
        points
    }

    /// A run for a day of January, which must succeed; what it said.
    fn run(&self, day: u32, options: &[&str]) -> String {
        let as_of = format!("2025-01-{day:02}");
        let lake = ["--lake", text(self.lake.path()), "--as-of", &as_of];
        let output = run(&[&["run", "--project", text(self.project.path())], &lake[..], options].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    }

    fn rows(&self, query: &str) -> Vec<Value> {
        rows(self.lake.path(), query)
    }

    fn last(&self) -> RunManifest {
        last_run(self.lake.path())
    }

    /// The fingerprint under which the groups of the last run lie.
    fn groups(&self) -> String {
        self.last().models["models.groups"].fingerprint.clone()
    }

    /// The segments of a day.
    fn segments(&self, day: u32) -> BTreeSet<i64> {
        let query = format!("select distinct segment from customer_360 where as_of = '2025-01-{day:02}'");
        self.rows(&query).iter().map(|row| row["segment"].as_i64().unwrap()).collect()
    }

    /// A line a model of a day: its name, the day of its training, whether that is later.
    fn models(&self, day: u32) -> Vec<String> {
        let query = format!(
            "select model, cast(trained_as_of as date) as trained, trained_later from models_used
             where as_of = '2025-01-{day:02}' order by model"
        );
        let line = |row: &Value| format!("{} {} {}", row["model"], row["trained"], row["trained_later"]);
        self.rows(&query).iter().map(|row| line(row).replace('"', "")).collect()
    }
}

#[test]
fn a_backfill_says_which_models_are_of_later_days() {
    let points = Points::new(3.0);
    points.run(1, &[]);
    let said = points.run(6, &[]);
    assert!(said.contains("models.groups: retrained: `x` has a stability index"), "{said}");
    assert!(!said.contains("later than this run"), "{said}");
    let kept = ["cuts 2025-01-01 false", "groups 2025-01-06 false"];
    assert_eq!(points.models(6), kept);

    let said = points.run(5, &[]);
    let line = "models.groups was trained as of 2025-01-06T00:00:00Z, later than this run; `--as-known-then`";
    assert!(said.contains(line) && !said.contains("models.cuts was trained"), "{said}");
    assert_eq!(points.models(5), ["cuts 2025-01-01 false", "groups 2025-01-06 true"]);
    // what customers of a day before the change would get anew continues the ids of a later model
    let said = points.run(2, &[]);
    let line = "models.groups continues segment ids of 2025-01-06T00:00:00Z, later than this run";
    assert!(said.contains(line), "{said}");
    let follows = points.rows("select cast(follows_as_of as date) as day from models_used where as_of = '2025-01-02' and model = 'groups'");
    assert_eq!(follows[0]["day"], "2025-01-06");
    // the lake goes on from its latest model, not from that of the backfill
    let said = points.run(7, &[]);
    assert!(said.contains("models.groups: kept"), "{said}");
    assert_eq!(points.models(7), kept);
}

#[test]
fn a_backfill_as_known_then_uses_the_models_of_its_time_and_is_the_same_again() {
    let points = Points::new(3.0);
    points.run(1, &[]);
    points.run(6, &[]);
    let later = points.segments(6);
    // a default backfill in between leaves a model that knew of a later day
    points.run(3, &[]);
    let said = points.run(3, &["--as-known-then"]);
    assert!(said.contains("models.groups: kept") && !said.contains("later than this run"), "{said}");
    assert_eq!(points.models(3), ["cuts 2025-01-01 false", "groups 2025-01-01 false"]);
    assert_eq!(points.segments(3), points.segments(1));
    let first = points.groups();

    let said = points.run(5, &["--as-known-then"]);
    assert!(said.contains("models.groups: retrained") && !said.contains("later than this run"), "{said}");
    let fifth = points.groups();
    // ids of segments that the later model found are not given again
    let [earlier, fifth_ids] = [points.segments(1), points.segments(5)];
    assert!(fifth_ids.difference(&earlier).all(|id| !later.contains(id)), "{fifth_ids:?} beside {later:?}");

    let said = points.run(8, &[]);
    assert!(said.contains("models.groups: kept"), "{said}");
    assert_eq!(points.models(8), ["cuts 2025-01-01 false", "groups 2025-01-06 false"]);
    for (day, expected) in [(3, &first), (5, &fifth), (3, &first)] {
        points.run(day, &["--as-known-then"]);
        assert_eq!(&points.groups(), expected, "day {day}");
        let computed: Vec<String> = points
            .last()
            .stages
            .into_iter()
            .filter(|(_, stage)| stage.computed > 0)
            .map(|(name, _)| name)
            .collect();
        // only the history of all runs, which knows of day 8 now, is built again, and what names the run
        let built = ["segments.models_used", "segments.segment_membership"];
        assert!(computed.iter().all(|name| built.contains(&name.as_str())), "{computed:?}");
    }

    // before the first run there was no model
    let fresh = Points::new(3.0);
    fresh.run(6, &[]);
    let said = fresh.run(1, &["--as-known-then"]);
    assert!(!said.contains("later than this run"), "{said}");
    assert_eq!(fresh.models(1), ["cuts 2025-01-01 false", "groups 2025-01-01 false"]);
    assert!(fresh.segments(1).is_disjoint(&fresh.segments(6)));
    let both = ["run", "--lake", "x", "--as-known-then", "--reset-state"];
    assert!(fails(2, &both).contains("cannot be used with"));
}

#[test]
fn a_reset_uses_no_segment_id_twice() {
    let points = Points::new(3.0);
    points.run(1, &[]);
    points.run(2, &[]);
    let before = points.segments(2);
    assert_eq!(before, points.segments(1));
    points.run(5, &["--reset-state"]);
    let after = points.segments(5);
    assert_eq!(after.len(), 2);
    assert!(after.is_disjoint(&before), "{after:?} beside {before:?}");
    assert_eq!(points.models(5), ["cuts 2025-01-05 false", "groups 2025-01-05 false"]);
    let lineage = |family: &str| {
        let query = format!(
            "select segment, status, overlap from segment_lineage where family = '{family}' and as_of = '2025-01-05' order by 1"
        );
        points
            .rows(&query)
            .iter()
            .map(|row| format!("{} {}", row["segment"], row["status"]).replace('"', ""))
            .collect::<Vec<_>>()
    };
    // the same customers in segments of other ids: each new one holds all of an old one
    assert_eq!(lineage("behaviour"), ["0 merged", "1 merged", "2 split", "3 split"]);
    // `new` is the same rule, but none of its customers is the same
    assert_eq!(lineage("life_cycle"), ["active continued", "new renewed"]);
    let none = points.rows("select * from segment_lineage where status = 'continued' and overlap = 0");
    assert!(none.is_empty(), "{none:?}");
    let stays = points.rows(
        "select segment, valid_to is null as open, count(*) as customers from segment_membership
         where family = 'behaviour' group by 1, 2 order by 1",
    );
    let stays: Vec<String> = stays
        .iter()
        .map(|row| format!("{} {} {}", row["segment"], row["open"], row["customers"]).replace('"', ""))
        .collect();
    assert_eq!(stays, ["0 false 100", "1 false 100", "2 true 100", "3 true 100"]);

    // again, and a run after it
    let model = points.groups();
    points.run(5, &["--reset-state"]);
    assert_eq!((points.groups(), points.segments(5)), (model, after.clone()));
    points.run(6, &[]);
    assert_eq!(points.segments(6), after);
    // a reset for a day that has a model of another day, after a run of a version that did not write what it carries
    let manifest = files(&points.lake.path().join("stages/_runs")).pop().unwrap();
    let mut written: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    assert!(written.as_object_mut().unwrap().remove("carried").is_some());
    std::fs::write(&manifest, written.to_string()).unwrap();
    points.run(6, &["--reset-state"]);
    let third = points.segments(6);
    assert!(third.is_disjoint(&after) && third.is_disjoint(&before), "{third:?}");
}

#[test]
fn segments_that_share_nobody_die_and_are_born() {
    let points = Points::new(3.0);
    points.run(1, &[]);
    let raw = points.lake.path().join("raw/points/a.csv");
    let others = std::fs::read_to_string(&raw).unwrap().replace("2025-01-02,c", "2025-01-02,d");
    std::fs::remove_file(&raw).unwrap();
    write(points.lake.path(), &[("raw/points/b.csv", &others)]);
    points.run(2, &["--reset-state"]);
    let lineage =
        points.rows("select segment, status from segment_lineage where family = 'behaviour' order by 1");
    let lineage: Vec<String> =
        lineage.iter().map(|row| format!("{} {}", row["segment"], row["status"]).replace('"', "")).collect();
    assert_eq!(lineage, ["0 died", "1 died", "2 born", "3 born"]);
}

#[test]
fn a_header_that_changes_is_obeyed_though_customers_have_not_drifted() {
    let points = Points::new(3.0);
    points.run(1, &[]);
    let three = GROUPS.replace("k: 2", "k: 3");
    write(points.project.path(), &[("models/groups.sql", &three)]);
    let said = points.run(2, &[]);
    assert!(!said.contains("models.groups: kept"), "{said}");
    assert_eq!(points.segments(2).len(), 3);
    // segments that are still there keep their ids
    assert!(!points.segments(2).is_disjoint(&points.segments(1)));
}

/// The built-in project for CDNOW, with another header of its RFM reference.
fn cdnow(header: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .args(["-r", text(&repository().join("tests/projects/cdnow/.")), text(folder.path())])
        .status();
    assert!(copied.unwrap().success());
    let reference =
        std::fs::read_to_string(repository().join("sql/retail/models/rfm_reference.sql")).unwrap();
    assert!(reference.contains("-- refit: drifted\n"));
    write(folder.path(), &[("models/rfm_reference.sql", &reference.replace("-- refit: drifted\n", header))]);
    folder
}

/// One customer in forty of CDNOW, who bought 1,700 times.
fn cdnow_lake() -> TempDir {
    let lake = tempfile::tempdir().unwrap();
    let all = std::fs::read_to_string(master_file()).unwrap();
    let customer = |line: &str| line.split_whitespace().next().and_then(|word| word.parse::<u32>().ok());
    let some: Vec<&str> = all.lines().filter(|line| customer(line).is_none_or(|id| id % 40 == 0)).collect();
    write(lake.path(), &[("raw/cdnow/CDNOW_master.txt", &(some.join("\n") + "\n"))]);
    lake
}

fn run_cdnow(lake: &Path, project: &Path, as_of: &str) -> String {
    let output = run(&["run", "--project", text(project), "--lake", text(lake), "--as-of", as_of]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

const LAST: &str = "1998-07-01";

/// The type of each customer as of the last day.
fn types(lake: &Path) -> Vec<(String, String)> {
    let query = format!(
        "select customer_id, rfm_type from customer_360 where as_of = '{LAST}' and frequency > 0 order by 1"
    );
    let word = |value: &Value| value.as_str().unwrap().to_string();
    rows(lake, &query).iter().map(|row| (word(&row["customer_id"]), word(&row["rfm_type"]))).collect()
}

/// Share of customers of another type.
fn differing(left: &[(String, String)], right: &[(String, String)]) -> f64 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).filter(|(one, other)| one != other).count() as f64 / left.len() as f64
}

#[test]
fn cut_points_of_a_growing_company_follow_its_customers() {
    let fresh = cdnow_lake();
    let (usual, never) = (cdnow(""), cdnow("-- refit: never\n"));
    run_cdnow(fresh.path(), usual.path(), LAST);
    let fresh = types(fresh.path());
    assert!(fresh.len() > 550, "{}", fresh.len());

    let frozen = cdnow_lake();
    run_cdnow(frozen.path(), never.path(), "1997-02-01");
    let said = run_cdnow(frozen.path(), never.path(), LAST);
    assert!(said.contains("warning: models_references_hold") && said.contains("recency_days"), "{said}");
    let away = differing(&types(frozen.path()), &fresh);
    assert!(away > 0.2, "{away}");
    let drift = "select feature, refit, cast(trained_as_of as varchar) as trained, days_since, stability_index, mean_trained,
        mean, beyond_limit, array_length(cut_points) as cuts from reference_drift where as_of = '1998-07-01' order by feature";
    let drift = rows(frozen.path(), drift);
    assert_eq!(
        drift.iter().map(|row| row["feature"].as_str().unwrap()).collect::<Vec<_>>(),
        ["frequency", "monetary", "recency_days"]
    );
    for row in &drift {
        assert_eq!(
            (&row["refit"], &row["days_since"], &row["cuts"]),
            (&"never".into(), &515.into(), &4.into()),
            "{row}"
        );
        assert!(row["trained"].as_str().unwrap().starts_with("1997-0"), "{row}");
    }
    let recency = &drift[2];
    assert!(
        recency["beyond_limit"] == true && recency["stability_index"].as_f64().unwrap() > 1.0,
        "{recency}"
    );
    assert!(recency["mean"].as_f64().unwrap() > 5.0 * recency["mean_trained"].as_f64().unwrap(), "{recency}");

    let growing = cdnow_lake();
    let mut said = String::new();
    for as_of in ["1997-02-01", "1997-04-01", "1997-08-01", "1998-01-01", "1998-05-01", LAST] {
        said = run_cdnow(growing.path(), usual.path(), as_of);
    }
    assert!(!said.contains("warning"), "{said}");
    let away = differing(&types(growing.path()), &fresh);
    assert!(away < 0.05, "{away}");
    let beyond = rows(growing.path(), "select * from reference_drift where beyond_limit");
    assert!(beyond.is_empty(), "{beyond:?}");
}
