//! One search term that rises: unknown to speak of at first, then a share of all searches.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float64Array, RecordBatch, StringArray};

use super::events::query_text;
use super::rng::{Draws, Topic};
use super::settings::WorldSettings;
use super::world::World;
use super::write;
use crate::{Context, Result};

/// The share of searches that it comes to have.
pub const SHARE: f64 = 0.05;
/// Days in which it covers all but a third of the way.
const PACE_DAYS: f64 = 7.0;

/// The term that rises.
#[derive(Debug)]
pub struct Rising {
    /// Query index.
    pub query: u16,
    /// The first day on which it rises.
    pub first: u32,
    /// Share of searches by days since the first.
    shares: Vec<f32>,
}

impl Rising {
    /// Draws the term and a day between a half and two thirds of the world.
    pub fn draw(settings: &WorldSettings) -> Rising {
        let mut draws = Draws::new(settings.seed, Topic::Rising, 0, 0);
        let query = draws.below(super::events::queries()) as u16;
        let first = settings.days / 2 + draws.below(u64::from(settings.days / 6 + 1)) as u32;
        let share = |day: u32| (SHARE * (1.0 - libm::exp(-(f64::from(day) + 1.0) / PACE_DAYS))) as f32;
        Rising { query, first, shares: (0..settings.days.saturating_sub(first)).map(share).collect() }
    }

    /// Share of searches on a day that are replaced by the term.
    #[inline]
    pub fn share(&self, day: u32) -> f32 {
        day.checked_sub(self.first).map_or(0.0, |since| self.shares[since as usize])
    }

    /// The query of a search, or the term in its place.
    #[inline]
    pub fn replace(&self, query: u16, day: u32, bits: u64) -> u16 {
        let roll = (bits >> 40) as f32 * (1.0 / 16_777_216.0);
        if day >= self.first && roll < self.share(day) { self.query } else { query }
    }
}

/// Rows of `truth/rising_terms`.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn truth(world: &World) -> Result<RecordBatch> {
    let Rising { query, first, .. } = world.rising;
    let date = world.date(i64::from(first)).signed_duration_since(chrono::NaiveDate::default()).num_days();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![query_text(query)])),
        Arc::new(Date32Array::from(vec![date as i32])),
        Arc::new(Float64Array::from(vec![SHARE])),
    ];
    RecordBatch::try_new(write::schema("truth/rising_terms"), columns).context("building truth/rising_terms")
}
