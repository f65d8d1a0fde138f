//! One thing changes at a time: exactly the stages that depend on it are computed again, the run says why,
//! and what it publishes is what a run over an empty lake publishes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};

use arrow::util::pretty::pretty_format_batches;
use chrono::NaiveDate;
use futures::TryStreamExt;
use strata::engine::EngineOptions;
use strata::lake::Lake;
use strata::project::Project;
use strata::query::Reader;
use strata::run::{AsOf, RunManifest, RunOptions};

use crate::support::place::Place;
use crate::support::project::write;
use crate::support::text;

fn as_of(day: u32) -> RunOptions {
    RunOptions { as_of: AsOf::Date(NaiveDate::from_ymd_opt(2025, 1, day).unwrap()), ..RunOptions::default() }
}

fn computed(run: &RunManifest) -> BTreeMap<&str, usize> {
    run.stages
        .iter()
        .filter(|(_, stage)| stage.computed > 0)
        .map(|(name, stage)| (name.as_str(), stage.computed))
        .collect()
}

fn as_is(_: &mut Project) {}

/// One change, what is computed again and why.
struct Case {
    what: &'static str,
    change: fn(&Place),
    program: fn(&mut Project),
    /// Stages computed again, and why: `segments.seeded`, which names the run, is among them whenever the
    /// run's id changes.
    computed: &'static [&'static str],
    why: &'static [&'static str],
    /// Whether a frozen model stays whose training rows a run over an empty lake would have by another way.
    frozen: bool,
}

const NOTHING: Case =
    Case { what: "", change: |_| {}, program: as_is, computed: &[], why: &[], frozen: false };

const VISITS: &[&str] = &["features.spend", "segments.seeded", "segments.spend", "staging.visits"];
const ALL: &[&str] = &[
    "features.spend",
    "segments.kept",
    "segments.scores",
    "segments.seeded",
    "segments.spend",
    "staging.people",
    "staging.seeds",
    "staging.visits",
];

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { what: "nothing", ..NOTHING },
    // content
    Case {
        what: "a row of one day",
        change: |p| p.edit("lake/raw/visits/day=2025-01-02/a.csv", "3,ann,1,", "3,ann,2,"),
        computed: VISITS, why: &["raw.visits: files 1 changed (3 stages, from staging.visits)"], ..NOTHING
    },
    Case {
        what: "a file more",
        change: |p| write(&p.lake(), &[("raw/visits/day=2025-01-02/b.csv", "id,customer,spent,at\n5,eve,7,2025-01-02T12:00:00\n")]),
        computed: VISITS, why: &["raw.visits: files 1 new (3 stages, from staging.visits)"], ..NOTHING
    },
    Case {
        what: "a file less",
        change: |p| std::fs::remove_file(p.lake().join("raw/visits/day=2025-01-01/a.csv")).unwrap(),
        computed: &["features.spend", "segments.seeded", "segments.spend"], why: &["raw.visits: files 1 no longer read (2 stages, from features.spend)"], ..NOTHING
    },
    Case {
        what: "a list of seeds",
        change: |p| p.edit("lake/raw/seeds/a.csv", "ann\n", "ann\nbob\n"),
        computed: &["segments.kept", "segments.seeded", "staging.seeds"], why: &["raw.seeds: files 1 changed (3 stages, from staging.seeds)"], ..NOTHING
    },
    Case {
        what: "people that a frozen model learned from",
        change: |p| p.edit("lake/raw/people/a.csv", "cid,50", "cid,5"),
        computed: &["segments.scores", "segments.seeded", "staging.people"], why: &["raw.people: files 1 changed (2 stages, from staging.people)"],
        frozen: true, ..NOTHING
    },
    // contracts
    Case {
        what: "an option of a CSV source",
        change: |p| p.edit("project/raw/visits.sql", "location 'raw/visits/'", "location 'raw/visits/' options ('format.comment' '#')"),
        computed: VISITS, why: &["contract of raw.visits changed (3 stages, from staging.visits)"], ..NOTHING
    },
    Case {
        what: "a column's type",
        change: |p| p.edit("project/raw/people.sql", "age bigint", "age int"),
        computed: &["segments.scores", "segments.seeded", "staging.people"], why: &["contract of raw.people changed (2 stages, from staging.people)"], frozen: true, ..NOTHING
    },
    Case {
        what: "the key of a source",
        change: |p| p.edit("project/raw/seeds.sql", "-- grain: customer\n", ""),
        computed: &["segments.kept", "segments.seeded", "staging.seeds"], why: &["contract of raw.seeds changed"], ..NOTHING
    },
    Case {
        what: "whether a source may be empty",
        change: |p| p.edit("project/raw/seeds.sql", "-- may_be_empty: true\n", ""),
        computed: &["segments.kept", "segments.seeded", "staging.seeds"], why: &["contract of raw.seeds changed"], ..NOTHING
    },
    Case {
        what: "when a row happened",
        change: |p| p.edit("project/raw/visits.sql", "-- event_time: at\n-- clock: true\n", ""),
        computed: VISITS, why: &["contract of raw.visits changed"], ..NOTHING
    },
    Case { what: "which source is a clock", change: |p| p.edit("project/raw/visits.sql", "-- clock: true\n", ""), ..NOTHING },
    Case {
        what: "an absent source",
        change: |p| p.edit("project/project.toml", "time_zone", "absent = [\"seeds\"]\ntime_zone"),
        computed: &["segments.kept", "segments.seeded", "staging.seeds"], why: &["contract of raw.seeds changed"], ..NOTHING
    },
    // settings
    Case {
        what: "a setting",
        change: |p| p.edit("project/project.toml", "large = 100", "large = 5"),
        computed: &["features.spend", "segments.seeded", "segments.spend"], why: &["setting large 100 -> 5 (2 stages, from features.spend)"], ..NOTHING
    },
    Case {
        what: "a setting that a model learns by",
        change: |p| p.edit("project/project.toml", "share = 0.5", "share = 0.25"),
        computed: &["models.ages", "segments.scores", "segments.seeded"], why: &["setting share 0.5 -> 0.25 (2 stages, from models.ages)"], ..NOTHING
    },
    Case {
        what: "a setting of an audit",
        change: |p| p.edit("project/project.toml", "unused_by_stages = 1", "unused_by_stages = 2"),
        computed: &["segments.seeded"], why: &["run id "], ..NOTHING
    },
    Case {
        what: "the time zone",
        change: |p| p.edit("project/project.toml", "time_zone = \"UTC\"", "time_zone = \"Europe/London\""),
        computed: VISITS, why: &["contract of raw.visits changed", "setting time_zone \"UTC\" -> \"Europe/London\" (3 stages, from staging.visits)"], ..NOTHING
    },
    // headers
    Case { what: "a description", change: |p| p.edit("project/staging/seeds.sql", "-- Seeds.", "-- Seed corn.\n-- why: no harm"), ..NOTHING },
    Case {
        what: "the order of a table",
        change: |p| p.edit("project/staging/seeds.sql", "-- store: table\n", "-- store: table\n-- sorted: no\n"),
        computed: &["segments.kept", "segments.seeded", "staging.seeds"], why: &["header of staging.seeds, sorted yes -> none (3 stages"], ..NOTHING
    },
    Case {
        what: "the grain",
        change: |p| p.edit("project/features/spend.sql", "-- grain: customer\n", "-- grain: spent, customer\n"),
        computed: &["features.spend", "segments.seeded", "segments.spend"], why: &["header of features.spend, grain customer -> spent, customer (2"], ..NOTHING
    },
    Case {
        what: "a daily stage kept whole",
        change: |p| p.edit("project/staging/visits.sql", "-- store: daily\n-- day: day\n", "-- store: table\n"),
        computed: VISITS, why: &[
            "header of staging.visits, store Daily -> Table", "header of staging.visits, day day -> none",
            "header of staging.visits, by_day yes -> none", "header of staging.visits, sorted none -> yes",
        ], ..NOTHING
    },
    Case {
        what: "a stage that is published now",
        change: |p| p.edit("project/segments/kept.sql", "-- publish: none\n", "-- publish: all\n"),
        computed: &["segments.kept", "segments.seeded"], why: &["header of segments.kept, publish none -> All (segments.kept)"], ..NOTHING
    },
    Case {
        what: "a trainer's setting",
        change: |p| p.edit("project/models/ages.sql", "quantiles: 0.5", "quantiles: 0.25, 0.5"),
        computed: &["models.ages", "segments.scores", "segments.seeded"], why: &["header of models.ages, kind reference quantiles=0.5 "], ..NOTHING
    },
    Case {
        what: "when a model is trained anew, and nothing else",
        change: |p| p.edit("project/models/ages.sql", "refit: never", "refit: always"), ..NOTHING
    },
    // SQL
    Case { what: "a comment and white space", change: |p| p.edit("project/features/spend.sql", "select customer", "-- all of it\nSELECT  customer"), ..NOTHING },
    Case {
        what: "a stage's SQL",
        change: |p| p.edit("project/features/spend.sql", "sum(spent) as spent", "cast(sum(spent) + 1 as decimal(28, 2)) as spent"),
        computed: &["features.spend", "segments.seeded", "segments.spend"], why: &["SQL of features.spend changed (2 stages, from features.spend)"], ..NOTHING
    },
    Case {
        what: "a view's SQL",
        change: |p| p.edit("project/staging/named.sql", "is not null", "<> 'bob'"),
        computed: &["features.spend", "segments.seeded", "segments.spend"], why: &["SQL of staging.named changed (2 stages, from features.spend)"], ..NOTHING
    },
    Case {
        what: "a model's SQL",
        change: |p| p.edit("project/models/ages.sql", "age * $share", "age + $share"),
        computed: &["models.ages", "segments.scores", "segments.seeded"], why: &["SQL of models.ages changed (2 stages, from models.ages)"], ..NOTHING
    },
    // the program
    Case {
        what: "a function that one stage calls",
        program: |p| { p.revisions.functions.insert("to_money".into(), "2".into()); },
        computed: VISITS, why: &["function to_money, revision 1, unicode-normalization "], ..NOTHING
    },
    Case {
        what: "a function of what a model learned from",
        program: |p| { p.revisions.functions.insert("fold_width".into(), "2".into()); },
        computed: &["segments.scores", "segments.seeded", "staging.people"], why: &["function fold_width, revision 1, unicode-normalization "], frozen: true, ..NOTHING
    },
    Case { what: "a function that nothing calls", program: |p| { p.revisions.functions.insert("exp".into(), "2".into()); }, ..NOTHING },
    Case {
        what: "the trainer of a model",
        program: |p| { p.revisions.trainers.insert("reference".into(), "2".into()); },
        computed: &["models.ages", "segments.scores", "segments.seeded"], why: &["trainer reference, revision 1 -> 2 (2 stages, from models.ages)"], ..NOTHING
    },
    Case { what: "a trainer that no model has", program: |p| { p.revisions.trainers.insert("kmeans".into(), "2".into()); }, ..NOTHING },
    Case {
        what: "the engine, and no frozen model",
        program: |p| p.revisions.engine = "2".into(),
        computed: ALL, why: &["engine, revision 1, datafusion "], frozen: true, ..NOTHING
    },
    Case { what: "the sink", program: |p| p.revisions.sink = "2".into(), computed: ALL, why: &["encoding of results, revision 1, parquet "], frozen: true, ..NOTHING },
    Case {
        what: "time zone data",
        program: |p| p.revisions.time_zones = "2100a".into(),
        computed: VISITS, why: &["time zone data 20"], ..NOTHING
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_against_what_is_computed_again() {
    let base = Place::new();
    let first = base.run(as_is, as_of(3)).await;
    assert!(first.computed_again.is_empty(), "{:?}", first.computed_again);
    assert!(first.stages.values().all(|stage| stage.computed > 0));
    for case in CASES {
        let what = case.what;
        let place = base.copy();
        (case.change)(&place);
        let run = place.run(case.program, as_of(3)).await;
        let again: Vec<&str> = computed(&run).into_keys().collect();
        assert_eq!(again, case.computed, "{what}: {:?}", run.computed_again);
        let whys: Vec<String> = run.computed_again.iter().map(ToString::to_string).collect();
        for why in case.why {
            assert!(whys.iter().any(|said| said.starts_with(why)), "{what}: `{why}` is not in {whys:?}");
        }
        // `segments.seeded` may name the new run id besides
        assert!(whys.len() <= case.why.len() + 1, "{what}: {whys:?}");
        let named: BTreeSet<&String> = run.computed_again.iter().flat_map(|again| &again.stages).collect();
        assert!(named.iter().map(|name| name.as_str()).eq(case.computed.iter().copied()), "{what}: {whys:?}");
        assert_eq!(run.run_id != first.run_id, !case.computed.is_empty(), "{what}");

        let rows = place.published().await;
        assert!(
            rows["seeded"].contains(&run.run_id) || !rows["seeded"].contains("ann"),
            "{what}: {}",
            rows["seeded"]
        );
        let refreshed = place.run(case.program, RunOptions { full_refresh: true, ..as_of(3) }).await;
        assert_eq!(
            (&refreshed.run_id, place.published().await),
            (&run.run_id, rows.clone()),
            "{what}: refreshed"
        );
        let fresh = place.without_runs();
        let fresh_run = fresh.run(case.program, as_of(3)).await;
        let mut fresh_rows = fresh.published().await;
        if case.frozen {
            // a model of other rows or of another program, and so another run id; the rows but its scores are the same
            assert_ne!(fresh_run.run_id, run.run_id, "{what}: another model");
            fresh_rows.values_mut().for_each(|rows| *rows = rows.replace(&fresh_run.run_id, &run.run_id));
            fresh_rows.insert("scores", rows["scores"].clone());
        } else {
            assert_eq!(fresh_run.run_id, run.run_id, "{what}: fresh");
        }
        assert_eq!(fresh_rows, rows, "{what}: fresh");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_and_strata_runs_say_why() {
    let place = Place::new();
    place.run(as_is, as_of(3)).await;
    place.edit("project/project.toml", "large = 100", "large = 5");
    let args = |more: &[&str]| {
        let lake = place.lake();
        let shared = ["run", "--lake", text(&lake), "--as-of", "2025-01-03", "--project"].map(String::from);
        let more = more.iter().map(ToString::to_string);
        shared.into_iter().chain([text(&place.project()).to_string()]).chain(more).collect::<Vec<_>>()
    };
    let ok = |args: &[String]| crate::support::ok(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let why = "setting large 100 -> 5 (2 stages, from features.spend)";
    let dry = ok(&args(&["--dry-run"]));
    assert!(dry.contains(&format!("\ncomputing again: {why}\n")), "{dry}");
    ok(&args(&[]));
    let lake = place.lake();
    let epoch = crate::support::world::last_run(&lake).epoch.to_string();
    let runs = ok(&["runs", &epoch, "--lake", text(&lake)].map(String::from));
    assert!(runs.contains(&format!("computed again\n  {why}\n")), "{runs}");
    assert!(
        runs.contains("engine local") && runs.contains(" with datafusion 55") && runs.contains("threads="),
        "{runs}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_day_an_engine_and_a_result_that_is_gone_are_told_by_their_causes() {
    let place = Place::new();
    let first = place.run(as_is, as_of(2)).await;
    let second = place.run(as_is, as_of(3)).await;
    assert_ne!(first.run_id, second.run_id);
    let whys: Vec<String> = second.computed_again.iter().map(ToString::to_string).collect();
    let day = "as of 2025-01-02 00:00:00 -> 2025-01-03 00:00:00 (5 stages, from staging.visits";
    assert!(whys.iter().any(|why| why.starts_with(day)), "{whys:?}");

    std::fs::remove_dir_all(place.lake().join("stages/staging/seeds")).unwrap();
    let third = place.run(as_is, as_of(3)).await;
    assert_eq!(third.run_id, second.run_id);
    let whys: Vec<String> = third.computed_again.iter().map(ToString::to_string).collect();
    assert_eq!(whys, ["its result is no longer there (staging.seeds)"]);
}

/// All tables of a run bear its id, which the row in `runs` has too; equal ids have equal rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_id_stands_for_its_rows() {
    let place = Place::new();
    let first = place.run(as_is, as_of(3)).await;
    let before = place.published().await;
    place.edit("lake/raw/seeds/a.csv", "ann\n", "bob\n");
    let second = place.run(as_is, as_of(3)).await;
    assert_ne!(second.run_id, first.run_id, "other rows under one id");
    assert_ne!(place.published().await, before);
    place.edit("lake/raw/seeds/a.csv", "bob\n", "ann\n");
    let third = place.run(as_is, as_of(3)).await;
    assert_eq!(computed(&third), BTreeMap::new(), "the results of the first run are there");
    assert_eq!((third.run_id, place.published().await), (first.run_id, before));
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_tell_engine_version_and_options() {
    let place = Place::new();
    let engine = EngineOptions { threads: 3, ..EngineOptions::default() };
    place.run(as_is, RunOptions { full_refresh: true, engine, ..as_of(3) }).await;
    let lake = Lake::open(text(&place.lake())).unwrap();
    let reader = Reader::open(&lake, EngineOptions::default()).await.unwrap();
    let rows = reader.query("select engine, version, options from runs").await.unwrap();
    let rows: Vec<_> = rows.try_collect().await.unwrap();
    let said = pretty_format_batches(&rows).unwrap().to_string();
    for part in ["| local ", " with datafusion 55", "\"threads\":\"3\"", "\"full_refresh\":\"true\""] {
        assert!(said.contains(part), "`{part}` is not in\n{said}");
    }
}

#[test]
fn a_model_may_not_learn_from_the_id_of_the_run() {
    let place = Place::new();
    place.edit("project/staging/people.sql", "age from", "age, $run_id as run from");
    let said = crate::support::fails(2, &["check", "--project", text(&place.project())]);
    assert!(said.contains("a model may not learn from `$run_id`, which `staging.people` uses"), "{said}");
}
