//! Models in manifests: exact as Arrow IPC, readable as JSON beside it.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Field, Int32Type, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use chrono::{DateTime, SecondsFormat, Utc};
use datafusion::scalar::ScalarValue;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::execute::{Runner, lock};
use super::plan::as_of_text;
use crate::lake::{Lake, StageManifest};
use crate::project::{ModelUse, Refit, Stage};
use crate::trainer::Before;
use crate::{Context, Error, Result};

/// Where the times of a stored model stand.
const TIMES: &str = "times";

/// A model as JSON: `value` for people, `ipc` (hexadecimal Arrow IPC of one row) for the engine.
fn to_json(model: &ScalarValue) -> Result<Value> {
    let column = model.to_array_of_size(1).context("cannot store a model")?;
    let schema = Arc::new(Schema::new(vec![Field::new("model", column.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(schema.clone(), vec![column]).context("cannot store a model")?;
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).context("cannot store a model")?;
    writer.write(&batch).context("cannot store a model")?;
    let bytes = writer.into_inner().context("cannot store a model")?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut readable = arrow::json::LineDelimitedWriter::new(Vec::new());
    readable.write(&batch).context("cannot show a model")?;
    readable.finish().context("cannot show a model")?;
    let value: Value = serde_json::from_slice(&readable.into_inner()).context("cannot show a model")?;
    Ok(json!({ "ipc": hex, "value": value["model"] }))
}

/// The model that [`to_json`] stored.
fn from_json(stored: &Value) -> Result<ScalarValue> {
    let hex = stored["ipc"].as_str().unwrap_or_default();
    let bytes = (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2).unwrap_or_default(), 16))
        .collect::<std::result::Result<Vec<u8>, _>>()
        .context("cannot read a model")?;
    let mut reader = StreamReader::try_new(Cursor::new(bytes), None).context("cannot read a model")?;
    let batch =
        reader.next().ok_or_else(|| Error::other("the model is empty"))?.context("cannot read a model")?;
    ScalarValue::try_from_array(batch.column(0), 0).context("cannot read a model")
}

/// A model as a result keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredModel {
    pub value: ScalarValue,
    pub of: ModelTimes,
}

/// When a model was trained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelTimes {
    /// The `as_of` of the run that trained it, µs since 1970 UTC.
    pub trained_as_of: Option<i64>,
    /// The same of the model whose segment ids it continues.
    pub follows_as_of: Option<i64>,
}

impl StoredModel {
    /// What the manifest of a model stage's result holds; none when it holds no model.
    ///
    /// # Errors
    /// When what it holds cannot be read.
    pub fn of(manifest: &StageManifest) -> Result<Option<StoredModel>> {
        let Some(stored) = &manifest.model else { return Ok(None) };
        let broken = format!("the model of {} is broken", manifest.stage);
        let of = stored.get(TIMES).cloned().map(serde_json::from_value);
        let of = of.transpose().context(&broken)?.unwrap_or_default();
        Ok(Some(StoredModel { value: from_json(stored).context(broken)?, of }))
    }

    /// As a manifest holds it.
    ///
    /// # Errors
    /// When the value cannot be written.
    pub fn to_json(&self) -> Result<Value> {
        let mut json = to_json(&self.value)?;
        json[TIMES] = serde_json::to_value(self.of).context("cannot store a model")?;
        Ok(json)
    }

    /// The model of a stage that lies under a fingerprint; none when its files are gone.
    ///
    /// # Errors
    /// Those of the store, and when the model cannot be read.
    pub async fn load(lake: &Lake, stage: &str, fingerprint: &str) -> Result<Option<StoredModel>> {
        let manifest = StageManifest::load(lake, stage, fingerprint).await?;
        manifest.as_ref().map_or(Ok(None), StoredModel::of)
    }
}

/// The first segment id that the segments of a model never had; `None` of a model without segments.
pub fn next_segment(model: &ScalarValue) -> Option<i32> {
    let ScalarValue::Struct(fields) = model else { return None };
    let next = fields.column_by_name("next_segment")?.as_primitive_opt::<Int32Type>()?;
    next.iter().next().flatten()
}

impl Runner<'_> {
    /// Says that a model, or the one whose segment ids it continues, is of a later instant than the run.
    pub(super) fn say_later(&self, stage: &Stage, of: ModelTimes) {
        let later = |time: Option<i64>| {
            let time = time.filter(|time| *time > self.plan.as_of)?;
            DateTime::from_timestamp_micros(time)
        };
        let way_out = "`--as-known-then` takes the model that there was";
        let shown = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        if let Some(time) = later(of.trained_as_of) {
            let time = shown(time);
            let line = format!("{} was trained as of {time}, later than this run; {way_out}", stage.name);
            self.reporter.say(&line);
        } else if let Some(time) = later(of.follows_as_of) {
            let line = format!(
                "{} continues segment ids of {}, later than this run; {way_out}",
                stage.name,
                shown(time)
            );
            self.reporter.say(&line);
        }
    }

    /// The models of the stages that are done, in their order.
    pub(super) fn models_used(&self) -> Result<Vec<ModelUse>> {
        let results = lock(&self.results)?;
        let mut used = Vec::new();
        for (_, stage) in self.project.models() {
            let manifest = results.get(&stage.name).and_then(|parts| parts.get(&None));
            let Some(model) = manifest.map_or(Ok(None), StoredModel::of)? else { continue };
            used.extend(ModelUse::of(stage, model.of.trained_as_of, model.of.follows_as_of));
        }
        Ok(used)
    }

    /// The first segment id that no run has used, after those of this run, by model stage.
    pub fn next_segments(&self) -> Result<BTreeMap<String, i32>> {
        let params = lock(&self.params)?;
        let mut next = self.plan.carried.next_segments.clone();
        for (param, stage) in self.project.models() {
            if let Some(segment) = params.get(param).and_then(next_segment) {
                let known = next.entry(stage.name.clone()).or_default();
                *known = segment.max(*known);
            }
        }
        Ok(next)
    }

    /// What earlier runs left of this run's model, and when the one that it follows was trained.
    pub(super) async fn model_before(&self, stage: &Stage, refit: Refit) -> Result<(Before, ModelTimes)> {
        let Some(planned) = self.plan.models.get(&stage.name) else { return Ok(Default::default()) };
        let now = as_of_text(self.plan.as_of);
        if planned.as_of != now {
            let line =
                format!("{}: the model of {} is gone, so it is trained again", stage.name, planned.as_of);
            self.reporter.say(&line);
        }
        let mut before = Before { ids_from: planned.ids_from, ..Before::default() };
        let Some(fingerprint) = &planned.before else { return Ok((before, ModelTimes::default())) };
        let Some(model) = StoredModel::load(self.lake, &stage.name, fingerprint).await? else {
            let line = format!("{}: the model before this one is gone, so nothing continues it", stage.name);
            self.reporter.say(&line);
            return Ok((before, ModelTimes::default()));
        };
        before.unless_drifted = refit == Refit::Drifted && planned.before_is_alike;
        before.model = Some(model.value);
        Ok((before, model.of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_comes_back_to_the_bit() {
        let field = Arc::new(Field::new("centroid", arrow::datatypes::DataType::Float64, true));
        let model = ScalarValue::Struct(Arc::new(arrow::array::StructArray::from(vec![(
            field,
            Arc::new(arrow::array::Float64Array::from(vec![0.1 + 0.2])) as arrow::array::ArrayRef,
        )])));
        let stored = to_json(&model).unwrap();
        assert_eq!(stored["value"]["centroid"], json!(0.1 + 0.2));
        assert_eq!(from_json(&stored).unwrap(), model);
        let of = ModelTimes { trained_as_of: Some(1), follows_as_of: None };
        let stored = StoredModel { value: model, of };
        let manifest = StageManifest { model: Some(stored.to_json().unwrap()), ..StageManifest::default() };
        assert_eq!(StoredModel::of(&manifest).unwrap(), Some(stored));
        assert_eq!(StoredModel::of(&StageManifest::default()).unwrap(), None);
    }
}
