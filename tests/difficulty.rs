//! The generated world is neither trivial nor hopeless: who trusts a score on it must not be flattered by it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::support::python::script;
use crate::support::world::generate;
use crate::support::{ok, text};

/// Adjusted Rand of scikit-learn's k-means on the standardised true features against the personas.
const PERSONAS: &str = r#"
import sys, duckdb
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler
persons = duckdb.sql(f"select * from '{sys.argv[1]}/truth/persons.parquet' order by person_id")
names = [name for name in persons.columns if name not in ("person_id", "persona")]
features = duckdb.sql(f"select {', '.join(names)} from persons").fetchall()
personas = [row[0] for row in duckdb.sql("select persona from persons").fetchall()]
assert len(names) >= 5 and len(set(personas)) == 8, (names, set(personas))
labels = KMeans(n_clusters=8, n_init=10, random_state=0).fit_predict(StandardScaler().fit_transform(features))
print(adjusted_rand_score(personas, labels))
"#;

/// Precision and recall of the pairs of accounts that a CSV of `account_id,customer_id` ties together.
const PAIRS: &str = r#"
import sys, duckdb
lake, said = sys.argv[1:]
duckdb.sql(f"""create table accounts as
select t.account_id, t.person_id, s.customer_id
from '{lake}/truth/accounts.parquet' t left join read_csv('{said}', header = true, all_varchar = true) s using (account_id)""")
assert duckdb.sql("select count(*) from accounts where customer_id is null").fetchall() == [(0,)]
pairs = lambda by: duckdb.sql(f"select sum(n * (n - 1) / 2) from (select count(*) n from accounts group by {by})").fetchall()[0][0]
right = pairs("customer_id, person_id")
print(right / pairs("customer_id"), right / pairs("person_id"))
"#;

/// Two worlds, so that a bound is not met by chance.
const WORLDS: [&[&str]; 2] = [
    &["--scale", "0.02", "--days", "20", "--seed", "42"],
    &["--scale", "0.02", "--days", "20", "--seed", "3"],
];

#[test]
fn personas_overlap_but_can_be_told_apart() {
    for world in WORLDS {
        let lake = tempfile::tempdir().unwrap();
        generate(lake.path(), world);
        let rand: f64 = script(PERSONAS, &[text(lake.path())]).trim().parse().unwrap();
        assert!((0.50..=0.85).contains(&rand), "{world:?}: adjusted Rand {rand}");
    }
}

#[test]
fn exact_matching_finds_some_but_not_all_of_a_person() {
    for world in WORLDS {
        let lake = tempfile::tempdir().unwrap();
        generate(lake.path(), world);
        ok(&["run", "--lake", text(lake.path()), "--as-of", "latest"]);
        let matched = lake.path().join("matched.csv");
        let query = "select account_id, customer_id from identity.account_person";
        ok(&["sql", "--lake", text(lake.path()), "--format", "csv", "--out", text(&matched), query]);
        let said = script(PAIRS, &[text(lake.path()), text(&matched)]);
        let scores: Vec<f64> = said.split_whitespace().map(|score| score.parse().unwrap()).collect();
        let (precision, recall) = (scores[0], scores[1]);
        let f1 = 2.0 * precision * recall / (precision + recall);
        assert!((0.60..=0.80).contains(&f1), "{world:?}: F1 {f1} (precision {precision}, recall {recall})");
    }
}
