//! RFM scores of later runs: by the cut points of the first one, or by those of their own customers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::support::project::write;
use crate::support::python::script;
use crate::support::world::{export, small_lake};
use crate::support::{ok, repository, text};

#[test]
fn cut_points_stay_frozen_until_the_header_says_refit() {
    for (header, expected) in [
        ("-- refit: never\n", "first"),
        ("-- refit: drifted\n-- max_drift: 1000\n-- max_move: 1000\n", "first"),
        // from 45 days on to 60, sums grow by more than a tenth; who says nothing means this
        ("", "own"),
        ("-- refit: always\n", "own"),
    ] {
        let (project, lake, folder) =
            (tempfile::tempdir().unwrap(), small_lake(), tempfile::tempdir().unwrap());
        let reference =
            std::fs::read_to_string(repository().join("sql/retail/models/rfm_reference.sql")).unwrap();
        let reference = reference.replace("-- refit: drifted\n", header);
        let toml = "name = \"own\"\nextends = \"retail\"\n";
        write(project.path(), &[("project.toml", toml), ("models/rfm_reference.sql", &reference)]);
        for as_of in ["2025-02-15", "latest"] {
            ok(&["run", "--project", text(project.path()), "--lake", text(lake.path()), "--as-of", as_of]);
        }
        export(lake.path(), "customer_360", folder.path());
        let said = script(SCORES, &[text(&folder.path().join("customer_360.parquet")), expected]);
        let counts: Vec<u64> = said.split_whitespace().map(|count| count.parse().unwrap()).collect();
        assert!(counts[0] > 300 && counts[1] > 30, "{header}: {said}");
    }
}

/// Scores of the second run by the cut points of one of the two: how many there are, and how many the other would give.
const SCORES: &str = r#"
import bisect, sys, duckdb
file, expected = sys.argv[1:]
rows = duckdb.sql(f"""select dense_rank() over (order by as_of), recency_days, frequency_window, monetary_window,
    recency_score, frequency_score, monetary_score from '{file}' where frequency > 0""").fetchall()
def cuts(run, column):
    values = sorted(row[column] for row in rows if row[0] == run and row[2] > 0)
    return [values[-(-len(values) * fifth // 5) - 1] for fifth in (1, 2, 3, 4)]
def scores(run):
    by = [cuts(run, column) for column in (1, 2, 3)]
    def score(row, column):
        place = 1 + bisect.bisect_left(by[column - 1], row[column])
        return 6 - place if column == 1 else place
    return [tuple(score(row, column) for column in (1, 2, 3)) for row in rows if row[0] == 2]
published = [row[4:] for row in rows if row[0] == 2]
first, own = scores(1), scores(2)
right, other = (first, own) if expected == "first" else (own, first)
assert published == right, [pair for pair in zip(published, right) if pair[0] != pair[1]][:5]
print(len(published), sum(one != two for one, two in zip(published, other)))
"#;
