//! Behaviour segments of generated worlds: as near to the personas as scikit-learn's, kept by the same people on other
//! days, chosen and refused by stated figures.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::lookalikes::points;
use crate::support::project::write;
use crate::support::python::script;
use crate::support::world::{generate, rows, small_lake};
use crate::support::{fails, ok, repository, text};

/// The built-in project with another header of the behaviour model, and settings.
fn project(settings: &str, replace: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let model = repository().join("sql/retail/models/behaviour_model.sql");
    let mut model = std::fs::read_to_string(model).unwrap();
    for (from, to) in replace {
        assert!(model.contains(from), "{from}");
        model = model.replace(from, to);
    }
    let toml = format!("name = \"own\"\nextends = \"retail\"\n\n[settings]\n{settings}\n");
    write(folder.path(), &[("project.toml", &toml), ("models/behaviour_model.sql", &model)]);
    folder
}

fn run(lake: &Path, project: &Path, as_of: &str) {
    ok(&["run", "--project", text(project), "--lake", text(lake), "--as-of", as_of]);
}

#[test]
fn a_kept_model_whose_customers_have_drifted_is_not_published_unless_accepted() {
    let project = project("max_drift = 0.05", &[("-- refit: drifted\n", "-- refit: never\n")]);
    let lake = small_lake();
    let [lake, project] = [text(lake.path()), text(project.path())];
    ok(&["run", "--project", project, "--lake", lake, "--as-of", "2025-02-01"]);
    let instants = || rows(Path::new(lake), "select distinct as_of from segments").len();
    let run = ["run", "--project", project, "--lake", lake, "--as-of", "latest"];
    let said = fails(4, &run);
    assert!(said.contains("models_not_drifted") && said.contains("stability_index"), "{said}");
    assert!(said.contains("recency_days") || said.contains("active_days"), "{said}");
    assert_eq!(instants(), 1);
    ok(&[&run[..], &["--accept-drift"]].concat());
    assert_eq!(instants(), 2);
    let drift = "select max(stability_index) as most, count(*) as features from model_drift where as_of = \
                 (select max(as_of) from model_drift)";
    let drift = &rows(Path::new(lake), drift)[0];
    assert!(drift["most"].as_f64().unwrap() > 0.05 && drift["features"] == 11, "{drift}");
}

#[test]
fn a_model_that_may_follow_its_customers_is_trained_anew_when_they_drift() {
    let lake = small_lake();
    let lake = text(lake.path());
    ok(&["run", "--lake", lake, "--as-of", "2025-02-01"]);
    let first = rows(Path::new(lake), "select distinct segment, segment_name from segments");
    ok(&["run", "--lake", lake, "--as-of", "latest"]);
    let drift = "select max(stability_index) as most from model_drift where as_of = (select max(as_of) from model_drift)";
    assert!(rows(Path::new(lake), drift)[0]["most"].as_f64().unwrap() < 0.25);
    // ids of segments that are new begin after those there were
    let lineage = "select segment, status from segment_lineage where family = 'behaviour'";
    for row in rows(Path::new(lake), lineage) {
        let id: usize = row["segment"].as_str().unwrap().parse().unwrap();
        assert_eq!(id >= first.len(), row["status"] == "born" || row["status"] == "split", "{row}");
    }
}

#[test]
fn the_number_of_segments_is_chosen_among_those_that_may_be_published() {
    let project = project("", &[("-- k: 3..8\n-- choose_by: most\n", "-- k: 3..6\n-- bootstraps: 4\n")]);
    let lake = small_lake();
    run(lake.path(), project.path(), "latest");
    let tried = rows(lake.path(), "select * from model_selection order by k");
    assert_eq!(tried.iter().map(|row| row["k"].as_i64().unwrap()).collect::<Vec<_>>(), [3, 4, 5, 6]);
    let number = |row: &Value, figure: &str| row[figure].as_f64().unwrap();
    let chosen: Vec<&Value> = tried.iter().filter(|row| row["chosen"] == true).collect();
    let [chosen] = chosen.as_slice() else { panic!("{tried:?}") };
    let publishable = tried.iter().filter(|row| number(row, "stability") >= 0.6);
    let best = publishable.map(|row| number(row, "silhouette")).fold(f64::MIN, f64::max);
    assert_eq!(number(chosen, "silhouette"), best, "{tried:?}");
    assert!(chosen["reason"].as_str().unwrap().contains("silhouette"), "{chosen}");
    for row in &tried {
        for figure in ["calinski_harabasz", "davies_bouldin", "gap", "gap_error", "inertia", "largest_share"]
        {
            assert!(number(row, figure).is_finite(), "{figure} of {row}");
        }
    }
    let segments = rows(lake.path(), "select count(distinct segment) as k from segments");
    assert_eq!(segments[0]["k"], chosen["k"]);
}

#[test]
fn an_unstable_model_is_refused_with_the_figure() {
    let project = project("", &[("-- k: 3..8\n", "-- k: 7..8\n-- min_stability: 1\n")]);
    let lake = small_lake();
    let said = fails(4, &["run", "--project", text(project.path()), "--lake", text(lake.path())]);
    assert!(said.contains("adjusted Rand index of 0.") && said.contains("min_stability: 1"), "{said}");
}

#[test]
fn profiles_compare_each_segment_with_everyone() {
    let lake = crate::support::world::small_run();
    let profiles = rows(lake, "select * from segment_profiles order by segment, place");
    let segments =
        rows(lake, "select segment, count(*) as customers from segments group by segment order by segment");
    assert_eq!(profiles.len(), 11 * segments.len());
    for segment in &segments {
        let own: Vec<&Value> = profiles.iter().filter(|row| row["segment"] == segment["segment"]).collect();
        assert!(own.iter().all(|row| row["customers"] == segment["customers"]));
        let sizes: Vec<f64> =
            own.iter().map(|row| row["effect_size"].as_f64().unwrap_or(0.0).abs()).collect();
        assert!(sizes.windows(2).all(|pair| pair[0] >= pair[1]), "{sizes:?}");
    }
    // means of the segments, weighed by who has a value, give the mean of everyone
    let whole =
        "select feature, sum(mean * known_share * customers) / sum(known_share * customers) as of_parts,
            max(base_mean) as base from segment_profiles group by feature order by feature";
    for row in rows(lake, whole) {
        let (parts, base) = (row["of_parts"].as_f64().unwrap(), row["base"].as_f64().unwrap());
        assert!((parts - base).abs() < 1e-6 * base.abs().max(1.0), "{row}");
    }
}

/// A line each customer: an account, the segment, the place in the model's space.
async fn placed(lake: &Path) -> String {
    let points = points(lake, &repository().join("sql/retail")).await;
    let accounts = "select c.customer_id, min(a.account_id) as account_id, min(s.segment) as segment
        from segments.segments as s
        inner join features.customers as c on s.customer_id = c.customer_id
        inner join identity.account_person as a on c.customer_id = a.customer_id
        group by c.customer_id order by c.customer_id";
    let mut lines = String::new();
    for row in rows(lake, accounts) {
        let point = points[row["customer_id"].as_str().unwrap()].iter().map(f64::to_string);
        let point = point.collect::<Vec<_>>().join(",");
        writeln!(lines, "{},{},{point}", row["account_id"].as_str().unwrap(), row["segment"]).unwrap();
    }
    lines
}

/// Adjusted Rand against the personas: of Strata's segments, and of scikit-learn's k-means and HDBSCAN on the same matrix.
const BESIDE: &str = r#"
import sys, csv, duckdb
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.metrics import adjusted_rand_score
truth = duckdb.sql(f"""select account_id, persona from '{sys.argv[1]}/truth/accounts.parquet'
    join '{sys.argv[1]}/truth/persons.parquet' using (person_id)""").fetchall()
truth = dict(truth)
lines = [line for line in csv.reader(open(sys.argv[2])) if line[0] in truth]
personas = [truth[line[0]] for line in lines]
segments = [int(line[1]) for line in lines]
matrix = [[float(value) for value in line[2:]] for line in lines]
model = KMeans(n_clusters=len(set(segments)), n_init=16, random_state=0).fit(matrix)
dense = HDBSCAN(min_cluster_size=20, copy=True).fit(matrix)
print(*(adjusted_rand_score(personas, labels) for labels in (segments, model.labels_, dense.labels_)))
"#;

#[tokio::test]
async fn segments_tell_the_personas_as_well_as_those_of_scikit_learn() {
    for seed in ["42", "3"] {
        let lake = tempfile::tempdir().unwrap();
        generate(lake.path(), &["--scale", "0.02", "--days", "120", "--seed", seed]);
        ok(&["run", "--lake", text(lake.path())]);
        let matrix = lake.path().join("matrix.csv");
        std::fs::write(&matrix, placed(lake.path()).await).unwrap();
        let said = script(BESIDE, &[text(lake.path()), text(&matrix)]);
        let rand: Vec<f64> = said.split_whitespace().map(|number| number.parse().unwrap()).collect();
        println!("seed {seed}: {rand:?}");
        // both minimise the same inertia, so they may differ by the rows on a boundary only
        assert!(
            rand[0] >= rand[1] - 0.005 && rand[0] >= rand[2],
            "adjusted Rand {} beside {:?}",
            rand[0],
            &rand[1..]
        );
    }
}
