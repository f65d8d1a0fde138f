//! Models in manifests: exact as Arrow IPC, readable as JSON beside it.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use datafusion::scalar::ScalarValue;
use serde_json::{Value, json};

use crate::lake::{Lake, StageManifest};
use crate::{Context, Error, Result};

/// A model as JSON: `value` for people, `ipc` (hexadecimal Arrow IPC of one row) for the engine.
pub fn to_json(model: &ScalarValue) -> Result<Value> {
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
pub fn from_json(stored: &Value) -> Result<ScalarValue> {
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

/// The model of a stage that lies under a fingerprint; none when its files are gone.
pub async fn stored(lake: &Lake, stage: &str, fingerprint: &str) -> Result<Option<ScalarValue>> {
    let manifest = StageManifest::load(lake, stage, fingerprint).await?;
    let model = manifest.and_then(|manifest| manifest.model);
    model.map(|model| from_json(&model)).transpose().context(format!("the model of {stage} is broken"))
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
    }
}
