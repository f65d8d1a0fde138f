//! `session_paths`: the visits of a group, each with the steps that were taken in it.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, StringBuilder, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Fields, IntervalUnit, TimeUnit};
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::logical_expr::Documentation;
use datafusion_macros::user_doc;

use super::aggregate::{Aggregate, Constants, Measure, lists};
use super::entries::{Entry, Folding, Taken};
use super::keys::Keys;
use crate::args::{expect_arity, nullable_fields, text_type};
use crate::time::timestamp_type;

#[user_doc(
    doc_section(label = "Groups"),
    description = "The sessions of a group in the order of time: a list of {started_at, ended_at, steps, path}. An instant that follows the last one after `gap` or more starts a new session. `steps` counts the rows, `path` holds their steps in the order of time, repeats taken once, one after the other. Steps of one instant come in the order in which `order` names their letters, so that a view, a cart and an order within a second are a path in that order; letters that it does not name come after those, the smaller one first. A step that is not one letter is an error. Rows where the step or the instant is NULL are ignored; a group without any has an empty list.",
    syntax_example = "session_paths(step, instant, gap [, order])",
    sql_example = "```sql\nselect device_id, session_paths(left(event_type, 1), event_time, interval '30 minutes', 'vco') from visits group by device_id;\n```",
    argument(name = "step", description = "A text of one letter."),
    argument(name = "instant", description = "A timestamp."),
    argument(name = "gap", description = "A constant interval above zero, without months."),
    argument(
        name = "order",
        description = "A constant text: the letters in the order in which steps of one instant are taken."
    )
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
        let names = ["step", "instant", "gap", "order"];
        expect_arity(Self::NAME, types, if types.len() == 3 { &names[..3] } else { &names })?;
        text_type(Self::NAME, "step", &types[0])?;
        timestamp_type(Self::NAME, "instant", &types[1])?;
        let order = types.get(3).map(|order| text_type(Self::NAME, "order", order)).transpose()?;
        let gap = DataType::Interval(IntervalUnit::MonthDayNano);
        Ok([DataType::Utf8, INSTANT, gap].into_iter().chain(order).collect())
    }

    fn returns(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Struct(fields()), true))))
    }

    fn keys(types: &[DataType]) -> DataType {
        types[1].clone()
    }

    fn measure(types: &[DataType], constants: &Constants) -> Result<Steps> {
        let gap = constants.duration(2, "gap")?;
        let order = if types.len() > 3 { constants.text(3, "order")? } else { String::new() };
        Ok(Steps { instants: Keys::new(&types[1]), gap, order: StepOrder::new(&order) })
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

/// In which order steps of one instant are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepOrder(Vec<char>);

/// Bits of a code that hold the letter; those above hold its rank.
const LETTER_BITS: u32 = 21;
/// The rank of letters without a place; more letters than this cannot be told apart by rank.
const LAST_RANK: u32 = (1 << (u32::BITS - LETTER_BITS)) - 1;

impl StepOrder {
    /// The order in which a text names its letters.
    pub fn new(letters: &str) -> Self {
        Self(letters.chars().collect())
    }

    /// Place of a letter: that of its first mention, or one behind all others.
    pub fn rank(&self, letter: char) -> u32 {
        let place = self.0.iter().position(|named| *named == letter);
        place.map_or(LAST_RANK, |place| LAST_RANK.min(place as u32))
    }

    /// A number that sorts letters by rank, then by themselves.
    fn code(&self, letter: char) -> u32 {
        self.rank(letter) << LETTER_BITS | u32::from(letter)
    }
}

/// The letter of a code.
fn letter(code: u32) -> Option<char> {
    char::from_u32(code & ((1 << LETTER_BITS) - 1))
}

/// Everything that was done: the key of an entry is the instant, its value the code of the step.
#[derive(Debug)]
pub struct Steps {
    instants: Keys,
    gap: i64,
    order: StepOrder,
}

impl Measure for Steps {
    type Value = u32;
    const FOLDING: Folding = Folding::Never;

    fn fresh(&self) -> Self {
        Self { instants: self.instants.fresh(), gap: self.gap, order: self.order.clone() }
    }

    fn read(&mut self, columns: &[ArrayRef], mut add: impl FnMut(usize, i64, u32)) -> Result<()> {
        let [steps, instants, ..] = columns else { return internal_err!("expected steps and instants") };
        let Some(steps) = steps.as_string_opt::<i32>() else {
            return internal_err!("expected steps as text");
        };
        let (mut wrong, order) = (None, &self.order);
        self.instants.read(instants, |row, instant| {
            if steps.is_valid(row) {
                let mut letters = steps.value(row).chars();
                match (letters.next(), letters.next()) {
                    (Some(letter), None) => add(row, instant, order.code(letter)),
                    _ => wrong = Some(row),
                }
            }
        })?;
        match wrong {
            None => Ok(()),
            Some(row) => exec_err!("session_paths: a step is one letter, not '{}'", steps.value(row)),
        }
    }

    fn fold(&self, _: &mut Entry<u32>, _: &Entry<u32>) -> bool {
        false
    }

    fn result(&self, groups: &Taken<u32>) -> Result<ArrayRef> {
        let mut sessions = Sessions::default();
        let mut lengths = Vec::with_capacity(groups.groups());
        for group in groups.each() {
            let before = sessions.steps.len();
            let mut end = None;
            for entry in group {
                let goes_on = end.is_some_and(|end: i64| entry.key < end.saturating_add(self.gap));
                sessions.add(entry, goes_on);
                end = Some(entry.key);
            }
            sessions.close();
            lengths.push(sessions.steps.len() - before);
        }
        lists(lengths, Arc::new(StructArray::try_new(fields(), sessions.columns(), None)?))
    }

    fn keys(&self) -> &Keys {
        &self.instants
    }

    fn keys_mut(&mut self) -> &mut Keys {
        &mut self.instants
    }
}

/// The columns of sessions.
#[derive(Default)]
pub struct Sessions {
    started: Vec<i64>,
    ended: Vec<i64>,
    steps: Vec<i64>,
    paths: StringBuilder,
    /// The code of the last step, while its session is open.
    last: Option<u32>,
}

impl Sessions {
    /// Adds a step to the session that is open if it goes on, else to a new one.
    fn add(&mut self, entry: &Entry<u32>, goes_on: bool) {
        if !goes_on {
            self.close();
            self.started.push(entry.key);
            self.ended.push(entry.key);
            self.steps.push(0);
        }
        if let (Some(ended), Some(steps)) = (self.ended.last_mut(), self.steps.last_mut()) {
            *ended = entry.key;
            *steps += 1;
        }
        if self.last.replace(entry.value) != Some(entry.value)
            && let Some(letter) = letter(entry.value)
        {
            // a StringBuilder cannot fail to be written to
            let _ = self.paths.write_char(letter);
        }
    }

    fn close(&mut self) {
        if self.last.take().is_some() {
            self.paths.append_value("");
        }
    }

    /// Adds a session as it is.
    pub fn push(&mut self, started: i64, ended: i64, steps: i64, path: &str) {
        self.started.push(started);
        self.ended.push(ended);
        self.steps.push(steps);
        self.paths.append_value(path);
    }

    /// Columns of the types of `fields`.
    pub fn columns(mut self) -> Vec<ArrayRef> {
        vec![
            Arc::new(TimestampMicrosecondArray::from(self.started)),
            Arc::new(TimestampMicrosecondArray::from(self.ended)),
            Arc::new(Int64Array::from(self.steps)),
            Arc::new(self.paths.finish()),
        ]
    }
}
