//! `session_paths`: the visits of a group, each with the steps that were taken in it.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, Int64Builder, StringBuilder, StructArray};
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

fn fields() -> Fields {
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
            if arrow::array::Array::is_valid(&instants, row) {
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
        let mut sorted: Vec<Entry<i64>> = Vec::new();
        for group in groups.each() {
            sorted.clear();
            sorted.extend_from_slice(group);
            sorted.sort_unstable_by(|a, b| {
                a.value.cmp(&b.value).then_with(|| self.steps.compare(a.key, b.key))
            });
            let visits = sorted.chunk_by(|last, next| next.value < last.value.saturating_add(self.gap));
            let mut count = 0;
            for visit in visits {
                sessions.add(visit, |code| texts.value(code as usize));
                count += 1;
            }
            lengths.push(count);
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

/// The columns of sessions.
#[derive(Default)]
struct Sessions {
    started: Vec<i64>,
    ended: Vec<i64>,
    steps: Int64Builder,
    paths: StringBuilder,
    path: String,
}

impl Sessions {
    fn add<'a>(&mut self, visit: &[Entry<i64>], text: impl Fn(i64) -> &'a str) {
        let (Some(first), Some(last)) = (visit.first(), visit.last()) else { return };
        self.path.clear();
        for same in visit.chunk_by(|last, next| last.key == next.key) {
            self.path.extend(same.first().map(|entry| text(entry.key)));
        }
        self.started.push(first.value);
        self.ended.push(last.value);
        self.steps.append_value(visit.len() as i64);
        self.paths.append_value(&self.path);
    }

    fn finish(mut self) -> Result<StructArray> {
        let instants = |values| cast(&Int64Array::from(values), &INSTANT);
        let columns: Vec<ArrayRef> = vec![
            instants(self.started)?,
            instants(self.ended)?,
            Arc::new(self.steps.finish()),
            Arc::new(self.paths.finish()),
        ];
        Ok(StructArray::try_new(fields(), columns, None)?)
    }
}
