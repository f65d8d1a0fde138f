//! What an observer sees who knows every session, order and message of a person.

use std::collections::BTreeSet;

use super::campaigns;
use super::events::DayEvents;
use super::holders::is_shared;
use super::intent::{Intent, rushes, upcoming};
use super::manners::Manner;
use super::messages::{EFFECT, assignment};
use super::orders::{Basket, purchases_on};
use super::persons::{Person, System, household};
use super::places::STATION;
use super::sessions::{
    COMMUTE, COMMUTES, EventType, NONE, Session, ZONES, home_zone, is_app, is_working_day, platform,
    sessions_on, walk,
};
use super::world::{DAY, HOUR, World};

/// How often something happened of how often it could have.
#[derive(Debug, Clone, Copy, Default)]
pub struct Count {
    pub hits: u32,
    pub trials: u32,
}

impl Count {
    fn add(&mut self, hit: bool) {
        self.hits += u32::from(hit);
        self.trials += 1;
    }

    fn join(&mut self, other: Count) {
        self.hits += other.hits;
        self.trials += other.trials;
    }

    /// Logarithm of the likelihood of a probability.
    pub fn log_likelihood(self, p: f64) -> f64 {
        let p = p.clamp(1e-9, 1.0 - 1e-9);
        f64::from(self.hits) * libm::log(p) + f64::from(self.trials - self.hits) * libm::log(1.0 - p)
    }
}

/// What sessions say of the classes of [`Manner`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Traces {
    pub carts: Count,
    pub revisits: Count,
    pub rushes: Count,
    pub commutes: Count,
    pub rainy: Count,
}

impl Traces {
    fn add(&mut self, other: &Traces) {
        self.carts.join(other.carts);
        self.revisits.join(other.revisits);
        self.rushes.join(other.rushes);
        self.commutes.join(other.commutes);
        self.rainy.join(other.rainy);
    }
}

/// Whose sessions an observer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// All.
    Everything,
    /// Those that raw tables can give to the person: in which they log in, and those on a device of their own on which they
    /// ever do.
    Logins,
}

/// A person and what is seen of them.
#[derive(Debug)]
pub struct Observed {
    pub persona: usize,
    pub manner: Manner,
    pub discount: f64,
    pub class: usize,
    pub labels: Labels,
    /// Of all sessions.
    pub all: Traces,
    /// Of those that [`Sight::Logins`] sees.
    pub by_logins: Traces,
    /// Probability of being seen at the station on the way without being a commuter.
    pub passes: f64,
    /// Share of rainy days, and of dry days soon followed by rain, weighted by activity.
    pub rain: (f64, f64),
    pub discounted: Count,
    pub opened: [Count; 4],
    pub session_days: Vec<u32>,
    /// Assignments to campaigns, and orders within the effect of one: without and with a message.
    pub assignments: u32,
    pub expected: (f64, f64),
}

/// Classes that follow from the latent rates of `truth/persons`.
#[derive(Debug, Clone, Copy)]
pub struct Labels {
    /// Buys at a discount more often than not.
    pub price_sensitive: bool,
    /// Activity at the end of the world is under a tenth of its mean.
    pub churned: bool,
    /// The holidays draw the person more than 1.5 units above the mean.
    pub seasonal: bool,
    /// Activity at the end relative to its mean, season and weekends apart.
    pub activity_at_end: f64,
}

impl Labels {
    /// The labels of a person.
    pub fn of(person: &Person) -> Labels {
        let trend = person.traits[7];
        // exp(trend x) for x from -1 to 1, at its end, over its mean
        let mean = if trend.abs() < 1e-6 { 1.0 } else { libm::sinh(trend) / trend };
        let activity_at_end = libm::exp(trend) / mean;
        Labels {
            price_sensitive: person.habits.discount > 0.5,
            churned: activity_at_end < 0.1,
            seasonal: person.traits[8] > 1.5,
            activity_at_end,
        }
    }
}

/// The searches of the sample by day: all, and those of the rising term.
pub type Searches = Vec<(u32, u32)>;

/// What is seen of a person over the world's days; their searches are added to those of the day.
pub fn observe(world: &World, person: u32, searches: &mut Searches) -> Observed {
    let drawn = Person::draw(&world.settings, person);
    let manner = world.people.manners[person as usize];
    let class = usize::from(world.people.activity[person as usize]);
    let head = household(world.settings.seed, person).head;
    let mut seen = Observed {
        persona: drawn.persona,
        manner,
        discount: f64::from(drawn.habits.discount),
        class,
        labels: Labels::of(&drawn),
        all: Traces::default(),
        by_logins: Traces::default(),
        passes: passes(f64::from(drawn.habits.hour), head),
        rain: rain(world, manner.city, class),
        discounted: Count::default(),
        opened: [Count::default(); 4],
        session_days: Vec::new(),
        assignments: 0,
        expected: (0.0, 0.0),
    };
    let mut starts = Vec::new();
    let devices = logged_in_on(world, person);
    for day in 0..world.days() {
        sessions_on(world, person, day, |session| {
            let may_buy = world.people.account_on(person, day, &[System::App, System::Web], 0).is_some();
            starts.push((session.start, may_buy));
            let traces = seen.session(world, &session, searches);
            seen.all.add(&traces);
            if session.account.is_some() || (devices.contains(&session.device) && !is_shared(world, &session))
            {
                seen.by_logins.add(&traces);
            }
        });
        purchases_on(world, person, day, |purchase| {
            let basket = Basket::draw(world, person, day, purchase.slot);
            seen.discounted.add(basket.is_discounted());
        });
    }
    seen.messages(world, person, f64::from(drawn.habits.buys), &starts);
    seen
}

impl Observed {
    /// What the sessions say that an observer sees.
    pub fn traces(&self, sight: Sight) -> &Traces {
        match sight {
            Sight::Everything => &self.all,
            Sight::Logins => &self.by_logins,
        }
    }

    fn session(&mut self, world: &World, session: &Session, searches: &mut Searches) -> Traces {
        let day = (session.start / DAY) as u32;
        self.session_days.push(day);
        let mut traces = Traces::default();
        let basket = session.buys.then(|| Basket::draw(world, session.person, session.day, session.slot));
        walk(world, session, basket.as_ref(), |step| match step.event {
            EventType::Cart if !session.buys => traces.carts.add(true),
            EventType::Dwell if !session.buys => traces.carts.add(false),
            EventType::Search => {
                let (all, risen) = &mut searches[day as usize];
                *all += 1;
                *risen += u32::from(step.query == world.rising.query);
            }
            _ => {}
        });
        if session.buys {
            traces.rushes.add(rushes(world, session));
        } else {
            traces.rainy.add(world.weather.rains(self.manner.city, day));
            if upcoming(world, session).is_some() {
                traces.revisits.add(Intent::of(world, session, None).wanted.is_some());
            }
        }
        if is_working_day(world, session.day) && is_app(platform(world, session.device)) {
            let on_the_way =
                COMMUTES.iter().any(|from| (*from..from + COMMUTE).contains(&(session.start % DAY)));
            let at_station = session.place != NONE && session.place % ZONES == STATION;
            traces.commutes.add(on_the_way && at_station);
        }
        traces
    }

    fn messages(&mut self, world: &World, person: u32, buys: f64, starts: &[(i64, bool)]) {
        let raised = (buys * libm::exp(f64::from(self.manner.uplift))).min(0.9).max(buys);
        for campaign in campaigns::sending(0, world.days() - 1) {
            let Some(given) = assignment(world, campaign, person, 0..world.days()) else { continue };
            if given.treated {
                let opened = given.outcome(world, campaign, person).opened.is_some();
                self.opened[campaigns::channel(campaign)].add(opened);
            }
            let affected = |start: i64| (0..EFFECT).contains(&(start - given.sent));
            let sessions = starts.iter().filter(|(start, may_buy)| *may_buy && affected(*start)).count();
            self.assignments += 1;
            self.expected.0 += buys * sessions as f64;
            self.expected.1 += raised * sessions as f64;
        }
    }
}

/// The devices on which a person logs in, ever.
fn logged_in_on(world: &World, person: u32) -> BTreeSet<u64> {
    let mut known = DayEvents::default();
    known.carried_logins(world, person);
    let mut devices: BTreeSet<u64> = known.devices_logged_in_on().collect();
    for day in 0..world.days() {
        sessions_on(world, person, day, |session| {
            if session.account.is_some() {
                devices.insert(session.device);
            }
        });
    }
    devices
}

/// Probability that a session whose time and place follow from habit alone starts on the way at the city's station.
fn passes(hour: f64, head: u32) -> f64 {
    let cumulated = |x: f64| match x.clamp(-5.0, 5.0) / 5.0 {
        x if x < 0.0 => (1.0 + x) * (1.0 + x) / 2.0,
        x => 1.0 - (1.0 - x) * (1.0 - x) / 2.0,
    };
    let hours = |time: i64| time as f64 / HOUR as f64;
    let on_the_way: f64 = COMMUTES
        .iter()
        .flat_map(|from| [-24.0, 0.0, 24.0].map(|turn| hours(*from) - hour + turn))
        .map(|from| cumulated(from + hours(COMMUTE)) - cumulated(from))
        .sum();
    let at_home = if home_zone(head) == STATION { 251.0 / 256.0 } else { 0.0 };
    on_the_way * (at_home + 5.0 / 256.0 / f64::from(ZONES))
}

/// Share of rainy days, and of dry days soon followed by rain, weighted by activity.
fn rain(world: &World, city: u16, class: usize) -> (f64, f64) {
    let (mut wet, mut awaited, mut total) = (0.0, 0.0, 0.0);
    for day in 0..world.days() {
        let activity = f64::from(world.activity(day)[class]);
        total += activity;
        if world.weather.rains(city, day) {
            wet += activity;
        } else if world.weather.next_rain(city, day).is_some() {
            awaited += activity;
        }
    }
    (wet / total, awaited / total)
}
