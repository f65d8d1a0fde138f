//! No value of the data ends a run: dates of other ages go to quarantine, and no cast or sum of any stage fails.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray,
};
use parquet::arrow::ArrowWriter;
use strata::engine::planning_state;
use strata::project::Project;

use crate::support::extremes::extreme_rows;
use crate::support::stages::Stages;
use crate::support::world::{generate, rows};
use crate::support::{ok, project, repository, text};

/// The projects whose raw tables are fed with extreme values.
const PROJECTS: [&str; 6] = [
    "../sql/retail",
    "../sql/complete_journey",
    "../tests/projects/purchases",
    "../tests/projects/cdnow",
    "../tests/projects/ecom",
    "../tests/projects/febrl",
];

/// Whether a model says that nothing can be learned from such rows, which is no failure of a computation.
fn is_refusal(stage: &str, error: &str) -> bool {
    stage.starts_with("models.") && (error.contains("train on more") || error.contains("make them NULL"))
}

/// Each stage computes what its inputs, themselves computed from extreme raw values, let through.
#[tokio::test(flavor = "multi_thread")]
async fn no_stage_fails_on_extreme_values() {
    let mut failures = Vec::new();
    for project in PROJECTS {
        let mut stages = Stages::new(project);
        for (name, schema) in stages.sources() {
            stages.give(&name, &extreme_rows(&schema));
        }
        stages.set_as_of("2025-06-01").unwrap();
        for stage in stages.stages() {
            // shown with --nocapture
            eprintln!("{project} {stage}");
            if let Err(error) = stages.keep(&stage).await
                && !is_refusal(&stage, &error)
            {
                failures.push(format!("{project} {stage}: {error}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Microseconds since 1970 of 2025-03-01 12:00 UTC.
const NOON: i64 = 1_740_830_400_000_000;
/// The same of 0001-01-01 and 9999-12-31, UTC.
const YEAR_1: i64 = -62_135_596_800_000_000;
const YEAR_9999: i64 = 253_402_214_400_000_000;

/// Instants that no purchase can have.
const IMPOSSIBLE: [i64; 6] = [YEAR_1, YEAR_9999, i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX];

fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

/// The customers, instants and amounts of a few purchases: `instants` first, then plausible ones of 60 customers.
fn purchases(instants: Vec<i64>) -> (ArrayRef, Vec<i64>, ArrayRef) {
    let plausible = (0..180).map(|row| NOON + row * 86_400_000_000 / 3);
    let instants: Vec<i64> = instants.into_iter().chain(plausible).collect();
    let customers = StringArray::from_iter_values((0..instants.len()).map(|row| format!("c{}", row % 60)));
    let amounts = Float64Array::from_iter_values((0..instants.len()).map(|row| 5.0 + row as f64));
    (Arc::new(customers), instants, Arc::new(amounts))
}

/// The rows that each rule rejected.
fn rejected(lake: &Path, stage: &str) -> Vec<String> {
    let query = format!(
        "select rule, rows from quality where stage = '{stage}' and action = 'rejected' order by rule"
    );
    let found = rows(lake, &query);
    found.iter().map(|row| format!("{} {}", row["rule"].as_str().unwrap(), row["rows"])).collect()
}

/// Purchases in files of each unit of time, dated in the years 1 and 9999 and at the ends of what 64 bits can hold.
#[test]
fn a_run_sets_impossible_instants_apart() {
    let template = repository().join("tests/projects/purchases");
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("purchases");
    for file in ["project.toml", "raw/purchases.sql", "staging/order_lines.sql", "staging/orders.sql"] {
        let text = std::fs::read_to_string(template.join(file)).unwrap();
        project::write(&project, &[(file, &text.replace("stored as csv", "stored as parquet"))]);
    }
    let lake = folder.path().join("lake");
    let (customers, micros, amounts) = purchases(IMPOSSIBLE.to_vec());
    let in_unit = |per_unit: i64| -> Vec<i64> {
        let ends =
            |at: &i64| if at.unsigned_abs() > i64::MAX as u64 - 2 { *at } else { at.div_euclid(per_unit) };
        micros.iter().map(ends).collect()
    };
    let units: [(&str, ArrayRef); 3] = [
        ("micros", Arc::new(TimestampMicrosecondArray::from(in_unit(1)))),
        ("millis", Arc::new(TimestampMillisecondArray::from(in_unit(1000)))),
        ("utc", Arc::new(TimestampMillisecondArray::from(in_unit(1000)).with_timezone("UTC"))),
    ];
    for (name, instants) in units {
        let columns =
            vec![("customer_id", customers.clone()), ("purchased_at", instants), ("amount", amounts.clone())];
        write_parquet(&lake.join(format!("raw/purchases/{name}.parquet")), columns);
    }
    ok(&["run", "--project", text(&project), "--lake", text(&lake), "--as-of", "2025-08-01"]);
    // those of the future have not happened yet: a run reads them as little as any later row
    assert_eq!(rejected(&lake, "staging.order_lines"), ["out_of_range 9"]);
    let customers = rows(&lake, "select count(*) as customers, sum(frequency) as orders from customer_360");
    assert_eq!((&customers[0]["customers"], &customers[0]["orders"]), (&60.into(), &180.into()));
}

/// Rows of a generated world beside rows with each extreme value of each column, in folders of every age: the run ends
/// well, and what is out of range is found by its rule.
#[test]
fn a_world_with_extreme_values_is_run_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, project) = (folder.path().join("lake"), folder.path().join("project"));
    generate(&lake, &["--scale", "0.002", "--days", "20", "--seed", "5"]);
    // small tables are extreme for the most part
    let toml = "name = \"extreme\"\nextends = \"retail\"\ntime_zone = \"Asia/Shanghai\"\n[settings]\nmax_rejected_share = 1.0\n";
    project::write(&project, &[("project.toml", toml)]);
    let retail = Project::load("retail", &planning_state().unwrap()).unwrap();
    for source in retail.sources.values() {
        let rows = extreme_rows(&source.file_schema());
        let columns: Vec<(&str, ArrayRef)> = rows
            .schema_ref()
            .fields()
            .iter()
            .map(|f| f.name().as_str())
            .zip(rows.columns().to_vec())
            .collect();
        let days = [
            "2025-01-05",
            "0001-01-01",
            "-0044-03-15",
            "1899-12-31",
            "2200-01-01",
            "9999-12-31",
            "+10000-01-01",
        ];
        let folders = match &source.day {
            Some(day) => days.iter().map(|date| format!("{}/{day}={date}", source.location)).collect(),
            None => vec![source.location.clone()],
        };
        for place in folders {
            write_parquet(&lake.join(place).join("extreme.parquet"), columns.clone());
        }
    }
    ok(&["run", "--project", text(&project), "--lake", text(&lake), "--as-of", "2025-06-01"]);
    for stage in
        ["staging.orders", "staging.returns", "staging.messages", "staging.texts", "facts.daily_activity"]
    {
        let found = rejected(&lake, stage);
        assert!(found.iter().any(|rule| rule.starts_with("out_of_range ")), "{stage}: {found:?}");
    }
}
