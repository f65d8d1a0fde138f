//! Sessions: when a person comes, on which device, whether they log in and buy, and the events on the way.

use chrono::Datelike;

use super::intent::{Intent, whims};
use super::manners::Manner;
use super::messages::reached;
use super::names::{CATEGORIES, CITIES, MODIFIERS, WESTERN_CITIES};
use super::orders::Basket;
use super::persons::{SHARED_DEVICE_SLOT, System, device_number, household};
use super::places::STATION;
use super::products::TIERS;
use super::rng::{Topic, mix, poisson};
use super::world::{DAY, HOUR, MINUTE, SECOND, World};

/// Most sessions of a person on a day; their slots fit 3 bits.
const MOST_SESSIONS: u32 = 8;
/// Most views of a session, which keeps event numbers within 7 bits.
const MOST_VIEWS: u32 = 24;
/// A session that starts before this time of day ends before midnight.
pub const MAY_CROSS_MIDNIGHT: i64 = 22 * HOUR;
/// Browsing stops after this; login, thinking the order over and the cart need less than 70 minutes more.
const LONGEST_BROWSING: i64 = 45 * MINUTE;
/// Times of day from which people are on their way to and from work, and how long.
pub const COMMUTES: [i64; 2] = [7 * HOUR, 18 * HOUR];
pub const COMMUTE: i64 = 2 * HOUR;
/// Zones of a city in `events.place`.
pub const ZONES: u16 = 16;
/// No value, for the compact columns of events.
pub const NONE: u16 = u16::MAX;

/// One session. It starts anonymous; events from the login on bear the account.
#[derive(Debug, Clone, Copy)]
pub struct Session {
    /// Who.
    pub person: u32,
    /// Local day to which it belongs; it starts on that day, unless it waits for rain.
    pub day: u32,
    /// Number within the day.
    pub slot: u32,
    /// World time of the start.
    pub start: i64,
    /// Device number.
    pub device: u64,
    /// Index into the place texts, or [`NONE`].
    pub place: u16,
    /// The account that logs in, if any does.
    pub account: Option<u64>,
    /// Whether it ends in an order.
    pub buys: bool,
    /// Number of views before the basket is filled.
    pub views: u32,
    login_at: u32,
}

/// Kind of an event, in the order of [`EVENT_TYPES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    View,
    Search,
    Cart,
    Dwell,
    Login,
}

/// Values of `events.event_type`.
pub const EVENT_TYPES: [&str; 5] = ["view", "search", "cart", "dwell", "login"];

/// One event of a session.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Number within the session.
    pub number: u32,
    /// World time.
    pub time: i64,
    /// What happened.
    pub event: EventType,
    /// Product index, or -1.
    pub product: i32,
    /// Query index, or [`NONE`].
    pub query: u16,
    /// Milliseconds, or -1.
    pub dwell_ms: i32,
    /// Whether the session's account is logged in.
    pub logged_in: bool,
}

/// The platform of a device.
pub fn platform(world: &World, device: u64) -> &'static str {
    let roll = world.draws(Topic::Login, device, 0).below(100);
    match (device & 7, roll) {
        (0, 0..=34) | (2, 0..=49) | (7, 60..) => "ios",
        (0, _) | (2, _) => "android",
        (_, 0..=59) => "windows",
        (_, 60..=74) => "macos",
        _ => "wechat",
    }
}

/// Whether the app runs on a platform; elsewhere it is the web shop.
pub fn is_app(platform: &str) -> bool {
    matches!(platform, "ios" | "android")
}

/// The city of a household: an index into the Chinese cities, continued by the western ones.
pub fn home_city(seed: u64, head: u32) -> u16 {
    let mut draws = super::rng::Draws::new(seed, Topic::Household, u64::from(head), 2);
    if draws.chance(0.14) {
        return (CITIES.len() as u64 + draws.below(WESTERN_CITIES.len() as u64)) as u16;
    }
    // the first cities are the largest
    let u = draws.unit();
    (u * u * CITIES.len() as f64) as u16
}

/// All texts of `events.place`: `City-07`.
pub fn place_texts() -> Vec<String> {
    let cities = CITIES.iter().map(|city| city.1).chain(WESTERN_CITIES);
    cities.flat_map(|city| (0..ZONES).map(move |zone| format!("{city}-{zone:02}"))).collect()
}

/// Calls `visit` with every session of a person that belongs to a day.
#[inline]
pub fn sessions_on(world: &World, person: u32, day: u32, mut visit: impl FnMut(Session)) {
    let index = person as usize;
    let class = usize::from(world.people.activity[index]);
    let lambda = f64::from(world.people.session_rate[index] * world.activity(day)[class]);
    let uniform = world.draws(Topic::SessionCount, u64::from(person), u64::from(day)).unit();
    for slot in 0..poisson(uniform, lambda, MOST_SESSIONS) {
        visit(session(world, person, day, slot));
    }
}

fn session(world: &World, person: u32, day: u32, slot: u32) -> Session {
    let habits = &world.people.habits[person as usize];
    let manner = &world.people.manners[person as usize];
    let mut draws = world.draws(Topic::Session, u64::from(person), u64::from(day) << 4 | u64::from(slot));
    let hour = f64::from(habits.hour) + (draws.unit() + draws.unit() - 1.0) * 5.0;
    let time = ((hour.rem_euclid(24.0) * HOUR as f64) as i64).min(DAY - 1);
    let home = household(world.settings.seed, person);
    let bits = draws.next_u64();
    let device = match (habits.shares && bits & 255 < 64, bits >> 8 & 255 < 150 || habits.devices == 1) {
        (true, _) => device_number(home.head, SHARED_DEVICE_SLOT),
        (false, true) => device_number(person, 0),
        (false, false) => device_number(person, 1 + (bits >> 16) as u32 % (u32::from(habits.devices) - 1)),
    };
    let app = is_app(platform(world, device));
    let systems = if app { [System::App, System::Web] } else { [System::Web, System::App] };
    let account = world.people.account_on(person, day, &systems, bits >> 24);
    let views = 1 + (world.exponential(bits >> 32) * habits.views) as u32;
    let views = views.min(MOST_VIEWS);
    let place = place(world, manner.city, home.head, app, day, time, bits >> 40);
    let start = i64::from(day) * DAY + time;
    let login_at = (bits >> 60) as u32 % views.min(3);
    let mut session =
        Session { person, day, slot, start, device, place, account, buys: false, views, login_at };
    let whim = move_by_manner(world, manner, &mut session, app);
    if account.is_some() {
        let (roll, buys) = (draws.unit(), f64::from(habits.buys));
        let raised = || (buys * libm::exp(f64::from(manner.uplift))).min(0.9);
        session.buys = roll < buys || roll < raised() && reached(world, person, session.start);
    }
    let logs_in = session.buys || draws.chance(f64::from(habits.logs_in));
    session.account = account.filter(|_| logs_in);
    if !session.buys && whim < f64::from(manner.waits) {
        wait_for_rain(world, manner.city, &mut session);
    }
    session
}

/// Working days of commuters: on the way, between seven and nine or six and eight, at the city's station. Returns a
/// uniform number for the next whim.
fn move_by_manner(world: &World, manner: &Manner, session: &mut Session, app: bool) -> f64 {
    if !app && manner.waits == 0.0 {
        return 1.0;
    }
    let mut draws = whims(world, session, 0);
    let (whim, next) = (draws.unit(), draws.unit());
    if app && whim < f64::from(manner.commutes) && is_working_day(world, session.day) {
        let bits = draws.next_u64();
        let from = if bits & 1 == 0 { COMMUTES[0] } else { COMMUTES[1] };
        session.start = i64::from(session.day) * DAY + from + (bits >> 1) as i64 % COMMUTE;
        if session.place != NONE {
            session.place = manner.city * ZONES + STATION;
        }
        return 1.0;
    }
    next
}

/// Moves a session that leads to no order to the next rainy day, if there is one soon.
fn wait_for_rain(world: &World, city: u16, session: &mut Session) {
    if let Some(day) = world.weather.next_rain(city, session.day) {
        let time = (session.start % DAY).min(MAY_CROSS_MIDNIGHT - 1);
        session.start = i64::from(day) * DAY + time;
    }
}

/// Whether a day is one from Monday to Friday.
pub fn is_working_day(world: &World, day: u32) -> bool {
    world.date(i64::from(day)).weekday().number_from_monday() <= 5
}

fn place(world: &World, city: u16, head: u32, mobile: bool, day: u32, time: i64, bits: u64) -> u16 {
    if bits & 255 < 13 {
        return NONE;
    }
    let zones = mix(u64::from(head));
    let working = (9 * HOUR..18 * HOUR).contains(&time) && mobile && is_working_day(world, day);
    let zone = match (working && bits >> 8 & 255 < 160, bits >> 8 & 255 > 250) {
        (true, _) => zones >> 8,
        (_, true) => bits >> 16,
        _ => zones,
    };
    city * ZONES + (zone % u64::from(ZONES)) as u16
}

/// The zone of a household's home.
pub fn home_zone(head: u32) -> u16 {
    (mix(u64::from(head)) % u64::from(ZONES)) as u16
}

/// The category in place `rank` among the favourites of a person: one of 192 orders of the 24 categories.
#[inline]
pub fn favourite(person: u32, rank: u32) -> u32 {
    const STEPS: [u32; 8] = [1, 5, 7, 11, 13, 17, 19, 23];
    let hash = mix(u64::from(person) ^ 0x5bd1_e995);
    (STEPS[(hash & 7) as usize] * rank + (hash >> 8) as u32 % 24) % CATEGORIES.len() as u32
}

/// A price tier around the person's own.
#[inline]
pub fn tier(centre: f32, bits: u64) -> u32 {
    let spread = (bits & 255) as f32 / 128.0 + (bits >> 8 & 255) as f32 / 128.0 - 2.0;
    ((centre + spread * 1.5).round().clamp(0.0, (TIERS - 1) as f32)) as u32
}

/// The position of a session's walk, and what it needs to go on.
struct Walker<'a, F> {
    world: &'a World,
    session: &'a Session,
    intent: Intent,
    emit: F,
    time: i64,
    number: u32,
    logged_in: bool,
}

impl<F: FnMut(&Step)> Walker<'_, F> {
    #[inline]
    fn step(&mut self, bits: u64, event: EventType, product: i32, query: u16, dwell_ms: i32) {
        self.time +=
            2 * SECOND + (self.world.exponential(bits) * 21e6) as i64 + (bits >> 8 & 0xf_ffff) as i64;
        if event == EventType::Login {
            self.logged_in = true;
        }
        let Self { number, time, logged_in, .. } = *self;
        (self.emit)(&Step { number, time, event, product, query, dwell_ms, logged_in });
        self.number += 1;
    }

    /// A view, often followed by a dwell on the same product, or by putting it into the cart for later.
    #[inline]
    fn view(&mut self, bits: u64, more: u64, product: u32, parks: f32) {
        self.step(bits, EventType::View, product as i32, NONE, -1);
        if more & 255 < 97 {
            if (mix(bits ^ more) >> 40) as f32 * (1.0 / 16_777_216.0) < parks {
                self.step(more >> 20, EventType::Cart, product as i32, NONE, -1);
                return;
            }
            let dwell =
                800 + (self.world.exponential(more >> 8) * 14_000.0) as i32 + (more >> 16 & 1023) as i32;
            self.step(more >> 20, EventType::Dwell, product as i32, NONE, dwell);
        }
    }

    fn browse(&mut self) {
        let Session { person, day, slot, .. } = *self.session;
        let habits = &self.world.people.habits[person as usize];
        let mut draws =
            self.world.draws(Topic::Walk, u64::from(person), u64::from(day) << 4 | u64::from(slot));
        let parks = if self.session.buys { 0.0 } else { self.world.people.manners[person as usize].parks };
        let mut category = 0;
        for view in 0..self.session.views {
            let (bits, more) = (draws.next_u64(), draws.next_u64());
            if view == 0 || bits >> 56 < 40 {
                let rank = (self.world.exponential(bits >> 48) * habits.breadth) as u32;
                category = match self.intent.wanted {
                    Some((product, at)) if at == view => product % CATEGORIES.len() as u32,
                    _ => favourite(person, rank),
                };
                if bits >> 40 & 255 < 110 {
                    let query = (category * 6 + (more >> 40) as u32 % 6) * MODIFIERS.len() as u32;
                    let query = (query + (more >> 62) as u32) as u16;
                    let query = self.world.rising.replace(query, day, mix(more));
                    self.step(more >> 44, EventType::Search, -1, query, -1);
                }
            }
            if view == self.session.login_at && self.session.account.is_some() {
                self.step(bits >> 30, EventType::Login, -1, NONE, -1);
            }
            let product = match self.intent.wanted {
                Some((product, at)) if at == view => product,
                _ => self.world.catalogue.pick(category, tier(habits.tier, more >> 32), bits >> 28, day),
            };
            self.view(bits, more, product, parks);
            if more >> 52 & 255 < 14 {
                self.step(bits >> 20, EventType::Cart, product as i32, NONE, -1);
            }
            if self.time - self.session.start > LONGEST_BROWSING && view >= self.session.login_at {
                break;
            }
        }
    }

    fn fill(&mut self, basket: &Basket) {
        for (number, line) in basket.lines().iter().enumerate() {
            let bits = mix(self.time as u64 ^ number as u64);
            if bits >> 56 < 200 {
                self.view(bits, bits >> 24, line.product, 0.0);
            }
            self.step(bits >> 16, EventType::Cart, line.product as i32, NONE, -1);
        }
    }
}

/// Walks through the events of a session in the order of time; returns the world time at which an order is placed.
pub fn walk(world: &World, session: &Session, basket: Option<&Basket>, emit: impl FnMut(&Step)) -> i64 {
    let intent = Intent::of(world, session, basket);
    let mut walker =
        Walker { world, session, intent, emit, time: session.start, number: 0, logged_in: false };
    walker.browse();
    if let Some(basket) = basket {
        walker.time += intent.pause;
        walker.fill(basket);
    }
    walker.time + 20 * SECOND + (mix(walker.time as u64) >> 20) as i64 % MINUTE
}

#[cfg(test)]
mod tests {
    use super::super::settings::WorldSettings;
    use super::*;

    #[test]
    fn sessions_are_anonymous_until_login_and_bounded() {
        let world = World::new(&WorldSettings { scale: 0.01, days: 20, ..Default::default() }).unwrap();
        let (mut sessions, mut logins, mut longest) = (0, 0, 0);
        for person in 0..1000 {
            for day in 0..20 {
                sessions_on(&world, person, day, |session| {
                    sessions += 1;
                    let basket = session.buys.then(|| Basket::draw(&world, person, day, session.slot));
                    let mut seen = false;
                    let mut last = session.start;
                    let end = walk(&world, &session, basket.as_ref(), |step| {
                        assert!(step.time > last && step.number < 128);
                        last = step.time;
                        seen |= step.event == EventType::Login;
                        assert_eq!(step.logged_in, seen);
                    });
                    assert_eq!(seen, session.account.is_some());
                    logins += u32::from(seen);
                    longest = longest.max(end - session.start);
                    assert!(end - session.start < DAY - MAY_CROSS_MIDNIGHT, "{}", end - session.start);
                });
            }
        }
        assert!(logins * 5 > sessions && logins * 2 < sessions, "{logins} of {sessions}");
        assert!(longest > 30 * MINUTE);
    }
}
