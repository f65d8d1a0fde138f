//! Partition values: their text, as the Delta protocol writes it, and their folder names, as Hive writes them.

use arrow::array::Array;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::DataFusionError;
use sha2::{Digest, Sha256};

/// Folder value of a NULL.
pub const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// Longest escaped value in a folder name, bytes; file systems end at 255 for the whole name.
const MAX_VALUE_BYTES: usize = 180;

/// The folder of one partition value: `column=value`, percent-escaped so that every store takes it. A very long
/// value is cut and made unique by a hash: folder names are for people, the values themselves travel in
/// [`super::DataFile::partition`].
pub fn partition_folder(column: &str, value: Option<&str>) -> String {
    let Some(value) = value else {
        return format!("{}={NULL_PARTITION}", escape(column));
    };
    let mut escaped = escape(value);
    if escaped.len() > MAX_VALUE_BYTES {
        let hash = Sha256::digest(value.as_bytes());
        escaped.truncate(MAX_VALUE_BYTES - 17);
        let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        escaped = format!("{escaped}~{hash}");
    }
    format!("{}={escaped}", escape(column))
}

/// Percent-escapes every byte that is not an ASCII letter, a digit, `-`, `_` or `.`: a superset of what Hive and
/// Spark escape, which safely holds on every object store.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Undoes percent-escapes, as found in folder names. Text that is not valid UTF-8 afterwards is left as it is.
pub fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// Whether a table may be partitioned by a column of this type: those with one exact text.
pub(super) fn can_partition_by(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(
            data_type,
            DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Utf8View
                | DataType::Boolean
                | DataType::Date32
                | DataType::Timestamp(_, _)
                | DataType::Decimal128(_, _)
        )
}

/// The text of `array[row]` as the Delta protocol serialises partition values (dates `yyyy-MM-dd`, timestamps
/// `yyyy-MM-dd HH:mm:ss.SSSSSS` in UTC). The empty string is a NULL there, so it is one here.
pub(super) fn partition_text(array: &dyn Array, row: usize) -> Result<Option<String>, DataFusionError> {
    const TIMESTAMP: &str = "%Y-%m-%d %H:%M:%S%.6f";
    if array.is_null(row) {
        return Ok(None);
    }
    let options = FormatOptions::new()
        .with_display_error(false)
        .with_timestamp_format(Some(TIMESTAMP))
        .with_timestamp_tz_format(Some(TIMESTAMP));
    let text = ArrayFormatter::try_new(array, &options)?.value(row).try_to_string()?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, Date32Array, Decimal128Array, Int32Array, StringArray};
    use arrow::array::{TimestampMicrosecondArray, TimestampSecondArray};

    #[test]
    fn values_have_the_text_of_the_delta_protocol() {
        let text = |array: &dyn Array| partition_text(array, 0).unwrap();
        assert_eq!(text(&Date32Array::from(vec![20089])).unwrap(), "2025-01-01");
        assert_eq!(text(&Int32Array::from(vec![-7])).unwrap(), "-7");
        assert_eq!(text(&BooleanArray::from(vec![true])).unwrap(), "true");
        let micros = TimestampMicrosecondArray::from(vec![1_735_689_600_000_123]);
        assert_eq!(text(&micros).unwrap(), "2025-01-01 00:00:00.000123");
        assert_eq!(text(&micros.with_timezone("UTC")).unwrap(), "2025-01-01 00:00:00.000123");
        let seconds = TimestampSecondArray::from(vec![1_735_689_600]);
        assert_eq!(text(&seconds).unwrap(), "2025-01-01 00:00:00.000000");
        let money = Decimal128Array::from(vec![12345]).with_precision_and_scale(18, 2).unwrap();
        assert_eq!(text(&money).unwrap(), "123.45");
        assert_eq!(text(&StringArray::from(vec![""])), None);
        assert_eq!(text(&StringArray::from(vec![None::<&str>])), None);
    }

    #[test]
    fn escapes_are_undone() {
        for nasty in
            ["a/b=c%d:e", " ", "..", "100%", "%zz", "中文 ☃", "a\tb\u{7f}", "~`^{}[]#?*<>|\\\"'", "+&"]
        {
            let folder = partition_folder("k", Some(nasty));
            assert!(folder.bytes().all(|b| b.is_ascii_graphic() && b != b'/'), "{folder}");
            assert_eq!(unescape(folder.strip_prefix("k=").unwrap()), nasty);
        }
        assert_eq!(partition_folder("k", None), "k=__HIVE_DEFAULT_PARTITION__");
    }

    #[test]
    fn long_values_stay_apart() {
        let (a, b) = ("长".repeat(100) + "a", "长".repeat(100) + "b");
        let (a, b) = (partition_folder("k", Some(&a)), partition_folder("k", Some(&b)));
        assert!(a.len() < 200 && b.len() < 200);
        assert_ne!(a, b);
    }
}
