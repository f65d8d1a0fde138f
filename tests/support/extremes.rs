//! Rows that hold the extreme values of every column's type, beside plausible ones.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_empty_array};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::scalar::ScalarValue;

/// Microseconds of 2025-05-01 04:00 UTC, and of a day.
const PLAUSIBLE: i64 = 1_746_072_000_000_000;
const DAY: i64 = 86_400_000_000;
/// Plausible rows.
const PEOPLE: i64 = 40;

/// Days since 1970 of 0001-01-01, 1899-12-31, 1900-01-01, 2199-12-31, 2200-01-01, 9999-12-31, 10000-01-01.
const DAYS: [i32; 7] = [-719_162, -25_568, -25_567, 84_005, 84_006, 2_932_896, 2_932_897];

/// The extreme values of a type, NULL among them.
pub fn extremes(data_type: &DataType) -> Vec<ScalarValue> {
    let mut values: Vec<ScalarValue> = match data_type {
        DataType::Utf8 => {
            let long = "long ".repeat(20_000);
            let texts = ["", " ", "\0", "客户😀", "-1", "NaN", "1e400", "9223372036854775808", "0001-01-01"];
            let more = ["9999-12-31", "+10000-01-01", "a@b", "+86 1", "'; drop", "%_", long.as_str()];
            texts.iter().chain(&more).map(|text| ScalarValue::from(*text)).collect()
        }
        DataType::Int32 => [i32::MIN, i32::MIN + 1, -1, 0, 1, 100, i32::MAX].map(ScalarValue::from).to_vec(),
        DataType::Int64 => [i64::MIN, i64::MIN + 1, -1, 0, 1, 100, i64::MAX].map(ScalarValue::from).to_vec(),
        DataType::Float64 => {
            let large = [f64::MIN, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e30, -1e30, 1e18];
            let small = [0.0, -0.0, -1.0, 0.004, 0.005, 1e6, 1e16, f64::MIN_POSITIVE];
            large.iter().chain(&small).map(|number| ScalarValue::from(*number)).collect()
        }
        DataType::Date32 => {
            let ends = [i32::MIN, i32::MAX, -1, 0];
            ends.iter().chain(&DAYS).map(|day| ScalarValue::Date32(Some(*day))).collect()
        }
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            let ends = [i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX, -1, 0];
            let days = DAYS.iter().map(|day| i64::from(*day) * DAY);
            ends.into_iter().chain(days).map(|at| ScalarValue::TimestampMicrosecond(Some(at), None)).collect()
        }
        DataType::Timestamp(TimeUnit::Nanosecond, None) => {
            let ends = [i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX, -1, 0];
            ends.into_iter().map(|at| ScalarValue::TimestampNanosecond(Some(at), None)).collect()
        }
        DataType::Boolean => vec![ScalarValue::from(true), ScalarValue::from(false)],
        other => panic!("no extreme values of {other}"),
    };
    values.push(ScalarValue::try_from(data_type).expect("NULL"));
    values
}

/// Something plausible for a column, in the row of this number.
fn plausible(column: &str, data_type: &DataType, row: i64) -> ScalarValue {
    let one_of = |words: &[&str]| ScalarValue::from(words[row as usize % words.len()]);
    let person = row % 20;
    match data_type {
        DataType::Utf8 => match column {
            "event_type" => one_of(&["view", "cart", "search", "dwell", "login"]),
            "channel" => one_of(&["web", "app", "store", "sms"]),
            "status" => one_of(&["grant", "deny", "completed"]),
            "purpose" => one_of(&["marketing", "location"]),
            "arm" => one_of(&["treatment", "control"]),
            "kind" => one_of(&["review", "service", "home"]),
            "body" => one_of(&["great quality, fast delivery", "质量很差", "ok"]),
            "verdict" => one_of(&["same", "different"]),
            "birth_date" => ScalarValue::from(format!("19{:02}-05-17", 50 + person)),
            "email" => ScalarValue::from(format!("person{person}@example.com")),
            "phone" => ScalarValue::from(format!("138001380{person:02}")),
            "gender" => one_of(&["f", "m"]),
            "address" => one_of(&["上海市浦东新区世纪大道100号", "1 Main Street, Springfield 12345"]),
            "place" | "region_id" => ScalarValue::from(format!("region{}", row % 3)),
            "right_id" => ScalarValue::from(format!("a{}", (person + 1) % 20)),
            "line" => ScalarValue::from(format!("a{person} 19970{}0{} 2 29.33", 1 + row % 9, 1 + row % 7)),
            "customer_id" | "account_id" | "left_id" | "person" => ScalarValue::from(format!("a{person}")),
            _ => ScalarValue::from(format!("{column}{}", row % 5)),
        },
        DataType::Int32 => ScalarValue::from((1 + row % 3) as i32),
        DataType::Int64 => match column {
            "product_id" => ScalarValue::from(row % 5),
            "household_id" => ScalarValue::from(person),
            "quantity" => ScalarValue::from(1 + row % 3),
            _ => ScalarValue::from(row),
        },
        DataType::Float64 => ScalarValue::from(10.0 + row as f64),
        DataType::Date32 => ScalarValue::Date32(Some((PLAUSIBLE / DAY) as i32)),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => {
            ScalarValue::TimestampNanosecond(Some((PLAUSIBLE + row) * 1000), None)
        }
        DataType::Timestamp(..) => ScalarValue::TimestampMicrosecond(Some(PLAUSIBLE + row * 1_000_000), None),
        DataType::Boolean => ScalarValue::from(row % 2 == 0),
        other => panic!("nothing plausible of {other}"),
    }
}

/// Plausible rows, and for each column and each extreme value of its type one with that value.
pub fn extreme_rows(schema: &SchemaRef) -> RecordBatch {
    let mut rows: Vec<Vec<ScalarValue>> = Vec::new();
    let row = |number: i64| -> Vec<ScalarValue> {
        schema.fields().iter().map(|field| plausible(field.name(), field.data_type(), number)).collect()
    };
    rows.extend((0..PEOPLE).map(row));
    for (place, field) in schema.fields().iter().enumerate() {
        for value in extremes(field.data_type()) {
            let mut changed = row(PEOPLE + rows.len() as i64);
            changed[place] = value;
            rows.push(changed);
        }
    }
    let column = |place: usize| -> ArrayRef {
        match rows.is_empty() {
            true => new_empty_array(schema.field(place).data_type()),
            false => ScalarValue::iter_to_array(rows.iter().map(|row| row[place].clone())).expect("a column"),
        }
    };
    let columns = (0..schema.fields().len()).map(column).collect();
    RecordBatch::try_new(Arc::clone(schema), columns).expect("rows of the source")
}
