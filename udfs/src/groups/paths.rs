//! `session_paths`: the visits of a group, each with the steps that were taken in it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringBuilder, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, IntervalUnit, TimeUnit};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::Documentation;
use datafusion_macros::user_doc;

use super::aggregate::{Aggregate, Constants, Measure, lists};
use super::entries::{Entry, Folding, Taken};
use super::keys::{Keys, whole};
use crate::args::{expect_arity, nullable_fields, text_type};
use crate::time::timestamp_type;

#[user_doc(
    doc_section(label = "Groups"),
    description = "The sessions of a group in the order of time: a list of {started_at, ended_at, steps, path}. An instant that follows the last one after `gap` or more starts a new session. `steps` counts the rows, `path` holds their steps in the order of time, repeats taken once, one after the other without anything between: give each step a letter. Of equal instants the smaller step comes first. Rows where the step or the instant is NULL are ignored; a group without any has an empty list.",
    syntax_example = "session_paths(step, instant, gap)",
    sql_example = "```sql\nselect device_id, session_paths(left(event_type, 1), event_time, interval '30 minutes') from visits group by device_id;\n```",
    argument(name = "step", description = "A text, best of one letter."),
    argument(name = "instant", description = "A timestamp."),
    argument(name = "gap", description = "A constant interval above zero, without months.")
)]
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct SessionPaths;

impl Aggregate for SessionPaths {
    type Measure = Steps;
    const NAME: &'static str = "session_paths";

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }

    fn coerce(types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(Self::NAME, types, &["step", "instant", "gap"])?;
        text_type(Self::NAME, "step", &types[0])?;
        timestamp_type(Self::NAME, "instant", &types[1])?;
        Ok(vec![DataType::Utf8, INSTANT, DataType::Interval(IntervalUnit::MonthDayNano)])
    }

    fn returns(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Struct(fields()), true))))
    }

    fn measure(types: &[DataType], constants: &Constants) -> Result<Steps> {
        Ok(Steps { steps: Keys::new(&types[0]), gap: constants.duration(2, "gap")? })
    }
}

const INSTANT: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// What is known of a session.
pub fn fields() -> Fields {
    nullable_fields(&[
        ("started_at", INSTANT),
        ("ended_at", INSTANT),
        ("steps", DataType::Int64),
        ("path", DataType::Utf8),
    ])
}

/// Everything that was done: the key of an entry is the step, its value the instant.
#[derive(Debug)]
pub struct Steps {
    steps: Keys,
    gap: i64,
}

impl Measure for Steps {
    type Value = i64;
    const FOLDING: Folding = Folding::Never;

    fn fresh(&self) -> Self {
        Self { steps: self.steps.fresh(), gap: self.gap }
    }

    fn read(&mut self, columns: &[ArrayRef], mut add: impl FnMut(usize, i64, i64)) -> Result<()> {
        let [steps, instants, ..] = columns else { return internal_err!("expected steps and instants") };
        let instants = whole(instants)?;
        self.steps.read(steps, |row, code| {
            if instants.is_valid(row) {
                add(row, code, instants.value(row));
            }
        })
    }

    fn fold(&self, _: &mut Entry<i64>, _: &Entry<i64>) -> bool {
        false
    }

    fn result(&self, groups: &Taken<i64>) -> Result<ArrayRef> {
        // the steps of a text column are few: decoded once
        let most = groups.entries.iter().map(|entry| entry.key + 1).max().unwrap_or(0);
        let texts = self.steps.decode(0..most)?;
        let texts = texts.as_string::<i32>();
        let mut sessions = Sessions::default();
        let mut lengths = Vec::with_capacity(groups.groups());
        for group in groups.each() {
            let before = sessions.steps.len();
            let mut end = None;
            for entry in self.by_time(group) {
                let goes_on = end.is_some_and(|end: i64| entry.value < end.saturating_add(self.gap));
                sessions.add(entry, goes_on, texts.value(entry.key as usize));
                end = Some(entry.value);
            }
            sessions.close();
            lengths.push(sessions.steps.len() - before);
        }
        lists(lengths, Arc::new(sessions.finish()?))
    }

    fn keys(&self) -> &Keys {
        &self.steps
    }

    fn keys_mut(&mut self) -> &mut Keys {
        &mut self.steps
    }
}

impl Steps {
    /// The entries of a group, which come step by step, in the order of time, equal instants in that of their steps. They are
    /// merged where they lie, since a group may be as large as memory.
    fn by_time<'a>(&'a self, group: &'a [Entry<i64>]) -> impl Iterator<Item = &'a Entry<i64>> {
        let mut steps: Vec<&[Entry<i64>]> = group.chunk_by(|last, next| last.key == next.key).collect();
        steps.sort_unstable_by(|a, b| self.steps.compare(a[0].key, b[0].key));
        let mut next: BinaryHeap<Reverse<(i64, usize)>> =
            steps.iter().enumerate().map(|(step, entries)| Reverse((entries[0].value, step))).collect();
        std::iter::from_fn(move || {
            let mut first = next.peek_mut()?;
            let step = first.0.1;
            let (entry, rest) = steps[step].split_first()?;
            steps[step] = rest;
            match rest.first() {
                Some(later) => first.0.0 = later.value,
                None => {
                    PeekMut::pop(first);
                }
            }
            Some(entry)
        })
    }
}

/// The columns of sessions.
#[derive(Default)]
struct Sessions {
    started: Vec<i64>,
    ended: Vec<i64>,
    steps: Vec<i64>,
    paths: StringBuilder,
    /// The last step, while its session is open.
    last: Option<i64>,
}

impl Sessions {
    /// Adds a step to the session that is open if it goes on, else to a new one.
    fn add(&mut self, entry: &Entry<i64>, goes_on: bool, text: &str) {
        if !goes_on {
            self.close();
            self.started.push(entry.value);
            self.ended.push(entry.value);
            self.steps.push(0);
        }
        if let (Some(ended), Some(steps)) = (self.ended.last_mut(), self.steps.last_mut()) {
            *ended = entry.value;
            *steps += 1;
        }
        if self.last.replace(entry.key) != Some(entry.key) {
            // a StringBuilder cannot fail to be written to
            let _ = self.paths.write_str(text);
        }
    }

    fn close(&mut self) {
        if self.last.take().is_some() {
            self.paths.append_value("");
        }
    }

    fn finish(mut self) -> Result<StructArray> {
        let instants = |values| cast(&Int64Array::from(values), &INSTANT);
        let columns: Vec<ArrayRef> = vec![
            instants(self.started)?,
            instants(self.ended)?,
            Arc::new(Int64Array::from(self.steps)),
            Arc::new(self.paths.finish()),
        ];
        Ok(StructArray::try_new(fields(), columns, None)?)
    }
}
