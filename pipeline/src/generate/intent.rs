//! What a session is after, beyond browsing: the purchase it leads to, thought over or made at once.

use super::orders::Basket;
use super::rng::{Topic, mix};
use super::sessions::{Session, sessions_on};
use super::world::{MINUTE, World};

/// How many days before an order sessions may look at what it will be.
pub const LOOK_AHEAD_DAYS: u32 = 10;
/// Thinking an order over takes at least and at most so long; a gap of half an hour would end the session.
const PAUSE: (i64, i64) = (4 * MINUTE, 25 * MINUTE);

/// What a session is after.
#[derive(Debug, Clone, Copy, Default)]
pub struct Intent {
    /// A product that is looked at for the order that it will be in, and which view it is.
    pub wanted: Option<(u32, u32)>,
    /// How long the order is thought over before the basket is filled.
    pub pause: i64,
}

impl Intent {
    /// The intent of a session: a function of person, day and slot.
    pub fn of(world: &World, session: &Session, basket: Option<&Basket>) -> Intent {
        let Some(basket) = basket else {
            let revisits = f64::from(world.people.manners[session.person as usize].revisits);
            let mut draws = whims(world, session, 1);
            let wanted = if draws.chance(revisits) { upcoming(world, session) } else { None };
            let view = draws.below(u64::from(session.views)) as u32;
            return Intent { wanted: wanted.map(|product| (product, view)), pause: 0 };
        };
        if rushes(world, session) {
            return Intent::default();
        }
        let bits = mix(session.start as u64);
        let pause = PAUSE.0 + (world.exponential(bits) * 6.0 * MINUTE as f32) as i64;
        Intent { wanted: Some((basket.lines()[0].product, 0)), pause: pause.min(PAUSE.1) }
    }
}

/// Whether the order of a session is placed at once, without having been looked at before.
pub fn rushes(world: &World, session: &Session) -> bool {
    whims(world, session, 2).chance(f64::from(world.people.manners[session.person as usize].rushes))
}

/// The product that the person's next online order is about, if it is placed within [`LOOK_AHEAD_DAYS`] days and not at
/// once.
pub fn upcoming(world: &World, session: &Session) -> Option<u32> {
    let Session { person, day, .. } = *session;
    let last = (day + LOOK_AHEAD_DAYS).min(world.days() - 1);
    for later in day + 1..=last {
        let mut found = None;
        sessions_on(world, person, later, |next| {
            if next.buys && found.is_none() {
                found = Some(next);
            }
        });
        if let Some(next) = found {
            let product = Basket::draw(world, person, later, next.slot).lines()[0].product;
            return (!rushes(world, &next) && world.catalogue.is_known(product, day)).then_some(product);
        }
    }
    None
}

/// Random numbers of a session for one of its whims.
#[inline]
pub fn whims(world: &World, session: &Session, whim: u64) -> super::rng::Draws {
    let place = u64::from(session.day) << 4 | u64::from(session.slot);
    world.draws(Topic::Whim, u64::from(session.person), place | whim << 40)
}
