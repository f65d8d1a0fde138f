//! A project and a lake in which one thing can be changed at a time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use strata::engine::{EngineOptions, planning_state};
use strata::lake::Lake;
use strata::project::Project;
use strata::query::Reader;
use strata::run::{Outcome, Reporter, RunManifest, RunOptions, run};
use tempfile::TempDir;

use super::project::write;
use super::text;

/// Visits by day, customers of a model, seeds that may be missing; one published table names the run, another
/// does not.
const PROJECT: &[(&str, &str)] = &[
    (
        "project.toml",
        "name = \"matrix\"\ntime_zone = \"UTC\"\n\n[settings]\nlarge = 100\nshare = 0.5\nunused_by_stages = 1\n",
    ),
    (
        "raw/visits.sql",
        "-- Visits.\n-- grain: id\n-- event_time: at\n-- clock: true\n\
         create external table raw.visits (id varchar, customer varchar, spent double, at timestamp(6), day date)\n\
         stored as csv partitioned by (day) location 'raw/visits/'\n",
    ),
    (
        "raw/people.sql",
        "-- People.\n-- grain: customer\ncreate external table raw.people (customer varchar, age bigint)\n\
         stored as csv location 'raw/people/'\n",
    ),
    (
        "raw/seeds.sql",
        "-- Seeds.\n-- grain: customer\n-- may_be_empty: true\ncreate external table raw.seeds (customer varchar)\n\
         stored as csv location 'raw/seeds/'\n",
    ),
    (
        "staging/visits.sql",
        "-- Visits with the hour on the wall.\n-- grain: day, id\n-- store: daily\n-- day: day\n\
         select id, trim_to_null(customer) as customer, to_money(spent) as spent, local_hour(at, $time_zone) as hour, day\n\
         from raw.visits\n",
    ),
    (
        "staging/named.sql",
        "-- Visits of somebody.\n-- store: view\nselect day, customer, spent, hour from staging.visits where customer is not null\n",
    ),
    (
        "staging/people.sql",
        "-- People.\n-- grain: customer\n-- store: table\nselect fold_width(customer) as customer, age from raw.people\n",
    ),
    ("staging/seeds.sql", "-- Seeds.\n-- grain: customer\n-- store: table\nselect customer from raw.seeds\n"),
    (
        "features/spend.sql",
        "-- What each customer spent.\n-- grain: customer\n-- store: table\n\
         select customer, sum(spent) as spent, max(hour) as hour from staging.named group by customer having sum(spent) < $large\n",
    ),
    (
        "models/ages.sql",
        "-- Ages.\n-- kind: reference\n-- refit: never\n-- quantiles: 0.5\nselect customer, age * $share as age from staging.people\n",
    ),
    (
        "segments/spend.sql",
        "-- What each customer spent, as of a day.\n-- grain: as_of, customer\n-- store: table\n\
         select customer, $as_of as as_of, spent, hour from features.spend\n",
    ),
    (
        "segments/scores.sql",
        "-- How old customers are among others.\n-- grain: as_of, customer\n-- store: table\n\
         select customer, $as_of as as_of, quantile_score(age, $ages, 'age') as score from staging.people\n",
    ),
    (
        "segments/seeded.sql",
        "-- Seeds of a run.\n-- grain: as_of, customer\n-- store: table\n\
         select customer, $as_of as as_of, $run_id as run_id from staging.seeds\n",
    ),
    (
        "segments/kept.sql",
        "-- Seeds once more.\n-- grain: customer\n-- store: table\n-- publish: none\nselect customer from staging.seeds\n",
    ),
    (
        "audits/fine.sql",
        "-- Nothing costs so much.\nselect customer from segments.spend where spent > 1000 * $unused_by_stages\n",
    ),
];

const RAW: &[(&str, &str)] = &[
    (
        "raw/visits/day=2025-01-01/a.csv",
        "id,customer,spent,at\n1,ann,10.5,2025-01-01T10:00:00\n2,bob,3.25,2025-01-01T23:30:00\n",
    ),
    (
        "raw/visits/day=2025-01-02/a.csv",
        "id,customer,spent,at\n3,ann,1,2025-01-02T10:00:00\n#4,cid,15,2025-01-02T11:00:00\n",
    ),
    ("raw/people/a.csv", "customer,age\nann,30\nbob,40\ncid,50\n"),
    ("raw/seeds/a.csv", "customer\nann\n"),
];

/// The tables that the project publishes, without those that a case publishes too.
const PUBLISHED: &[&str] = &["spend", "scores", "seeded"];

/// A lake and a project that lie side by side.
pub struct Place(TempDir);

impl Place {
    /// The project, and raw files that no run has read yet.
    pub fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        write(&place.lake(), RAW);
        write(&place.project(), PROJECT);
        place
    }

    /// The lake's folder.
    pub fn lake(&self) -> PathBuf {
        self.0.path().join("lake")
    }

    /// The project's folder.
    pub fn project(&self) -> PathBuf {
        self.0.path().join("project")
    }

    /// The same once more, with what runs have left.
    pub fn copy(&self) -> Place {
        let copy = Place(tempfile::tempdir().unwrap());
        for part in ["lake", "project"] {
            let done = Command::new("cp").arg("-r").arg(self.0.path().join(part)).arg(copy.0.path()).status();
            assert!(done.unwrap().success());
        }
        copy
    }

    /// The same raw files and project, and nothing that a run has left.
    pub fn without_runs(&self) -> Place {
        let fresh = self.copy();
        for entry in std::fs::read_dir(fresh.lake()).unwrap().map(|entry| entry.unwrap().path()) {
            match (entry.ends_with("raw"), entry.is_dir()) {
                (true, _) => {}
                (false, true) => std::fs::remove_dir_all(entry).unwrap(),
                (false, false) => std::fs::remove_file(entry).unwrap(),
            }
        }
        fresh
    }

    /// Replaces `from` in a file.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let path = self.0.path().join(path);
        let before = std::fs::read_to_string(&path).unwrap();
        let after = before.replace(from, to);
        assert_ne!(before, after, "{} does not hold `{from}`", path.display());
        std::fs::write(path, after).unwrap();
    }

    /// A run that publishes, by a program that is this one but for its revisions.
    pub async fn run(&self, program: fn(&mut Project), options: RunOptions) -> RunManifest {
        match self.try_run(program, options).await {
            Outcome::Published(manifest) => *manifest,
            other => panic!("{other:?}"),
        }
    }

    async fn try_run(&self, program: fn(&mut Project), options: RunOptions) -> Outcome {
        let mut project = Project::load(text(&self.project()), &planning_state().unwrap()).unwrap();
        program(&mut project);
        let lake = Lake::open(text(&self.lake())).unwrap();
        run(&lake, &project, &options, &Reporter::new(true)).await.unwrap()
    }

    /// All rows of the published tables.
    pub async fn published(&self) -> BTreeMap<&'static str, String> {
        let lake = Lake::open(text(&self.lake())).unwrap();
        let reader = Reader::open(&lake, EngineOptions::default()).await.unwrap();
        let mut tables = BTreeMap::new();
        for table in PUBLISHED {
            let rows =
                reader.query(&format!("select * from {table} order by as_of, customer")).await.unwrap();
            let rows: Vec<_> = rows.try_collect().await.unwrap();
            tables.insert(*table, pretty_format_batches(&rows).unwrap().to_string());
        }
        tables
    }
}
