//! `window_funnel`: how far into a chain of conditions the rows of a group get within a window of time.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::Documentation;
use datafusion_macros::user_doc;

use super::aggregate::{Aggregate, Constants};
use super::conditions::{Conditions, Question, coerce};
use super::entries::Entry;
use crate::args::text_type;

#[user_doc(
    doc_section(label = "Groups"),
    description = "How many conditions of a chain were met one after the other within a window that begins with the first: 0 when none was, the number of conditions when all were. The rows may come in any order; rows of one instant count in the order of the conditions that they meet, so a view, a cart and an order within one second are a whole chain, unless the mode is strict_increase. NULL instants are ignored, a NULL condition is not met. The meaning is that of ClickHouse's windowFunnel.",
    syntax_example = "window_funnel(window, mode, instant, condition [, ...])",
    sql_example = "```sql\nselect account_id, window_funnel(interval '1 hour', '', event_time, event_type = 'view', event_type = 'cart') as steps from visits group by account_id;\n```",
    argument(name = "window", description = "A constant interval above zero, without months."),
    argument(
        name = "mode",
        description = "A constant: '' or names with commas between. strict_order: a row that meets no condition ends the chain, and so does a condition whose turn has not come; allow_reentry (with strict_order): the latter is skipped instead; strict_deduplication: a condition that was met again ends it; strict_increase: each instant must be after the last; strict_once: a row that meets several conditions counts once in a chain."
    ),
    argument(name = "instant", description = "A timestamp."),
    argument(name = "condition", description = "Booleans, in the order of the chain; 32 at most.")
)]
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct WindowFunnel;

impl Aggregate for WindowFunnel {
    type Measure = Conditions<Funnel>;
    const NAME: &'static str = "window_funnel";

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }

    fn coerce(types: &[DataType]) -> Result<Vec<DataType>> {
        let (DataType::Interval(_), Some(mode)) = (types.first().unwrap_or(&DataType::Null), types.get(1))
        else {
            return plan_err!(
                "window_funnel(window, mode, instant, condition, ...): window must be an interval"
            );
        };
        let mode = text_type(Self::NAME, "mode", mode)?;
        let rest = coerce(Self::NAME, types, 2)?;
        Ok([vec![DataType::Interval(IntervalUnit::MonthDayNano), mode], rest].concat())
    }

    fn returns(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn keys(_: &[DataType]) -> DataType {
        DataType::Int64
    }

    fn measure(types: &[DataType], constants: &Constants) -> Result<Conditions<Funnel>> {
        let mut funnel =
            Funnel { window: constants.duration(0, "window")?, steps: types.len() - 3, ..Funnel::default() };
        for mode in constants.text(1, "mode")?.split(',').map(str::trim).filter(|mode| !mode.is_empty()) {
            match mode {
                "strict_order" => funnel.strict_order = true,
                "allow_reentry" => funnel.allow_reentry = true,
                "strict_deduplication" => funnel.strict_deduplication = true,
                "strict_increase" => funnel.strict_increase = true,
                "strict_once" => funnel.strict_once = true,
                other => {
                    return plan_err!(
                        "window_funnel: mode '{other}' is not known; use strict_order, allow_reentry, strict_deduplication, strict_increase or strict_once"
                    );
                }
            }
        }
        if funnel.allow_reentry && !funnel.strict_order {
            return plan_err!("window_funnel: mode allow_reentry goes with strict_order");
        }
        Ok(Conditions::new(funnel))
    }
}

/// A chain of conditions and how strictly it is followed.
#[derive(Debug, Clone, Default)]
pub struct Funnel {
    /// In microseconds.
    window: i64,
    steps: usize,
    strict_order: bool,
    allow_reentry: bool,
    strict_deduplication: bool,
    strict_increase: bool,
    strict_once: bool,
}

impl Question for Funnel {
    fn instants(&self) -> usize {
        2
    }

    fn wants_others(&self) -> bool {
        self.strict_order
    }

    fn answer<'a>(&self, groups: impl Iterator<Item = &'a [Entry<i64>]>) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(groups.map(|rows| self.level(rows) as i64)))
    }
}

/// A chain so far: its first and last instant, and the rows in it where a row counts once.
#[derive(Debug, Clone)]
struct Chain {
    first: i64,
    last: i64,
    rows: Vec<usize>,
}

/// A condition that a row meets, `None` for a row that meets none.
struct Met {
    instant: i64,
    step: Option<usize>,
    row: usize,
}

impl Funnel {
    /// The longest chain of rows.
    fn level(&self, rows: &[Entry<i64>]) -> usize {
        let mut chains: Vec<Vec<Chain>> = vec![Vec::new(); self.steps];
        for met in self.in_order(rows) {
            let begun = !chains[0].is_empty();
            let Some(step) = met.step else {
                if begun {
                    break;
                }
                continue;
            };
            if step == 0 {
                let begins = Chain { first: met.instant, last: met.instant, rows: vec![met.row] };
                self.put(&mut chains[0], begins);
            } else if self.strict_deduplication && !chains[step].is_empty() {
                break;
            } else if chains[step - 1].is_empty() {
                if self.strict_order && begun && !self.allow_reentry {
                    return chains.iter().position(Vec::is_empty).unwrap_or(self.steps);
                }
            } else {
                let (before, after) = chains.split_at_mut(step);
                before[step - 1].iter().filter_map(|chain| self.next(chain, &met)).for_each(|longer| {
                    self.put(&mut after[0], longer);
                });
                if step + 1 == self.steps && !chains[step].is_empty() {
                    return self.steps;
                }
            }
        }
        chains.iter().rposition(|chains| !chains.is_empty()).map_or(0, |step| step + 1)
    }

    /// All conditions met, by instant and step.
    fn in_order(&self, rows: &[Entry<i64>]) -> Vec<Met> {
        let mut all = Vec::with_capacity(rows.len());
        for (row, entry) in rows.iter().enumerate() {
            let met = |step| Met { instant: entry.key, step, row };
            if entry.value == 0 {
                all.push(met(None));
            }
            all.extend(
                (0..self.steps).filter(|step| entry.value >> step & 1 == 1).map(|step| met(Some(step))),
            );
        }
        all.sort_by_key(|met| (met.instant, met.step));
        all
    }

    /// The chain with one row more, if that is allowed.
    fn next(&self, chain: &Chain, met: &Met) -> Option<Chain> {
        let in_time = met.instant <= chain.first.saturating_add(self.window);
        let after = !self.strict_increase || chain.last < met.instant;
        let once = !self.strict_once || !chain.rows.contains(&met.row);
        (in_time && after && once).then(|| {
            let rows = chain.rows.iter().copied().chain([met.row]).filter(|_| self.strict_once).collect();
            Chain { first: chain.first, last: met.instant, rows }
        })
    }

    /// Only the newest chain of a length counts. Where rows count once it matters which they are, but only those of
    /// this instant can come again; of the chains before it the one that began last has most time left.
    fn put(&self, chains: &mut Vec<Chain>, chain: Chain) {
        let now = chain.last;
        if self.strict_once {
            let earlier =
                chains.iter().filter(|chain| chain.last < now).max_by_key(|chain| chain.first).cloned();
            chains.retain(|chain| chain.last == now);
            chains.extend(earlier);
        } else {
            chains.clear();
        }
        chains.push(chain);
    }
}
