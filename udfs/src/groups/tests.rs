//! Aggregates fed by hand: however rows are split into batches, states and groups, the results are the same.

mod statements;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray, UInt32Array,
};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, Schema, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Accumulator, AggregateUDF, EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::{col, lit};

use super::all;

/// The results of an aggregate over all ways to cut rows into consecutive batches: each batch updates
/// one accumulator, or each its own, and those are merged forwards or backwards.
pub(crate) fn every_split(columns: &[ArrayRef], new: impl Fn() -> Box<dyn Accumulator>) -> Vec<ScalarValue> {
    let mut results = Vec::new();
    for cuts in 0..1usize << (columns[0].len() - 1) {
        let mut batches = batches(columns, cuts);
        let mut single = new();
        batches.iter().for_each(|batch| single.update_batch(batch).unwrap());
        results.push(single.evaluate().unwrap());
        assert_eq!(single.evaluate().unwrap(), results[results.len() - 1], "asked twice");
        for _ in 0..2 {
            let mut merged = new();
            for batch in &batches {
                let mut part = new();
                part.update_batch(batch).unwrap();
                merged.merge_batch(&state_of(part.as_mut())).unwrap();
            }
            merged.merge_batch(&state_of(new().as_mut())).unwrap();
            results.push(merged.evaluate().unwrap());
            batches.reverse();
        }
    }
    results
}

fn state_of(accumulator: &mut dyn Accumulator) -> Vec<ArrayRef> {
    accumulator.state().unwrap().iter().map(|value| value.to_array().unwrap()).collect()
}

/// Rows cut behind each place whose bit is set.
fn batches(columns: &[ArrayRef], cuts: usize) -> Vec<Vec<ArrayRef>> {
    let rows = columns[0].len();
    let mut from = 0;
    (1..=rows)
        .filter(|end| *end == rows || cuts >> (end - 1) & 1 == 1)
        .map(|to| {
            let start = std::mem::replace(&mut from, to);
            columns.iter().map(|column| column.slice(start, to - start)).collect()
        })
        .collect()
}

/// The same for groups: rows belong to groups 0, 1 and 2 in turn; group 0 is emitted early or not, and a part of the
/// batches is converted to states row by row.
fn every_split_of_groups(
    columns: &[ArrayRef],
    new: impl Fn() -> Box<dyn GroupsAccumulator>,
) -> Vec<ArrayRef> {
    let mut results = Vec::new();
    let groups_of = |from: usize, rows: usize| (from..from + rows).map(|row| row % 3).collect::<Vec<_>>();
    for cuts in 0..1usize << (columns[0].len() - 1) {
        let batches = batches(columns, cuts);
        let (mut single, mut merged) = (new(), new());
        let mut from = 0;
        for (number, batch) in batches.iter().enumerate() {
            let rows = batch[0].len();
            let groups = groups_of(from, rows);
            single.update_batch(batch, &groups, None, 3).unwrap();
            if number % 2 == 0 {
                let states = new().convert_to_state(batch, None).unwrap();
                merged.merge_batch(&states, &groups, 3).unwrap();
            } else {
                let mut part = new();
                part.update_batch(batch, &groups, None, 3).unwrap();
                merged.merge_batch(&part.state(EmitTo::First(1)).unwrap(), &[0], 3).unwrap();
                merged.merge_batch(&part.state(EmitTo::All).unwrap(), &[1, 2], 3).unwrap();
            }
            from += rows;
        }
        let first = single.evaluate(EmitTo::First(1)).unwrap();
        let rest = single.evaluate(EmitTo::All).unwrap();
        results.push(concat(&[first.as_ref(), rest.as_ref()]).unwrap());
        results.push(merged.evaluate(EmitTo::All).unwrap());
    }
    results
}

fn function(name: &str) -> Arc<AggregateUDF> {
    Arc::new(all().into_iter().find(|function| function.name() == name).unwrap())
}

/// The aggregate over columns `c0`, `c1`, ... behind or before constants.
fn expression(
    name: &str,
    columns: &[ArrayRef],
    before: &[ScalarValue],
    behind: &[ScalarValue],
) -> AggregateFunctionExpr {
    let fields =
        columns.iter().enumerate().map(|(i, c)| Field::new(format!("c{i}"), c.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let constants = |values: &[ScalarValue]| values.iter().cloned().map(lit).collect::<Vec<_>>();
    let read = (0..columns.len()).map(|i| col(&format!("c{i}"), &schema).unwrap()).collect::<Vec<_>>();
    let arguments = [constants(before), read, constants(behind)].concat();
    AggregateExprBuilder::new(function(name), arguments).schema(schema).alias(name).build().unwrap()
}

/// Constants as the columns that an accumulator gets.
fn all_columns(columns: &[ArrayRef], before: &[ScalarValue], behind: &[ScalarValue]) -> Vec<ArrayRef> {
    let rows = columns[0].len();
    let expand =
        |values: &[ScalarValue]| values.iter().map(|v| v.to_array_of_size(rows).unwrap()).collect::<Vec<_>>();
    [expand(before), columns.to_vec(), expand(behind)].concat()
}

fn micros(values: &[i64]) -> ArrayRef {
    let instants = values.iter().map(|minutes| Some(minutes * 60_000_000)).chain([None]);
    Arc::new(instants.collect::<arrow::array::PrimitiveArray<TimestampMicrosecondType>>())
}

fn minutes(minutes: i64) -> ScalarValue {
    ScalarValue::new_interval_mdn(0, 0, minutes * 60_000_000_000)
}

#[test]
fn every_split_gives_the_same() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![
        Some("b"),
        Some("a"),
        None,
        Some("b"),
        Some("顾客"),
        Some("a"),
        Some(""),
        Some("b"),
        None,
    ]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![
        Some(4),
        Some(-1),
        Some(7),
        None,
        Some(4),
        Some(9),
        Some(4),
        Some(-1),
        Some(0),
    ]));
    let doubles: ArrayRef = Arc::new(Float64Array::from(vec![
        Some(0.1),
        Some(-0.0),
        Some(1e15),
        None,
        Some(0.2),
        Some(1e-9),
        Some(-1e15),
        Some(0.0),
        None,
    ]));
    let instants = micros(&[5, 500, 20, 5, 34, 1000, 64, 3]);
    let yes: ArrayRef = Arc::new(BooleanArray::from(vec![
        Some(true),
        Some(false),
        Some(true),
        None,
        Some(true),
        Some(true),
        Some(false),
        Some(true),
        Some(true),
    ]));
    let no = arrow::compute::not(yes.as_boolean()).unwrap();
    let no: ArrayRef = Arc::new(no);
    let days: ArrayRef =
        arrow::compute::cast(&arrow::compute::cast(&numbers, &DataType::Int32).unwrap(), &DataType::Date32)
            .unwrap();
    let hours: ArrayRef = Arc::new(Int64Array::from_iter((0..9).map(|row| (row != 4).then_some(row))));
    let letters: ArrayRef = Arc::new(StringArray::from_iter(
        texts
            .as_string::<i32>()
            .iter()
            .map(|text| text.map(|text| text.chars().next().map_or("-".into(), String::from))),
    ));
    // parts of one session or two, row by row
    let part = |start: i64, end: i64, path: &str| {
        let fields = super::paths::fields();
        let minutes = |minutes: i64| ScalarValue::TimestampMicrosecond(Some(minutes * 60_000_000), None);
        let values = [minutes(start), minutes(end), ScalarValue::from(2i64), ScalarValue::from(path)];
        let arrays = values.iter().map(|value| value.to_array().unwrap()).collect();
        ScalarValue::Struct(Arc::new(arrow::array::StructArray::new(fields, arrays, None)))
    };
    let parts = [
        vec![part(100, 130, "vc")],
        vec![part(0, 10, "sv"), part(300, 310, "v")],
        vec![],
        vec![part(39, 90, "v")],
        vec![part(40, 41, "vl")],
        vec![part(41, 42, "l")],
        vec![part(150, 150, "o")],
        vec![part(160, 160, "o")],
        vec![part(119, 120, "c")],
    ];
    let item = DataType::Struct(super::paths::fields());
    let parts = parts.map(|parts| ScalarValue::List(ScalarValue::new_list(&parts, &item, true)));
    let parts = ScalarValue::iter_to_array(parts).unwrap();
    let none: &[ScalarValue] = &[];
    let three = [ScalarValue::from(3i64)];
    type Case<'a> = (&'a str, Vec<&'a ArrayRef>, Vec<ScalarValue>, Vec<ScalarValue>, &'a str);
    let cases: Vec<Case> = vec![
        ("value_set", vec![&texts], none.into(), none.into(), "[, a, b, 顾客]"),
        ("value_set", vec![&numbers], none.into(), none.into(), "[-1, 0, 4, 7, 9]"),
        (
            "value_set",
            vec![&doubles],
            none.into(),
            none.into(),
            "[-1000000000000000.0, 0.0, 1e-9, 0.1, 0.2, 1000000000000000.0]",
        ),
        ("active_days", vec![&days], none.into(), none.into(), "5"),
        ("mode_by_weight", vec![&texts, &numbers], none.into(), none.into(), "a"),
        (
            "top_n",
            vec![&texts, &numbers],
            none.into(),
            three.into(),
            "[{value: a, total: 8}, {value: , total: 4}, {value: 顾客, total: 4}]",
        ),
        ("min_by", vec![&texts, &instants], none.into(), none.into(), "b"),
        ("max_by", vec![&texts, &numbers], none.into(), none.into(), "a"),
        ("entropy", vec![&texts], none.into(), none.into(), "1.8423709931771086"),
        ("quantile_disc", vec![&numbers], none.into(), vec![0.5.into()], "4"),
        ("quantile_disc", vec![&doubles], none.into(), vec![1.0.into()], "1000000000000000.0"),
        ("session_count", vec![&instants], none.into(), vec![minutes(30)], "4"),
        (
            "session_paths",
            vec![&letters, &instants],
            none.into(),
            vec![minutes(30)],
            "[{started_at: 1970-01-01T00:03:00, ended_at: 1970-01-01T00:34:00, steps: 4, path: b顾}, {started_at: 1970-01-01T01:04:00, ended_at: 1970-01-01T01:04:00, steps: 1, path: -}, {started_at: 1970-01-01T08:20:00, ended_at: 1970-01-01T08:20:00, steps: 1, path: a}, {started_at: 1970-01-01T16:40:00, ended_at: 1970-01-01T16:40:00, steps: 1, path: a}]",
        ),
        (
            "join_sessions",
            vec![&parts, &texts, &yes],
            none.into(),
            vec![minutes(30)],
            "[{started_at: 1970-01-01T00:00:00, ended_at: 1970-01-01T02:40:00, steps: 16, path: svlvco, holder: 顾客, logged_in: true}, {started_at: 1970-01-01T05:00:00, ended_at: 1970-01-01T05:10:00, steps: 2, path: v, holder: a, logged_in: false}]",
        ),
        (
            "first_seen",
            vec![&texts, &instants],
            none.into(),
            none.into(),
            "[{value: , first_at: 1970-01-01T01:04:00}, {value: a, first_at: 1970-01-01T08:20:00}, {value: b, first_at: 1970-01-01T00:03:00}, {value: 顾客, first_at: 1970-01-01T00:34:00}]",
        ),
        (
            "hours_seen",
            vec![&texts, &hours],
            none.into(),
            none.into(),
            "[{value: , hours: 64}, {value: a, hours: 34}, {value: b, hours: 137}]",
        ),
        ("window_funnel", vec![&instants, &yes, &no], vec![minutes(60), "".into()], none.into(), "2"),
        (
            "window_funnel",
            vec![&instants, &yes, &no],
            vec![minutes(60), "strict_once".into()],
            none.into(),
            "2",
        ),
        (
            "sequence_match",
            vec![&instants, &yes, &no],
            vec!["(?1)(?t<=1800)(?2)".into()],
            none.into(),
            "true",
        ),
        (
            "sequence_match",
            vec![&instants, &yes, &no],
            vec!["(?2)(?t<=1800)(?1).*(?2)".into()],
            none.into(),
            "false",
        ),
        ("fixed_sum", vec![&doubles], none.into(), none.into(), "0.3000000009778887"),
    ];
    for (name, columns, before, behind, expected) in cases {
        let columns: Vec<ArrayRef> = columns.into_iter().cloned().collect();
        let expression = expression(name, &columns, &before, &behind);
        let columns = all_columns(&columns, &before, &behind);
        let results = every_split(&columns, || expression.create_accumulator().unwrap());
        assert_eq!(results.len(), 3 * 256);
        let shown = |value: &ScalarValue| text(&value.to_array().unwrap(), 0);
        for result in &results {
            assert_eq!(shown(result), expected, "{name} {before:?} {behind:?}");
        }
        let groups = every_split_of_groups(&columns, || expression.create_groups_accumulator().unwrap());
        assert!(groups.iter().all(|result| result == &groups[0]), "{name} {before:?} {behind:?}");
        for group in 0..3 {
            let places: UInt32Array = (0..columns[0].len() as u32).filter(|row| row % 3 == group).collect();
            let rows: Vec<_> = columns.iter().map(|column| take(column, &places, None).unwrap()).collect();
            let mut alone = expression.create_accumulator().unwrap();
            alone.update_batch(&rows).unwrap();
            let alone = alone.evaluate().unwrap().to_array().unwrap();
            assert_eq!(text(&groups[0], group as usize), text(&alone, 0), "{name}");
        }
    }
}

fn text(array: &ArrayRef, row: usize) -> String {
    ArrayFormatter::try_new(array, &FormatOptions::default().with_null("NULL"))
        .unwrap()
        .value(row)
        .to_string()
}

/// Memory is told as it is held, and given back with the groups.
#[test]
fn size_follows_the_entries() {
    let texts: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..100_000).map(|i| format!("a text with number {i}"))));
    let expression = expression("value_set", std::slice::from_ref(&texts), &[], &[]);
    let mut groups = expression.create_groups_accumulator().unwrap();
    let empty = groups.size();
    let indices: Vec<usize> = (0..texts.len()).map(|row| row / 10).collect();
    groups.update_batch(std::slice::from_ref(&texts), &indices, None, 10_000).unwrap();
    let held = groups.size();
    assert!(held > empty + 100_000 * (16 + 24) && held < 100_000 * 200, "{held}");
    let first = groups.evaluate(EmitTo::First(9_990)).unwrap();
    assert_eq!(first.as_list::<i32>().value(9_989).len(), 10);
    assert!(groups.size() < held / 10, "{} of {held}", groups.size());
    let last = groups.evaluate(EmitTo::All).unwrap();
    assert_eq!(last.as_list::<i32>().value(9).as_string::<i32>().value(0), "a text with number 99990");
}
