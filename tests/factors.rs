//! Principal components as tables and before clustering; what is published of the features of the built-in project.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::project::write;
use crate::support::world::{rows, small_run};
use crate::support::{ok, repository, text};

/// The wines of the library's own tests, in two files whose rows stand in another order, `turned` or not.
fn wine_lake(turned: bool) -> TempDir {
    let wines = std::fs::read_to_string(repository().join("pipeline/src/cluster/fixtures/wine.csv")).unwrap();
    let (header, lines) = wines.split_once('\n').unwrap();
    let mut lines: Vec<String> =
        (1..).zip(lines.lines()).map(|(id, line)| format!("{id},2025-01-01T00:00:00,{line}\n")).collect();
    if turned {
        lines.reverse();
    }
    let mut files = [String::new(), String::new()];
    for (at, line) in lines.iter().enumerate() {
        let file = &mut files[usize::from(at >= if turned { 40 } else { 120 })];
        if file.is_empty() {
            writeln!(file, "wine_id,analysed_at,{header}").unwrap();
        }
        file.push_str(line);
    }
    let lake = tempfile::tempdir().unwrap();
    write(lake.path(), &[("raw/wines/a.csv", files[0].as_str()), ("raw/wines/b.csv", files[1].as_str())]);
    lake
}

fn run(lake: &Path, threads: &str) {
    ok(&["run", "--project", "tests/projects/wine", "--lake", text(lake), "--threads", threads]);
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn wines_are_clustered_by_their_components() {
    let lake = wine_lake(false);
    run(lake.path(), "2");
    // scikit-learn 1.9: PCA(3) after StandardScaler, KMeans(3, n_init=200, tol=0) on the scores
    let shares = rows(lake.path(), "select share, kept, name from components order by factor");
    assert_eq!(shares.len(), 13);
    for (row, expected) in shares.iter().zip([0.361988, 0.192075, 0.111236, 0.070690]) {
        assert!((number(&row["share"]) - expected).abs() < 1e-6, "{row}");
    }
    assert_eq!(shares.iter().filter(|row| row["kept"] == true).count(), 3);
    assert_eq!(shares[0]["name"], "high flavanoids, high total_phenols, high od280_od315_of_diluted_wines");
    // cultivars are wines 1 to 59, 60 to 130 and 131 to 178
    let found = rows(
        lake.path(),
        "select case when wine_id < 60 then 1 when wine_id < 131 then 2 else 3 end as cultivar, segment,
            count(*) as wines, sum(distance * distance) as inertia
        from wines group by 1, 2 order by 1, wines desc",
    );
    let wines: Vec<i64> = found.iter().map(|row| row["wines"].as_i64().unwrap()).collect();
    assert_eq!(wines, [59, 64, 4, 3, 48], "{found:?}");
    let inertia: f64 = found.iter().map(|row| number(&row["inertia"])).sum();
    assert!((inertia / 512.999_506_766_152_8 - 1.0).abs() < 1e-6, "{inertia}");
    let first = rows(lake.path(), "select component_1 from wines where wine_id = 1");
    assert!((number(&first[0]["component_1"]) - 3.316_750_812_2).abs() < 1e-6, "{first:?}");
    // the order of rows, files and threads changes nothing
    let published = |lake: &Path| {
        let wines = rows(lake, "select * from wines order by wine_id");
        (wines, rows(lake, "select * from components order by factor"))
    };
    let turned = wine_lake(true);
    run(turned.path(), "7");
    assert_eq!(published(lake.path()), published(turned.path()));
}

#[test]
fn the_features_of_the_behaviour_model_are_reported() {
    let lake = small_run();
    let features = rows(lake, "select * from model_features order by feature");
    let names: Vec<&str> = features.iter().map(|row| row["feature"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "active_days",
            "avg_order_value",
            "busiest_month_share",
            "categories",
            "discounted_share",
            "orders",
            "recency_days",
            "recent_share",
            "return_rate",
            "store_share",
            "views_per_active_day"
        ]
    );
    // against the engine's own figures
    let counted = rows(
        lake,
        "select count(*) as customers, count(*) filter (where recency_days is null) as missing,
            avg(cast(recency_days as double)) as mean, stddev_pop(cast(recency_days as double)) as deviation,
            min(recency_days) as minimum, max(recency_days) as maximum
        from customer_360 where recency_days is not null or active_days > 0",
    );
    let (counted, recency) = (&counted[0], &features[6]);
    assert_eq!(recency["customers"], counted["customers"]);
    let missing = number(&counted["missing"]) / number(&counted["customers"]);
    assert!((number(&recency["missing_share"]) - missing).abs() < 1e-12, "{recency}");
    for figure in ["mean", "deviation", "minimum", "maximum"] {
        assert!((number(&recency[figure]) - number(&counted[figure])).abs() < 1e-9, "{figure}: {recency}");
    }
    assert!(
        features.iter().all(|row| row["transform"].is_string() && number(&row["scale"]) > 0.0),
        "{features:?}"
    );
    // sixty days are one window: every active day is recent
    let recent = &features[7];
    assert_eq!((&recent["constant"], recent.get("nearest_feature")), (&true.into(), None), "{recent}");

    let varying = features.iter().filter(|row| row["constant"] == false).count();
    let variances = rows(lake, "select * from factor_variance order by factor");
    assert_eq!(variances.len(), varying, "a component for each feature that varies");
    let kept: Vec<&Value> = variances.iter().filter(|row| row["kept"] == true).collect();
    let above = variances.iter().filter(|row| number(&row["eigenvalue"]) > 1.0).count();
    assert_eq!(kept.len(), above);
    let loadings = rows(lake, "select * from factor_loadings order by factor, feature");
    assert_eq!(loadings.len(), kept.len() * features.len());
    for (factor, row) in (1..).zip(&kept) {
        let of = loadings.iter().filter(|loading| loading["factor"] == factor);
        let (mut squares, mut largest) = (0.0, 0.0f64);
        for loading in of {
            assert_eq!(loading["factor_name"], row["factor_name"]);
            squares += number(&loading["loading"]).powi(2);
            largest = if number(&loading["loading"]).abs() > largest.abs() {
                number(&loading["loading"])
            } else {
                largest
            };
        }
        assert!((squares - number(&row["variance"])).abs() < 1e-9, "{row}");
        assert!(largest > 0.0 && row["factor_name"].as_str().unwrap().starts_with("high "), "{row}");
    }
}
