//! Ids of segments, which stay when a model is trained anew.

use datafusion::common::{Result, exec_err, plan_err};

/// Refuses ids that do not ascend from 0 or reach `next`, the first that no segment has ever had. `kind`: of which model.
pub(super) fn validate_ids(kind: &str, ids: &[i32], next: i32) -> Result<()> {
    let ascending = ids.windows(2).all(|pair| pair[0] < pair[1]);
    let within = ids.first().is_some_and(|first| *first >= 0) && ids.last().is_some_and(|last| *last < next);
    match ascending && within {
        true => Ok(()),
        false => plan_err!(
            "the segments of the {kind} model must be ascending ids from 0 and below {next}, not {ids:?}"
        ),
    }
}

/// The place of a segment among the ids of a `kind` model; an error when it is not there.
pub(super) fn place_of(kind: &str, ids: &[i32], segment: i32) -> Result<usize> {
    match ids.binary_search(&segment) {
        Ok(at) => Ok(at),
        Err(_) => {
            let known: Vec<String> = ids.iter().map(i32::to_string).collect();
            exec_err!("segment {segment} is not in the {kind} model, which has {}", known.join(", "))
        }
    }
}
