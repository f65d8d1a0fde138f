//! Manifests: which files make up the result of a finished stage. A result exists when its manifest does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::partition::escape;
use super::{DataFile, Lake};
use crate::{Context, Error, Result};

/// The folder of the manifests of runs, each `<epoch>.json`.
pub const RUN_MANIFESTS: &str = "stages/_runs";

/// Manifests read at the same time.
const READS_AT_ONCE: usize = 16;

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

    /// Bytes of all its files, or of its row groups in them.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.range.map_or(file.bytes, |(start, end)| end - start)).sum()
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

    /// Makes this the result of its stage and fingerprint and returns it. When another attempt was first,
    /// that one's manifest stands and is returned instead, unless it is broken; the files of this attempt are
    /// then orphans.
    pub async fn create(self, lake: &Lake) -> Result<StageManifest> {
        let path = path(&self.stage, &self.fingerprint)?;
        if lake.create(&path, self.to_json()?).await? {
            return Ok(self);
        }
        match StageManifest::load(lake, &self.stage, &self.fingerprint).await? {
            Some(first) => Ok(first),
            None => self.replace(lake).await,
        }
    }

    /// Makes this the result in place of what is there.
    pub async fn replace(self, lake: &Lake) -> Result<StageManifest> {
        lake.put(&path(&self.stage, &self.fingerprint)?, self.to_json()?).await?;
        Ok(self)
    }

    fn to_json(&self) -> Result<Bytes> {
        let body =
            serde_json::to_vec_pretty(self).context(format!("writing the manifest of {}", self.stage))?;
        Ok(body.into())
    }

    /// The result of a stage that is kept whole, if it is finished. A manifest that cannot be read is set
    /// aside.
    pub async fn load(lake: &Lake, stage: &str, fingerprint: &str) -> Result<Option<StageManifest>> {
        let path = path(stage, fingerprint)?;
        let body = lake.get(&path).await?;
        Ok(read_or_set_aside(lake, &path, body.as_deref()).await)
    }

    /// Takes away the results that have lost a data file, or hold one of another size than was written. Each
    /// data folder is listed once.
    pub async fn retain_whole(lake: &Lake, results: Vec<StageManifest>) -> Result<Vec<StageManifest>> {
        let files = results.iter().flat_map(|result| &result.files);
        let folders: BTreeSet<&str> = files.map(|file| data_folder(&file.path)).collect();
        let mut there = BTreeMap::new();
        for folder in folders {
            there.extend(lake.sizes(folder).await?);
        }
        let mut whole = Vec::with_capacity(results.len());
        for result in results {
            let broken = result.files.iter().find(|file| there.get(&file.path) != Some(&file.bytes));
            let Some(file) = broken else {
                whole.push(result);
                continue;
            };
            let why = match there.get(&file.path) {
                None => format!("names {}, which is missing", file.path),
                Some(bytes) => format!("names {}, which has {bytes} bytes, not {}", file.path, file.bytes),
            };
            match &result.day {
                // the manifest is that of other days, too; the one of the next attempt counts
                Some(day) => tracing::warn!("{} of {day} {why}: it is computed again", result.stage),
                None => lake.set_aside(&path(&result.stage, &result.fingerprint)?, why).await,
            }
        }
        Ok(whole)
    }

    /// Those of the parts of a stage's result that are finished. `fingerprints` has one entry a day, or one for the
    /// whole under the empty name.
    pub async fn load_parts(
        lake: &Lake,
        stage: &str,
        fingerprints: &BTreeMap<String, String>,
    ) -> Result<Vec<StageManifest>> {
        if let Some(whole) = fingerprints.get("") {
            return Ok(StageManifest::load(lake, stage, whole).await?.into_iter().collect());
        }
        let mut days = DayResults::load(lake, stage).await?;
        let found = fingerprints.iter().filter_map(|(day, print)| days.remove(&(day.clone(), print.clone())));
        Ok(found.collect())
    }
}

/// The results of the days that one job computed: one file for all, since many small ones cost more than they hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DayResults {
    #[serde(default, with = "schema_text", skip_serializing_if = "Option::is_none")]
    schema: Option<SchemaRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quarantine: Option<String>,
    /// Without schema and quarantine column, which they share.
    days: Vec<StageManifest>,
}

impl DayResults {
    /// Makes these the results of their days and fingerprints. `attempt` begins with the run's epoch: of two results
    /// of one day and fingerprint the one of the later attempt counts.
    pub async fn save(lake: &Lake, stage: &str, attempt: &str, days: &[&StageManifest]) -> Result<()> {
        if days.is_empty() {
            return Ok(());
        }
        let results = DayResults::of(days);
        let path = format!("{}/{}.json", days_folder(stage)?, escape(attempt));
        let body = serde_json::to_vec(&results).context(format!("writing the manifest of {stage}"))?;
        if lake.create(&path, body.into()).await? {
            return Ok(());
        }
        Err(Error::other(format!("{}{path} exists already", lake.url())))
    }

    /// These results of days of one stage as one file.
    pub fn of(days: &[&StageManifest]) -> DayResults {
        let bare = |day: &&StageManifest| StageManifest { schema: None, quarantine: None, ..(*day).clone() };
        let first = days.first();
        DayResults {
            schema: first.and_then(|first| first.schema.clone()),
            quarantine: first.and_then(|first| first.quarantine.clone()),
            days: days.iter().map(bare).collect(),
        }
    }

    /// Puts these in the place of what lies at `path`.
    pub async fn replace(&self, lake: &Lake, path: &str) -> Result<()> {
        let body = serde_json::to_vec(self).context(format!("writing the manifest {path}"))?;
        lake.put(path, body.into()).await
    }

    /// Each day with the schema and quarantine column that all share.
    fn into_days(self) -> Vec<StageManifest> {
        let (schema, quarantine) = (self.schema, self.quarantine);
        let whole = |day| StageManifest { schema: schema.clone(), quarantine: quarantine.clone(), ..day };
        self.days.into_iter().map(whole).collect()
    }

    /// All finished days of a stage, by day and fingerprint.
    async fn load(lake: &Lake, stage: &str) -> Result<BTreeMap<(String, String), StageManifest>> {
        let listed = lake.list(&days_folder(stage)?).await?;
        let names = listed.iter().filter_map(|meta| lake.relative(&meta.location));
        let names: Vec<String> = names.filter(|name| name.ends_with(".json")).map(str::to_owned).collect();
        let read = futures::stream::iter(names).map(|name| async move {
            let body = lake.get(&name).await?;
            Ok::<_, Error>(read_or_set_aside::<DayResults>(lake, &name, body.as_deref()).await)
        });
        let all: Vec<Option<DayResults>> = read.buffered(READS_AT_ONCE).try_collect().await?;
        let mut found = BTreeMap::new();
        for day in all.into_iter().flatten().flat_map(DayResults::into_days) {
            found.insert((day.day.clone().unwrap_or_default(), day.fingerprint.clone()), day);
        }
        Ok(found)
    }
}

/// A manifest as it lies in the lake.
#[derive(Debug)]
pub struct StoredManifest {
    /// Path relative to the lake.
    pub path: String,
    pub meta: ObjectMeta,
    /// The result, or those of several days; none when it is broken.
    pub results: Vec<StageManifest>,
}

/// The manifests of all stages' results.
pub async fn stored_manifests(lake: &Lake) -> Result<Vec<StoredManifest>> {
    let listed = lake.list("stages").await?.into_iter().filter_map(|meta| {
        let path = lake.relative(&meta.location)?.to_owned();
        let mut parts = path.split('/').skip(3);
        (parts.next() == Some("manifests") && path.ends_with(".json")).then_some((path, meta))
    });
    let read = futures::stream::iter(listed).map(|(path, meta)| async move {
        let body = lake.get(&path).await?.unwrap_or_default();
        // one that cannot be read is no result
        let results = match path.split('/').nth(4) {
            Some("days") => serde_json::from_slice(&body).map(DayResults::into_days).unwrap_or_default(),
            _ => serde_json::from_slice(&body).into_iter().collect(),
        };
        Ok::<_, Error>(StoredManifest { path, meta, results })
    });
    read.buffered(READS_AT_ONCE).try_collect().await
}

/// What a manifest says. One that has lost its content, or that is not a manifest, is set aside: its results
/// are computed again.
pub async fn read_or_set_aside<T: DeserializeOwned>(
    lake: &Lake,
    path: &str,
    body: Option<&[u8]>,
) -> Option<T> {
    match serde_json::from_slice(body?) {
        Ok(manifest) => Some(manifest),
        Err(error) => {
            lake.set_aside(path, format!("is not a manifest ({error})")).await;
            None
        }
    }
}

/// The folder of all attempts at a stage, of which `path` is a file.
fn data_folder(path: &str) -> &str {
    path.find("/data/").map_or(path, |end| &path[..end + "/data".len()])
}

/// The folder for the data files of one attempt at a stage, relative to the lake.
pub fn stage_data_prefix(stage: &str, attempt: &str) -> Result<String> {
    Ok(format!("{}/data/{}", stage_folder(stage)?, escape(attempt)))
}

fn path(stage: &str, fingerprint: &str) -> Result<String> {
    Ok(format!("{}/manifests/{}.json", stage_folder(stage)?, escape(fingerprint)))
}

fn days_folder(stage: &str) -> Result<String> {
    Ok(format!("{}/manifests/days", stage_folder(stage)?))
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
    use crate::lake::faults::{Answer, Shaky};

    fn file(path: &str, quarantined: bool) -> DataFile {
        let by_rule = if quarantined { BTreeMap::from([("late".to_owned(), 2)]) } else { BTreeMap::new() };
        DataFile { path: path.to_owned(), quarantined, rows: 2, weight: 2, by_rule, ..DataFile::default() }
    }

    #[tokio::test]
    async fn the_first_manifest_of_a_fingerprint_stands() {
        let lake = Lake::open("memory://").unwrap();
        assert_eq!(StageManifest::load(&lake, "facts.daily", "f1").await.unwrap(), None);
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
        assert_eq!(StageManifest::load(&lake, "facts.daily", "f1").await.unwrap(), Some(first));
    }

    #[tokio::test]
    async fn days_are_found_by_fingerprint_and_the_latest_attempt_counts() {
        let lake = Lake::open("memory://").unwrap();
        let wanted = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(day, print)| (day.to_string(), print.to_string())).collect::<BTreeMap<_, _>>()
        };
        let both = wanted(&[("2025-01-02", "a"), ("odd/day", "a")]);
        assert!(StageManifest::load_parts(&lake, "facts.daily", &both).await.unwrap().is_empty());
        let result = |day: &str, print: &str, path: &str| StageManifest {
            quarantine: Some("rule".to_owned()),
            ..StageManifest::of_files("facts.daily", Some(day), print, vec![file(path, false)])
        };
        let first = [result("2025-01-02", "a", "1"), result("odd/day", "a", "2")];
        let both_days = [&first[0], &first[1]];
        DayResults::save(&lake, "facts.daily", "0000000001-x", &both_days).await.unwrap();
        let other = DayResults::save(&lake, "facts.daily", "0000000001-x", &both_days[..1]).await;
        assert!(other.unwrap_err().to_string().contains("exists already"));
        DayResults::save(&lake, "facts.daily_other", "0000000009-x", &both_days[..1]).await.unwrap();
        assert_eq!(StageManifest::load_parts(&lake, "facts.daily", &both).await.unwrap(), first);
        let again = result("odd/day", "a", "3");
        DayResults::save(&lake, "facts.daily", "0000000002-a", &[&again]).await.unwrap();
        let found = StageManifest::load_parts(&lake, "facts.daily", &both).await.unwrap();
        assert_eq!(found, [first[0].clone(), again]);
        let other = wanted(&[("2025-01-02", "b")]);
        assert!(StageManifest::load_parts(&lake, "facts.daily", &other).await.unwrap().is_empty());
        assert!(StageManifest::load_parts(&lake, "nonsense", &other).await.is_err());
        let prefix = stage_data_prefix("facts.daily", "x").unwrap();
        assert_eq!(prefix, "stages/facts/daily/data/x");
    }

    #[tokio::test]
    async fn a_manifest_whose_answer_was_lost_is_there() {
        for answer in [Answer::Exists, Answer::Failure] {
            let inner = Lake::open("memory://").unwrap();
            let shaky = Shaky::new(inner.store().clone());
            let lake = Lake::over(inner.url().clone(), shaky.clone()).unwrap();
            let day = StageManifest::of_files("facts.daily", Some("2025-01-02"), "a", vec![file("a", false)]);
            shaky.lose_next(answer);
            DayResults::save(&lake, "facts.daily", "0000000001-x", &[&day]).await.unwrap();
            let whole = StageManifest::of_files("facts.whole", None, "a", vec![file("b", false)]);
            shaky.lose_next(answer);
            assert_eq!(whole.clone().create(&lake).await.unwrap(), whole);
            let prints = BTreeMap::from([("2025-01-02".to_owned(), "a".to_owned())]);
            assert_eq!(StageManifest::load_parts(&lake, "facts.daily", &prints).await.unwrap(), [day]);
        }
    }

    #[tokio::test]
    async fn broken_manifests_are_set_aside_and_made_again() {
        let lake = Lake::open("memory://").unwrap();
        let at = path("facts.whole", "a").unwrap();
        for broken in ["", "{\"stage\": \"facts.who", "[]"] {
            lake.put(&at, broken.into()).await.unwrap();
            assert_eq!(StageManifest::load(&lake, "facts.whole", "a").await.unwrap(), None);
            assert_eq!(lake.get(&at).await.unwrap(), None);
            assert_eq!(lake.get(&format!("{at}.broken")).await.unwrap().unwrap(), broken);
            // it broke after it was looked for
            lake.put(&at, broken.into()).await.unwrap();
            let again = StageManifest::of_files("facts.whole", None, "a", vec![file("b", false)]);
            assert_eq!(again.clone().create(&lake).await.unwrap(), again);
            assert_eq!(StageManifest::load(&lake, "facts.whole", "a").await.unwrap(), Some(again));
        }
        let day = StageManifest::of_files("facts.daily", Some("2025-01-02"), "a", vec![file("a", false)]);
        DayResults::save(&lake, "facts.daily", "0000000002-x", &[&day]).await.unwrap();
        let at = format!("{}/0000000003-y.json", days_folder("facts.daily").unwrap());
        lake.put(&at, "".into()).await.unwrap();
        let prints = BTreeMap::from([("2025-01-02".to_owned(), "a".to_owned())]);
        for _ in 0..2 {
            assert_eq!(
                StageManifest::load_parts(&lake, "facts.daily", &prints).await.unwrap(),
                std::slice::from_ref(&day)
            );
        }
        assert_eq!(lake.get(&at).await.unwrap(), None);
        assert!(lake.get(&format!("{at}.broken")).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_result_without_one_of_its_files_is_not_there() {
        let lake = Lake::open("memory://").unwrap();
        let written = async |path: &str| {
            lake.put(path, "12345".into()).await.unwrap();
            DataFile { bytes: 5, ..file(path, false) }
        };
        let stages = "stages/facts/daily/data/0000000001-x";
        let mut days = Vec::new();
        for day in ["2025-01-01", "2025-01-02", "2025-01-03"] {
            let files = vec![written(&format!("{stages}/{day}.parquet")).await];
            days.push(StageManifest::of_files("facts.daily", Some(day), "a", files));
        }
        let published = written("published/t/data/0000000001-x/as_of=1/f.parquet").await;
        let whole = StageManifest::of_files("segments.t", None, "b", vec![published.clone()]);
        let model = StageManifest::of_files("models.m", None, "c", Vec::new());
        whole.clone().create(&lake).await.unwrap();
        let all = [days.clone(), vec![whole.clone(), model.clone()]].concat();
        assert_eq!(StageManifest::retain_whole(&lake, all.clone()).await.unwrap(), all);

        lake.delete(&format!("{stages}/2025-01-01.parquet")).await.unwrap();
        lake.put(&format!("{stages}/2025-01-03.parquet"), "".into()).await.unwrap();
        let left = StageManifest::retain_whole(&lake, all.clone()).await.unwrap();
        assert_eq!(left, [days[1].clone(), whole.clone(), model.clone()]);

        lake.put(&published.path, "1234".into()).await.unwrap();
        let left = StageManifest::retain_whole(&lake, vec![whole.clone(), model.clone()]).await.unwrap();
        assert_eq!(left, [model]);
        // its manifest does not stand in the way of the next attempt
        assert_eq!(StageManifest::load(&lake, "segments.t", "b").await.unwrap(), None);
    }
}
