//! How a person decides, moves and reads: latent classes and the rates that follow from them.
//!
//! Every rate is drawn from a law of its class, and what is observed is drawn from the rate, so that classes overlap and
//! no rule finds them exactly. Classes are independent of persona, devices and accounts: nothing else gives them away.
//! What the best observer could reach stands in `truth/ceilings`.

use super::messages::CHANNELS;
use super::persons::{household, logistic};
use super::rng::{Draws, Topic};
use super::sessions::home_city;

/// Latent classes, as in `truth/traits`.
pub const CLASSES: [&str; 4] = ["hesitant", "impulsive", "commuter", "rain_lover"];

/// Share of persons in each class; nobody is both hesitant and impulsive.
const SHARES: [f64; 4] = [0.2, 0.16, 0.25, 0.15];

/// A rate: normal on the logit scale, with its centre for others and for the class.
struct Law {
    others: f64,
    bearers: f64,
    spread: f64,
}

/// Products stayed on that are put into the cart, in sessions without an order: about 4 % and 27 %.
const PARKS: Law = Law { others: -3.2, bearers: -1.0, spread: 0.6 };
/// Sessions in the days before an order that look at what it will be: about 8 % and 60 %.
const REVISITS: Law = Law { others: -2.4, bearers: 0.4, spread: 0.6 };
/// Online orders placed at once, of something not looked at before: about 15 % and 65 %.
const RUSHES: Law = Law { others: -1.7, bearers: 0.6, spread: 0.7 };
/// App sessions of working days that happen on the way to or from work: about 2 % and 35 %.
const COMMUTES: Law = Law { others: -3.9, bearers: -0.6, spread: 0.6 };
/// Sessions of dry days that wait for one of the next three days to rain: none and about 55 %.
const WAITS: Law = Law { others: f64::NEG_INFINITY, bearers: 0.2, spread: 0.7 };
/// Messages opened: about 9 %, and 48 % in the channel the person reads.
const OPENS: Law = Law { others: -2.3, bearers: -0.1, spread: 0.5 };

/// Factor, as a logarithm, by which a message raises the chance that a session ends in an order, by persona.
const UPLIFTS: [f64; 8] = [0.0, 0.1, 0.9, 0.6, 0.2, 0.3, 0.5, 0.1];
/// Standard deviation of that factor's logarithm within a persona; it is never below 0.
const UPLIFT_SPREAD: f64 = 0.1;

/// The manner of a person.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Membership in each of [`CLASSES`].
    pub classes: [bool; 4],
    /// The channel whose messages the person reads: index into [`CHANNELS`].
    pub channel: u8,
    /// Home city, see [`home_city`].
    pub city: u16,
    /// Probability that a product stayed on is put into the cart.
    pub parks: f32,
    /// Probability that a session before an order looks at what it will be.
    pub revisits: f32,
    /// Probability that an online order is placed at once.
    pub rushes: f32,
    /// Probability that an app session of a working day happens on the way.
    pub commutes: f32,
    /// Probability that a session of a dry day waits for rain.
    pub waits: f32,
    /// Probability that a message is opened, by channel.
    pub opens: [f32; 4],
    /// Factor, as a logarithm, by which a message raises the chance of an order.
    pub uplift: f32,
}

impl Manner {
    /// The manner of a person: a function of seed, number and persona.
    pub fn draw(seed: u64, person: u32, persona: usize) -> Manner {
        let mut draws = Draws::new(seed, Topic::Manner, u64::from(person), 0);
        let mut classes = SHARES.map(|share| draws.chance(share));
        classes[1] &= !classes[0];
        let [hesitant, impulsive, commuter, rain_lover] = classes;
        let channel = draws.below(CHANNELS.len() as u64) as u8;
        let mut rate = |law: Law, bears: bool| {
            let centre = if bears { law.bearers } else { law.others };
            logistic(centre + law.spread * draws.normal()) as f32
        };
        Manner {
            classes,
            channel,
            city: home_city(seed, household(seed, person).head),
            parks: rate(PARKS, hesitant),
            revisits: rate(REVISITS, hesitant),
            rushes: rate(RUSHES, impulsive),
            commutes: rate(COMMUTES, commuter),
            waits: if rain_lover { rate(WAITS, true) } else { 0.0 },
            opens: std::array::from_fn(|at| rate(OPENS, at == usize::from(channel))),
            uplift: (UPLIFTS[persona] + UPLIFT_SPREAD * draws.normal()).max(0.0) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_their_shares_and_rates_overlap() {
        let manners: Vec<Manner> = (0..20_000).map(|person| Manner::draw(1, person, 2)).collect();
        let share = |class: usize| manners.iter().filter(|m| m.classes[class]).count() as f64 / 20_000.0;
        for (class, expected) in [0.2, 0.128, 0.25, 0.15].into_iter().enumerate() {
            assert!((share(class) - expected).abs() < 0.01, "{}: {}", CLASSES[class], share(class));
        }
        assert!(manners.iter().all(|m| !(m.classes[0] && m.classes[1])));
        assert!(manners.iter().all(|m| m.classes[3] == (m.waits > 0.0)));
        let most = manners.iter().filter(|m| !m.classes[0]).map(|m| m.parks).fold(0.0, f32::max);
        let least = manners.iter().filter(|m| m.classes[0]).map(|m| m.parks).fold(1.0, f32::min);
        assert!(most > least, "the laws of hesitant and other people overlap: {most} {least}");
    }
}
