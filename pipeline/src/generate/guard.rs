//! Where a world may be written: to an empty lake, or to one that holds the same world already.

use serde_json::Value;

use super::truth::TABLES;
use super::{GenerateSummary, WorldSettings, generate, write};
use crate::lake::Lake;
use crate::{Context, Error, Result};

/// The file that says which world a lake holds: its settings.
const MARKER: &str = "truth/world.json";

/// Writes a world to a lake that is empty or that holds the same world, files of it or all. What the truth
/// tells of persons lies in a folder that its owner alone may read.
///
/// # Errors
/// [`Error::Usage`] when the lake holds another world or anything else, and what [`generate`] refuses.
pub async fn generate_into(lake: &Lake, settings: &WorldSettings) -> Result<GenerateSummary> {
    settings.validate()?;
    let ours = serde_json::to_vec_pretty(settings).context("writing the settings of the world")?;
    match lake.get(MARKER).await? {
        None => {
            if let Some(found) = lake.first("").await? {
                return Err(refused(lake, &format!("`{found}`, and no `{MARKER}` of a generated world")));
            }
            lake.make_private("truth")?;
            if !lake.create(MARKER, ours.into()).await? {
                return Err(refused(lake, "a world that another process has begun"));
            }
        }
        Some(theirs) if theirs == ours => refuse_strangers(lake).await?,
        Some(theirs) => {
            let found = format!("a world with other settings: {}", differences(&theirs, &ours));
            return Err(refused(lake, &found));
        }
    }
    generate(settings, lake.store().clone(), &lake.path("")).await
}

fn refused(lake: &Lake, found: &str) -> Error {
    Error::Usage(format!(
        "lake {} holds {found}; nothing was written\nhelp: give an empty folder or prefix with --lake, or remove what is there",
        lake.url()
    ))
}

/// Refuses raw or truth files that no world has. Those of runs are not looked at.
async fn refuse_strangers(lake: &Lake) -> Result<()> {
    for folder in ["raw", "truth"] {
        for found in lake.list(folder).await? {
            let path = lake.relative(&found.location).unwrap_or_default();
            if path != MARKER && !is_of_a_world(path) {
                return Err(refused(lake, &format!("`{path}`, which is not of its generated world")));
            }
        }
    }
    Ok(())
}

fn is_of_a_world(path: &str) -> bool {
    let Some(path) = path.strip_suffix(".parquet") else { return false };
    let Some(raw) = path.strip_prefix("raw/") else { return TABLES.contains(&path) };
    let parts: Vec<&str> = raw.split('/').collect();
    match (parts.as_slice(), parts.first().and_then(|table| write::partition_column(table))) {
        ([table, file], None) => !write::schema(table).fields().is_empty() && file.starts_with("arrived-"),
        ([_, folder, file], Some(column)) => {
            folder.split_once('=').is_some_and(|(name, _)| name == column) && file.starts_with("arrived-")
        }
        _ => false,
    }
}

/// The settings that differ, as `name 1 (not 2)`.
fn differences(theirs: &[u8], ours: &[u8]) -> String {
    let read = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap_or_default();
    let (theirs, ours) = (read(theirs), read(ours));
    let settings = ours.as_object().into_iter().flatten().filter(|(name, value)| theirs[*name] != **value);
    let differing: Vec<String> =
        settings.map(|(name, value)| format!("{name} {} (not {value})", theirs[name])).collect();
    differing.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Days, NaiveDate};

    fn tiny() -> WorldSettings {
        WorldSettings { scale: 0.0002, days: 4, threads: 1, ..WorldSettings::default() }
    }

    async fn files(lake: &Lake) -> Vec<String> {
        let found = lake.list("").await.unwrap();
        found.iter().map(|meta| lake.relative(&meta.location).unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn a_world_is_written_again_over_itself_and_by_days_of_arrival() {
        let lake = Lake::open("memory://").unwrap();
        let day = |n: u64| NaiveDate::from_ymd_opt(2025, 1, 1).unwrap() + Days::new(n);
        for arrived in [day(0)..day(1), day(1)..day(4)] {
            let settings = WorldSettings { arrived: Some(arrived), threads: 2, ..tiny() };
            generate_into(&lake, &settings).await.unwrap();
            lake.put("published/segments/_delta_log/0.json", "{}".into()).await.unwrap();
        }
        let by_day = files(&lake).await;
        generate_into(&lake, &tiny()).await.unwrap();
        assert_eq!(files(&lake).await, by_day);
        assert!(by_day.iter().filter(|path| path.starts_with("raw/")).all(|path| is_of_a_world(path)));
    }

    #[tokio::test]
    async fn another_world_and_foreign_files_are_refused_and_nothing_is_written() {
        let lake = Lake::open("memory://").unwrap();
        generate_into(&lake, &tiny()).await.unwrap();
        let refuses = async |lake: &Lake, settings: WorldSettings, words: &[&str]| {
            let before = files(lake).await;
            let refused = generate_into(lake, &settings).await.unwrap_err();
            assert_eq!(refused.exit_code(), 2);
            for word in words.iter().chain(&["nothing was written", "--lake"]) {
                assert!(refused.to_string().contains(word), "{word} is not in: {refused}");
            }
            assert_eq!(files(lake).await, before);
        };
        let other = WorldSettings { seed: 7, days: 5, ..tiny() };
        refuses(&lake, other, &["days 4 (not 5)", "seed 42 (not 7)"]).await;
        for stranger in ["raw/orders/order_date=2025-01-02/mine.parquet", "raw/orders.csv", "truth/x.parquet"]
        {
            lake.put(stranger, "1".into()).await.unwrap();
            refuses(&lake, tiny(), &[stranger]).await;
            lake.delete(stranger).await.unwrap();
        }
        generate_into(&lake, &tiny()).await.unwrap();
        for own in ["raw/orders/orders.csv", "_strata.json", "notes/a.txt"] {
            let lake = Lake::open("memory://").unwrap();
            lake.put(own, "1".into()).await.unwrap();
            refuses(&lake, tiny(), &[own]).await;
        }
    }
}
