//! `sequence_match`: whether the rows of a group hold a sequence that a pattern describes.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::Documentation;
use datafusion_macros::user_doc;

use super::aggregate::{Aggregate, Constants};
use super::conditions::{Conditions, Question, coerce};
use super::entries::Entry;
use crate::args::text_type;

const SECOND: i64 = 1_000_000;

#[user_doc(
    doc_section(label = "Groups"),
    description = "Whether the rows of a group, in the order of their instants, hold a sequence that a pattern describes. (?N): a row that meets condition N (from 1); .*: any rows; .: one row; (?t<=S), (?t<S), (?t>=S), (?t>S), (?t==S): the next row of the pattern comes so many seconds after the last, with any rows between. The sequence may begin anywhere. Rows that meet no condition are left out, NULL instants too; a NULL condition is not met. Rows of one instant come in the order in which the pattern first names their conditions. The meaning is that of ClickHouse's sequenceMatch, which leaves the order of such rows open.",
    syntax_example = "sequence_match(pattern, instant, condition [, ...])",
    sql_example = "```sql\nselect account_id, sequence_match('(?1)(?t<=1800)(?2)', event_time, event_type = 'view', event_type = 'cart') from visits group by account_id;\n```",
    argument(name = "pattern", description = "A constant."),
    argument(name = "instant", description = "A timestamp."),
    argument(name = "condition", description = "Booleans; 32 at most.")
)]
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct SequenceMatch;

impl Aggregate for SequenceMatch {
    type Measure = Conditions<Sequence>;
    const NAME: &'static str = "sequence_match";

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }

    fn coerce(types: &[DataType]) -> Result<Vec<DataType>> {
        let Some(pattern) = types.first() else {
            return plan_err!("sequence_match(pattern, instant, condition, ...): pattern is missing");
        };
        let pattern = text_type(Self::NAME, "pattern", pattern)?;
        Ok([vec![pattern], coerce(Self::NAME, types, 1)?].concat())
    }

    fn returns(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn keys(_: &[DataType]) -> DataType {
        DataType::Int64
    }

    fn measure(types: &[DataType], constants: &Constants) -> Result<Conditions<Sequence>> {
        let pattern = constants.text(0, "pattern")?;
        Ok(Conditions::new(Sequence::new(parse(&pattern, types.len() - 2)?)))
    }
}

/// A pattern.
#[derive(Debug, Clone)]
pub struct Sequence {
    parts: Vec<Part>,
    /// The bits of conditions in the order in which the pattern first names them; `None` where that is their own.
    turns: Option<Vec<u32>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A row that meets the condition of this bit.
    Meets(u32),
    /// Any row.
    Any,
    /// Any rows, none too.
    Rows,
    /// Rows until one that lies so many microseconds after the last.
    After(Compare, i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    AtMost,
    Below,
    AtLeast,
    Above,
    Equal,
}

const COMPARISONS: [(&str, Compare); 5] = [
    ("<=", Compare::AtMost),
    ("<", Compare::Below),
    (">=", Compare::AtLeast),
    (">", Compare::Above),
    ("==", Compare::Equal),
];

/// The parts of a pattern over this many conditions.
fn parse(pattern: &str, conditions: usize) -> Result<Vec<Part>> {
    let wrong = |rest: &str, what: &str| {
        let at = pattern.len() - rest.len();
        plan_err!("sequence_match: pattern '{pattern}' has {what} at place {}", at + 1)
    };
    let number = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut parts = vec![Part::Rows];
    let mut rest = pattern;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(".*") {
            parts.push(Part::Rows);
            rest = after;
            continue;
        }
        if let Some(after) = rest.strip_prefix('.') {
            parts.push(Part::Any);
            rest = after;
            continue;
        }
        let Some(inside) = rest.strip_prefix("(?") else {
            return wrong(rest, "neither a row nor a time");
        };
        let compared = inside.strip_prefix('t').and_then(|time| {
            COMPARISONS.iter().find_map(|(sign, compare)| Some((*compare, time.strip_prefix(sign)?)))
        });
        let (compare, digits) = compared.map_or((None, inside), |(compare, digits)| (Some(compare), digits));
        let (digits, after) = digits.split_at(number(digits));
        let Ok(value) = digits.parse::<u32>() else { return wrong(rest, "no number") };
        let Some(after) = after.strip_prefix(')') else { return wrong(after, "no closing parenthesis") };
        match compare {
            Some(_) if matches!(parts.last(), Some(Part::After(..))) => {
                return wrong(rest, "a time behind a time");
            }
            Some(compare) => parts.push(Part::After(compare, i64::from(value) * SECOND)),
            None if (1..=conditions as u32).contains(&value) => parts.push(Part::Meets(value - 1)),
            None => return wrong(rest, "a condition that is not there"),
        }
        rest = after;
    }
    Ok(parts)
}

impl Question for Sequence {
    fn instants(&self) -> usize {
        1
    }

    fn wants_others(&self) -> bool {
        false
    }

    fn answer<'a>(&self, groups: impl Iterator<Item = &'a [Entry<i64>]>) -> ArrayRef {
        Arc::new(groups.map(|rows| Some(self.holds(rows))).collect::<BooleanArray>())
    }
}

impl Sequence {
    fn new(parts: Vec<Part>) -> Self {
        let mut turns: Vec<u32> = Vec::new();
        for part in &parts {
            if let Part::Meets(bit) = part
                && !turns.contains(bit)
            {
                turns.push(*bit);
            }
        }
        let turns = Some(turns).filter(|turns| !turns.is_sorted());
        Self { parts, turns }
    }

    /// Whether rows in the order of instants and conditions hold the sequence.
    fn holds(&self, rows: &[Entry<i64>]) -> bool {
        let Some(turns) = &self.turns else { return self.matches(rows) };
        // a row comes as late as the last of its conditions
        let turn = |met: i64| -> i64 {
            turns.iter().enumerate().map(|(place, bit)| (met >> bit & 1) << place).sum()
        };
        let mut rows = rows.to_vec();
        rows.sort_by_key(|row| (row.key, turn(row.value)));
        self.matches(&rows)
    }

    /// Part by part, the rows at which the rest may begin: rows times parts steps, whatever the pattern.
    fn matches(&self, rows: &[Entry<i64>]) -> bool {
        let mut begins = vec![false; rows.len() + 1];
        begins[0] = true;
        let mut last = Part::Rows;
        for part in &self.parts {
            begins = match *part {
                Part::Meets(bit) => shifted(&begins, |row| rows[row].value >> bit & 1 == 1),
                Part::Any => shifted(&begins, |_| true),
                Part::Rows => {
                    let first = begins.iter().position(|begins| *begins).unwrap_or(begins.len());
                    (0..begins.len()).map(|row| row >= first).collect()
                }
                Part::After(compare, gap) => {
                    // behind a row time runs from it, behind any rows from the row to come
                    let behind = usize::from(last != Part::Rows);
                    after(rows, &begins, behind, compare, gap)
                }
            };
            last = *part;
        }
        begins.contains(&true)
    }
}

/// What begins behind rows that fit.
fn shifted(begins: &[bool], fits: impl Fn(usize) -> bool) -> Vec<bool> {
    std::iter::once(false).chain((0..begins.len() - 1).map(|row| begins[row] && fits(row))).collect()
}

/// The rows from those that begin on whose instants are so far from the row `behind` before.
fn after(rows: &[Entry<i64>], begins: &[bool], behind: usize, compare: Compare, gap: i64) -> Vec<bool> {
    let mut reached = vec![false; begins.len()];
    // ranges of rows that fit only move on, so each row is marked once
    let mut marked = 0;
    for begin in (0..rows.len()).filter(|row| begins[*row]) {
        let instant = rows[begin - behind].key;
        let first_at = |limit: i64| begin + rows[begin..].partition_point(|row| row.key < limit);
        let (least, most) = (instant.saturating_add(gap), instant.saturating_add(gap).saturating_add(1));
        let range = match compare {
            Compare::AtMost => begin..first_at(most),
            Compare::Below => begin..first_at(least),
            Compare::AtLeast => first_at(least)..rows.len(),
            Compare::Above => first_at(most)..rows.len(),
            Compare::Equal => first_at(least)..first_at(most),
        };
        let end = range.end.max(marked);
        reached[range.start.max(marked)..end].fill(true);
        marked = end;
    }
    reached
}
