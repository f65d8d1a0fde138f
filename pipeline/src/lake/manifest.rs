//! Manifests: which files make up the result of a finished stage. A result exists when its manifest does.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::partition::{escape, unescape};
use super::{DataFile, Lake};
use crate::{Context, Error, Result};

/// The finished result of a stage, or of one day of a daily stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageManifest {
    /// `layer.stem`.
    pub stage: String,
    /// The day (partition value) that this is the result of; `None` for a result that is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// Hash of all that the result depends on.
    pub fingerprint: String,
    /// Columns of the result, partition columns included.
    #[serde(default, with = "schema_text", skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaRef>,
    /// The column that names the rule a row breaks: quarantined files have it besides the columns of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
    /// Good and quarantined files.
    pub files: Vec<DataFile>,
    /// Rows of the good files.
    pub rows: u64,
    /// Rows of the quarantined files.
    pub quarantined: u64,
    /// Input rows that the stage read; `None` when it does not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_in: Option<u64>,
    /// Input rows that each rule rejected.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_rule: BTreeMap<String, u64>,
    /// The value of a model stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Value>,
}

impl StageManifest {
    /// The manifest of files that the sink returned, with their rows added up.
    pub fn of_files(
        stage: &str,
        day: Option<&str>,
        fingerprint: &str,
        files: Vec<DataFile>,
    ) -> StageManifest {
        let mut manifest = StageManifest {
            stage: stage.to_owned(),
            day: day.map(str::to_owned),
            fingerprint: fingerprint.to_owned(),
            ..StageManifest::default()
        };
        for file in &files {
            let rows = if file.quarantined { &mut manifest.quarantined } else { &mut manifest.rows };
            *rows += file.rows;
            for (rule, count) in &file.by_rule {
                *manifest.by_rule.entry(rule.clone()).or_default() += count;
            }
        }
        manifest.files = files;
        manifest
    }

    /// The files that hold the result itself.
    pub fn good_files(&self) -> impl Iterator<Item = &DataFile> {
        self.files.iter().filter(|file| !file.quarantined)
    }

    /// The files of the rejected rows.
    pub fn quarantined_files(&self) -> impl Iterator<Item = &DataFile> {
        self.files.iter().filter(|file| file.quarantined)
    }

    /// Columns of the rejected rows: those of the result and, last, the rule; `None` for a stage that rejects nothing.
    pub fn quarantine_schema(&self) -> Option<SchemaRef> {
        let (schema, rule) = (self.schema.as_ref()?, self.quarantine.as_ref()?);
        let rule = Arc::new(Field::new(rule, DataType::Utf8, true));
        Some(Arc::new(Schema::new(schema.fields().iter().cloned().chain([rule]).collect::<Vec<_>>())))
    }

    /// Makes this the result of its stage, day and fingerprint and returns it. When another attempt was first, that
    /// one's manifest stands and is returned instead; the files of this attempt are then nobody's.
    pub async fn create(self, lake: &Lake) -> Result<StageManifest> {
        let path = path(&self.stage, self.day.as_deref(), &self.fingerprint)?;
        let body =
            serde_json::to_vec_pretty(&self).context(format!("writing the manifest of {}", self.stage))?;
        if lake.create(&path, body.into()).await? {
            return Ok(self);
        }
        let first = StageManifest::load(lake, &self.stage, self.day.as_deref(), &self.fingerprint).await?;
        first.ok_or_else(|| Error::other(format!("manifest {path} vanished while it was read; run again")))
    }

    /// Makes this the result in place of what is there.
    pub async fn replace(self, lake: &Lake) -> Result<StageManifest> {
        let path = path(&self.stage, self.day.as_deref(), &self.fingerprint)?;
        let body =
            serde_json::to_vec_pretty(&self).context(format!("writing the manifest of {}", self.stage))?;
        lake.put(&path, body.into()).await?;
        Ok(self)
    }

    /// The result of a stage, or of one day of it, if it is finished.
    pub async fn load(
        lake: &Lake,
        stage: &str,
        day: Option<&str>,
        fingerprint: &str,
    ) -> Result<Option<StageManifest>> {
        let path = path(stage, day, fingerprint)?;
        let Some(body) = lake.get(&path).await? else {
            return Ok(None);
        };
        let manifest =
            serde_json::from_slice(&body).context(format!("{}{path} is no manifest", lake.url()))?;
        Ok(Some(manifest))
    }
}

/// The finished days of a daily stage with the fingerprints of each day's results, by one listing.
pub async fn list_days(lake: &Lake, stage: &str) -> Result<BTreeMap<String, Vec<String>>> {
    let folder = format!("{}/manifests", stage_folder(stage)?);
    let mut days = BTreeMap::<_, Vec<_>>::new();
    for found in lake.list(&folder).await? {
        let rest = lake.relative(&found.location).and_then(|path| path.strip_prefix(&folder));
        let Some((day, file)) = rest.and_then(|rest| rest.trim_start_matches('/').split_once('/')) else {
            continue;
        };
        if let Some(fingerprint) = file.strip_suffix(".json") {
            days.entry(unescape(day)).or_default().push(fingerprint.to_owned());
        }
    }
    Ok(days)
}

/// The folder for the data files of one attempt at a stage, relative to the lake.
pub fn stage_data_prefix(stage: &str, attempt: &str) -> Result<String> {
    Ok(format!("{}/data/{}", stage_folder(stage)?, escape(attempt)))
}

fn path(stage: &str, day: Option<&str>, fingerprint: &str) -> Result<String> {
    let day = day.map(|day| format!("{}/", escape(day))).unwrap_or_default();
    Ok(format!("{}/manifests/{day}{}.json", stage_folder(stage)?, escape(fingerprint)))
}

fn stage_folder(stage: &str) -> Result<String> {
    let (layer, stem) = stage
        .split_once('.')
        .ok_or_else(|| Error::Usage(format!("stage `{stage}` is not named layer.stem")))?;
    Ok(format!("stages/{}/{}", escape(layer), escape(stem)))
}

/// A schema as hexadecimal text of its Arrow IPC message.
mod schema_text {
    use std::sync::Arc;

    use arrow::datatypes::SchemaRef;
    use arrow::ipc::convert::try_schema_from_flatbuffer_bytes;
    use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(schema: &Option<SchemaRef>, to: S) -> Result<S::Ok, S::Error> {
        let Some(schema) = schema else {
            return to.serialize_none();
        };
        let mut dictionaries = DictionaryTracker::new(false);
        let options = IpcWriteOptions::default();
        let message = IpcDataGenerator::default()
            .schema_to_bytes_with_dictionary_tracker(schema, &mut dictionaries, &options)
            .ipc_message;
        let text: String = message.iter().map(|byte| format!("{byte:02x}")).collect();
        to.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SchemaRef>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(None);
        };
        let pairs = (0..text.len() / 2).map(|at| text.get(2 * at..2 * at + 2).unwrap_or_default());
        let bytes: Result<Vec<u8>, _> = pairs.map(|pair| u8::from_str_radix(pair, 16)).collect();
        let schema =
            try_schema_from_flatbuffer_bytes(&bytes.map_err(D::Error::custom)?).map_err(D::Error::custom)?;
        Ok(Some(Arc::new(schema)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, quarantined: bool) -> DataFile {
        let by_rule = if quarantined { BTreeMap::from([("late".to_owned(), 2)]) } else { BTreeMap::new() };
        DataFile { path: path.to_owned(), quarantined, rows: 2, weight: 2, by_rule, ..DataFile::default() }
    }

    #[tokio::test]
    async fn the_first_manifest_of_a_fingerprint_stands() {
        let lake = Lake::open("memory://").unwrap();
        assert_eq!(StageManifest::load(&lake, "facts.daily", None, "f1").await.unwrap(), None);
        let files = vec![file("a", false), file("b", true), file("c", true)];
        let mut first = StageManifest::of_files("facts.daily", None, "f1", files);
        let fields = vec![
            Field::new("at", DataType::Date32, true),
            Field::new("n", DataType::new_list(DataType::Int64, true), true),
        ];
        first.schema = Some(Arc::new(Schema::new(fields)));
        first.model = Some(serde_json::json!({"k": [1.5, 2]}));
        assert_eq!((first.rows, first.quarantined, first.by_rule["late"]), (2, 4, 4));
        assert_eq!(first.good_files().count(), 1);
        assert_eq!(first.clone().create(&lake).await.unwrap(), first);
        let second = StageManifest::of_files("facts.daily", None, "f1", vec![file("d", false)]);
        assert_eq!(second.create(&lake).await.unwrap(), first);
        assert_eq!(StageManifest::load(&lake, "facts.daily", None, "f1").await.unwrap(), Some(first));
    }

    #[tokio::test]
    async fn days_are_listed_with_their_fingerprints() {
        let lake = Lake::open("memory://").unwrap();
        assert!(list_days(&lake, "facts.daily").await.unwrap().is_empty());
        for (stage, day, fingerprint) in [
            ("facts.daily", Some("2025-01-02"), "b"),
            ("facts.daily", Some("2025-01-02"), "a"),
            ("facts.daily", Some("odd/day"), "a"),
            ("facts.daily", None, "whole"),
            ("facts.daily_other", Some("2025-01-03"), "c"),
        ] {
            StageManifest::of_files(stage, day, fingerprint, Vec::new()).create(&lake).await.unwrap();
        }
        let days = list_days(&lake, "facts.daily").await.unwrap();
        let expected = [("2025-01-02", vec!["a", "b"]), ("odd/day", vec!["a"])];
        let expected =
            expected.map(|(day, prints)| (day.to_owned(), prints.into_iter().map(str::to_owned).collect()));
        assert_eq!(days, BTreeMap::<String, Vec<String>>::from(expected));
        assert!(list_days(&lake, "nonsense").await.is_err());
        let prefix = stage_data_prefix("facts.daily", "x").unwrap();
        assert_eq!(prefix, "stages/facts/daily/data/x");
    }
}
