//! Which of the files below a source's folder are its files.

use std::collections::BTreeMap;

use object_store::{ObjectMeta, ObjectStoreExt};

use crate::lake::Lake;
use crate::project::{Format, Source};
use crate::{Error, Result};

/// Endings of copies and unfinished files that editors, browsers and transfers leave beside the real ones.
const COPIES: [&str; 12] = [
    "~",
    ".bak",
    ".backup",
    ".old",
    ".orig",
    ".tmp",
    ".temp",
    ".swp",
    ".part",
    ".partial",
    ".crdownload",
    ".filepart",
];

/// Endings of files that hold Parquet, in lower case.
const PARQUET: [&str; 3] = [".parquet", ".parq", ".pq"];

/// The files below a source's folder.
#[derive(Debug, Default)]
pub struct Listing {
    pub files: Vec<ObjectMeta>,
    /// What was left out, by why: how many, and the first of them.
    left_out: BTreeMap<&'static str, (usize, String)>,
}

impl Listing {
    /// Lists the files of `source`: its folder, or the one file at its location.
    ///
    /// # Errors
    /// [`Error::Contract`] if there are no files, or if the folder is a Delta or Iceberg table.
    pub async fn of(lake: &Lake, source: &Source) -> Result<Listing> {
        let found = lake.list(&source.location).await?;
        if found.is_empty() {
            return Listing::of_one(lake, source).await;
        }
        let mut listing = Listing::default();
        for meta in found {
            let path = lake.relative(&meta.location).unwrap_or(meta.location.as_ref());
            let below = path.strip_prefix(&source.location).unwrap_or(path).trim_start_matches('/');
            if let Some((format, remedy)) = table_format(below) {
                return Err(Error::Contract(format!(
                    "source `{}`: {}{}/ is {format} ({path}), whose files alone do not say which rows count\nhelp: {remedy} \
                     (contract: {})",
                    source.name,
                    lake.url(),
                    source.location.trim_end_matches('/'),
                    source.file
                )));
            }
            match why_not(below, &source.format) {
                None => listing.files.push(meta),
                Some(why) => listing.left_out.entry(why).or_insert_with(|| (0, path.to_string())).0 += 1,
            }
        }
        if listing.files.is_empty() && !source.may_be_empty {
            let said = listing.left_out_text().unwrap_or_default();
            return Err(no_files(lake, source, &format!("\nnote: left out {said}")));
        }
        Ok(listing)
    }

    async fn of_one(lake: &Lake, source: &Source) -> Result<Listing> {
        let endings: &[&str] = match source.format {
            Format::Parquet => &["", ".parquet"],
            Format::Csv(_) => &[""],
        };
        for ending in endings {
            let path = format!("{}{ending}", source.location);
            if let Ok(meta) = lake.store().head(&lake.path(&path)).await {
                return Ok(Listing { files: vec![meta], ..Listing::default() });
            }
        }
        match source.may_be_empty {
            true => Ok(Listing::default()),
            false => Err(no_files(lake, source, "")),
        }
    }

    /// What was left out, in words; nothing where all files are read.
    pub fn left_out_text(&self) -> Option<String> {
        let kinds = self.left_out.iter().map(|(why, (count, first))| match count {
            1 => format!("{first} ({why})"),
            _ => format!("{count} files ({why}), such as {first}"),
        });
        Some(kinds.collect::<Vec<_>>().join("; ")).filter(|text| !text.is_empty())
    }
}

fn no_files(lake: &Lake, source: &Source, note: &str) -> Error {
    Error::Contract(format!(
        "source `{}`: there are no files under {}{}/{note}\nhelp: put the files there, or list the source under `absent` in \
         project.toml (contract: {})",
        source.name,
        lake.url(),
        source.location.trim_end_matches('/'),
        source.file
    ))
}

/// The table format whose log a file, by its path below the source's folder, belongs to, and the way out.
fn table_format(below: &str) -> Option<(&'static str, &'static str)> {
    let folders: Vec<&str> = below.split('/').collect();
    let (name, folders) = folders.split_last()?;
    if folders.contains(&"_delta_log") && name.ends_with(".json") {
        let remedy = "write the rows of its current version as plain Parquet files, as DeltaTable(...).to_pyarrow_table() or \
                      DuckDB's delta_scan read them";
        return Some(("a Delta table", remedy));
    }
    if folders.last() == Some(&"metadata") && name.ends_with(".metadata.json") {
        return Some((
            "an Iceberg table",
            "write the rows of its current snapshot as plain Parquet files, as PyIceberg or DuckDB's iceberg_scan read them",
        ));
    }
    None
}

/// Why a file is not read; `below` is its path relative to the source's folder.
fn why_not(below: &str, format: &Format) -> Option<&'static str> {
    // a partition column may begin with an underscore
    let hidden = |part: &str| part.starts_with('.') || (part.starts_with('_') && !part.contains('='));
    let mut parts = below.rsplit('/');
    let name = parts.next().unwrap_or_default();
    if hidden(name) || parts.any(hidden) {
        return Some("hidden");
    }
    let name = name.to_lowercase();
    if COPIES.iter().any(|ending| name.ends_with(ending)) {
        return Some("a copy or unfinished");
    }
    let is_parquet = !name.contains('.') || PARQUET.iter().any(|ending| name.ends_with(ending));
    match format {
        Format::Parquet if !is_parquet => Some("not named as a Parquet file"),
        Format::Csv(_) if PARQUET.iter().any(|ending| name.ends_with(ending)) => {
            Some("a Parquet file, where the contract says CSV")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide() {
        let csv = Format::Csv(Default::default());
        for (path, parquet, text) in [
            ("a.parquet", true, false),
            ("day=2025-01-01/PART.PARQUET", true, false),
            ("a.parq", true, false),
            ("a.pq", true, false),
            ("part-00000", true, true),
            ("_day=2025-01-01/a.parquet", true, false),
            ("a.csv", false, true),
            ("a.CSV", false, true),
            ("a.txt", false, true),
            ("sales.2024.parquet", true, false),
            ("_SUCCESS", false, false),
            (".a.parquet.crc", false, false),
            ("_temporary/0/a.parquet", false, false),
            (".ipynb_checkpoints/a.csv", false, false),
            ("day=1/.tmp/a.csv", false, false),
            ("a.parquet.bak", false, false),
            ("a.csv~", false, false),
            ("a.CSV.TMP", false, false),
            ("a.csv.crdownload", false, false),
        ] {
            assert_eq!(why_not(path, &Format::Parquet).is_none(), parquet, "{path} as Parquet");
            assert_eq!(why_not(path, &csv).is_none(), text, "{path} as CSV");
        }
        assert!(table_format("_delta_log/00000000000000000000.json").is_some());
        assert!(table_format("metadata/v1.metadata.json").is_some());
        assert!(table_format("metadata/a.parquet").is_none());
    }
}
