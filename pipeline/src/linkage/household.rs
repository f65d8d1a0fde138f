//! How members of a household agree: on most fields in a way of their own, on personal ones as strangers do, and on some
//! of these, by a share that is learned, as twins do.

use super::patterns::{Pattern, Patterns};
use super::{LinkageSettings, Placed};

/// The share of household members who agree on a `twins` field beyond chance, before any pair is looked at, and in how many
/// pairs it is said to have been seen: two births in a hundred are of twins, and half of the pairs of a household are siblings.
const TWINS: f64 = 0.01;
const TWINS_SEEN: f64 = 100.0;

/// How members of a household agree on each field.
pub struct Household {
    /// For each field: nothing where they agree in a way of their own, else the share that agrees as twins do; the others agree
    /// as strangers.
    twins: Vec<Option<f64>>,
    /// Whether that share is learned.
    learned: Vec<bool>,
}

impl Household {
    /// Before any pair is looked at.
    pub fn new(settings: &LinkageSettings, given: &Patterns) -> Self {
        let learned: Vec<bool> = given.fields.iter().map(|field| settings.twins.contains(field)).collect();
        let share = |(field, learned): (&String, &bool)| match (settings.personal.contains(field), learned) {
            (true, true) => Some(TWINS),
            (true, false) => Some(0.0),
            (false, _) => None,
        };
        Household { twins: given.fields.iter().zip(&learned).map(share).collect(), learned }
    }

    /// How often they agree at each level of each field, given how those that share it and how strangers do.
    pub fn levels(&self, levels: &[usize], shared: &[f64], strangers: &[f64]) -> Vec<f64> {
        let mut found = shared.to_vec();
        let mut first = 0;
        for (levels, twins) in levels.iter().zip(&self.twins) {
            if let Some(twins) = twins {
                let of_field = found[first..first + levels].iter_mut().zip(&strangers[first..]);
                of_field.for_each(|(share, stranger)| *share = (1.0 - twins) * stranger);
                found[first + levels - 1] += twins;
            }
            first += levels;
        }
        found
    }

    /// Counts those who agree as twins do among pairs of household members, which are weighed; `by_household` is how often
    /// these agreed when the pairs were weighed.
    pub fn count_twins(
        &mut self,
        placed: &Placed<'_>,
        by_household: &[f64],
        weight: impl Fn(usize, &Pattern) -> f64,
    ) {
        for field in (0..self.twins.len()).filter(|field| self.learned[*field]) {
            let last = placed.firsts[field] + placed.numbers[field] - 1;
            let twins = self.twins[field].unwrap_or_default() / by_household[last];
            let (mut agreeing, mut all) = (TWINS * TWINS_SEEN, TWINS_SEEN);
            for (at, (pattern, _)) in placed.patterns.iter().enumerate() {
                let Some(level) = pattern.levels[field] else { continue };
                let weight = weight(at, pattern);
                all += weight;
                if level + 1 == placed.numbers[field] {
                    agreeing += weight * twins;
                }
            }
            self.twins[field] = Some(agreeing / all);
        }
    }
}
