//! Campaigns: one a week, each over one channel. A campaign is a function of its number.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};

use super::columns::{Sorted, batch};
use super::messages::CHANNELS;
use super::world::{DAY, HOUR, MINUTE, World};
use crate::Result;

/// The day on which the first campaign starts, and days from the start of one to that of the next.
const FIRST: u32 = 1;
const EVERY: u32 = 7;
/// Days over which the messages of a campaign are sent.
pub const LASTS: u32 = 5;

/// What a campaign is for.
const GOALS: [&str; 5] = ["sale", "new products", "win back", "members day", "second purchase"];

/// The local day on which a campaign starts.
pub fn start(campaign: u32) -> u32 {
    FIRST + EVERY * campaign
}

/// The campaigns that may have sent a message on a day between `first` and `last`.
#[inline]
pub fn sending(first: u32, last: u32) -> std::ops::Range<u32> {
    let end = (last + EVERY).saturating_sub(FIRST) / EVERY;
    let begin = (first + EVERY).saturating_sub(FIRST + LASTS) / EVERY;
    begin..end
}

/// Index into [`CHANNELS`].
#[inline]
pub fn channel(campaign: u32) -> usize {
    campaign as usize % CHANNELS.len()
}

/// `C0007`.
pub fn name(campaign: u32) -> String {
    format!("C{:04}", campaign + 1)
}

/// Rows of `campaigns` that arrive on a day: the campaign that starts the day after.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn rows(world: &World, day: u32) -> Result<Option<RecordBatch>> {
    let known = |campaign: u32| start(campaign).saturating_sub(1);
    let rows: Vec<u32> = sending(day + 1, day + 1).filter(|campaign| known(*campaign) == day).collect();
    let goal = |campaign: &u32| GOALS[*campaign as usize % GOALS.len()];
    let sorted = Sorted::by(world, &rows, |_| 0);
    let texts = |text: &dyn Fn(u32) -> String| -> ArrayRef {
        Arc::new(rows.iter().map(|campaign| Some(text(*campaign))).collect::<StringArray>())
    };
    let columns = vec![
        texts(&name),
        texts(&|campaign| format!("{} {}", goal(&campaign), world.date(i64::from(start(campaign))))),
        sorted.texts(|campaign| CHANNELS[channel(*campaign)]),
        sorted.texts(goal),
        sorted.dates(|campaign| i64::from(start(*campaign))),
        sorted.dates(|campaign| i64::from(start(*campaign) + LASTS - 1)),
        sorted.times(|_| i64::from(day) * DAY + 9 * HOUR + 30 * MINUTE),
    ];
    batch("campaigns", rows.len(), columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_finds_the_campaigns_that_send() {
        for (first, last) in [(0, 0), (1, 1), (0, 3), (6, 8), (5, 12), (40, 43)] {
            let sends = |campaign: u32| start(campaign) <= last && start(campaign) + LASTS > first;
            let expected: Vec<u32> = (0..20).filter(|campaign| sends(*campaign)).collect();
            assert_eq!(sending(first, last).collect::<Vec<_>>(), expected, "{first} to {last}");
        }
    }
}
