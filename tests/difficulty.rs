//! The generated world is neither trivial nor hopeless: who trusts a score on it must not be flattered by it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::support::python::script;
use crate::support::text;
use crate::support::world::generate;

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
