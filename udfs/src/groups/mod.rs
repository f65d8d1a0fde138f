//! Groups: aggregates over the rows of a group that SQL says badly or slowly. All are exact, do not depend on the
//! order of rows, and merge: partial states of days, files or partitions come to the same.

mod aggregate;
mod conditions;
mod counts;
mod entries;
mod extremes;
mod fixed_sum;
mod frame;
mod funnel;
mod hours;
mod keys;
mod paths;
mod seen;
mod sequence;
mod session_parts;
mod sessions;
mod sets;
mod totals;
mod vector_sum;

use datafusion::logical_expr::AggregateUDF;

pub use counts::quantile_rank;
pub use keys::{code_double, double_code};
pub use vector_sum::VectorSum;

use aggregate::Aggregate;

/// All of them.
pub fn all() -> Vec<AggregateUDF> {
    vec![
        sets::ValueSet::function(),
        sets::ActiveDays::function(),
        totals::ModeByWeight::function(),
        totals::TopN::function(),
        extremes::MinBy::function(),
        extremes::MaxBy::function(),
        counts::Entropy::function(),
        counts::QuantileDisc::function(),
        hours::WeekHours::function(),
        sessions::SessionCount::function(),
        paths::SessionPaths::function(),
        session_parts::JoinSessions::default().into(),
        seen::FirstSeen::function(),
        seen::HoursSeen::function(),
        funnel::WindowFunnel::function(),
        sequence::SequenceMatch::function(),
        fixed_sum::FixedSum::default().into(),
        VectorSum::default().into(),
    ]
}

#[cfg(test)]
pub(crate) mod tests;
