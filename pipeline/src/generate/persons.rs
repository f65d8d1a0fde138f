//! Persons: persona, latent traits, habits, devices, accounts and the household they share things with.

use super::manners::Manner;
use super::rng::{Draws, Topic};
use super::settings::WorldSettings;
use super::world::{SEASON_BOUNDS, SEASON_LEVELS, TREND_BOUND, TREND_LEVELS};

/// Number of latent traits.
pub const TRAITS: usize = 10;

/// The latent traits, as the feature columns of `truth/persons`. Each is normal around its persona's centre.
pub const FEATURES: [&str; TRAITS] = [
    "log_order_rate",
    "log_basket_value",
    "log_session_rate",
    "log_session_views",
    "discount_affinity",
    "log_category_breadth",
    "return_affinity",
    "activity_trend",
    "season_affinity",
    "store_affinity",
];

/// Centre and unit of each trait: orders a year, yuan a basket, sessions a year and views a session as logarithms;
/// shares of discounted orders, returned orders and store orders as logits; trend as the exponent by which activity
/// grows from the middle of the world to its end; season in log units of the holiday peaks' height.
const SCALES: [(f64, f64); TRAITS] = [
    (2.12, 0.75),
    (5.3, 0.5),
    (2.82, 0.7),
    (1.06, 0.35),
    (-1.0, 1.0),
    (0.75, 0.45),
    (-2.4, 0.6),
    (0.0, 2.0),
    (0.0, 1.0),
    (-0.6, 0.9),
];

/// Name, share of the persons, and centre of every trait in its units.
const PERSONAS: [(&str, f64, [f64; TRAITS]); 8] = [
    ("champion", 0.10, [1.5, 0.8, 1.0, 0.2, -0.4, 0.9, 0.0, 0.1, 0.0, 0.0]),
    ("loyal", 0.16, [0.9, 0.1, 0.3, -0.2, -0.2, 0.3, -0.4, 0.0, 0.0, 0.6]),
    ("bargain_hunter", 0.14, [0.4, -0.8, 0.6, 0.5, 1.7, 0.6, 0.9, 0.0, 0.2, -0.5]),
    ("browser", 0.14, [-0.8, 0.0, 1.2, 1.3, 0.3, 0.5, 0.1, 0.0, 0.0, -0.8]),
    ("occasional", 0.18, [-0.7, -0.1, -0.9, -0.4, -0.2, -0.7, -0.3, 0.0, 0.0, 0.3]),
    ("lapsed", 0.12, [-0.4, 0.0, -0.4, 0.0, 0.1, -0.2, 0.1, -1.9, 0.0, 0.0]),
    ("newcomer", 0.08, [-0.1, -0.2, 0.3, 0.5, 0.4, -0.4, 0.2, 1.9, 0.0, -0.4]),
    ("gift_season", 0.08, [-0.5, 1.1, -0.5, 0.1, 0.0, -0.3, -0.5, 0.1, 2.0, 0.2]),
];

/// Standard deviation of a person around the persona's centre, in trait units. It sets how far the personas overlap:
/// at 0.71 k-means with k = 8 on the standardised features finds them with an adjusted Rand index of about .68.
const WITHIN_PERSONA: f64 = 0.71;

/// The system a customer record lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// The web shop.
    Web,
    /// The tills.
    Pos,
    /// The mobile app.
    App,
}

impl System {
    /// The value of `crm_customers.system`.
    pub fn name(self) -> &'static str {
        match self {
            System::Web => "web",
            System::Pos => "pos",
            System::App => "app",
        }
    }
}

/// One account of a person. Its number is built from person and slot.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    /// Where it is registered.
    pub system: System,
    /// Local day of registration; -1 for all days before the world.
    pub registered: i16,
}

/// Number of an account: the system in bits 60-61, person and slot in the low 30 bits.
#[inline]
pub fn account_number(system: System, person: u32, slot: u32) -> u64 {
    ((system as u64) << 60) | (u64::from(person) << 3) | u64::from(slot)
}

/// Slot of an account number that no person has: for orphans.
pub const NO_ACCOUNT_SLOT: u32 = 7;
/// Slot of the device a household shares.
pub const SHARED_DEVICE_SLOT: u32 = 7;

/// Number of a person's device, or of a household's by its head.
#[inline]
pub fn device_number(person: u32, slot: u32) -> u64 {
    (u64::from(person) << 3) | u64::from(slot)
}

/// What a person does, compact.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Probability that a session ends in an order, given an account.
    pub buys: f32,
    /// Probability that a session without an order logs in.
    pub logs_in: f32,
    /// Mean views of a session.
    pub views: f32,
    /// Share of orders with a discount.
    pub discount: f32,
    /// Share of orders from which something is returned.
    pub returns: f32,
    /// Categories visited: mean of the exponential law over the person's favourites.
    pub breadth: f32,
    /// Mean number of lines beyond the first.
    pub lines: f32,
    /// Centre of the price tiers bought, 0 to 7.
    pub tier: f32,
    /// Favoured time of day, in hours.
    pub hour: f32,
    /// Days from an order to its return, and to what is written about it.
    pub return_days: u8,
    /// Own devices, 1 to 3.
    pub devices: u8,
    /// Whether the household has a device that this person uses too.
    pub shares: bool,
}

/// A household: 1 to 4 neighbouring person numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Household {
    /// Its first person.
    pub head: u32,
    /// Number of persons.
    pub size: u32,
}

/// The household of a person. Persons come in blocks of four, split by one of five patterns.
pub fn household(seed: u64, person: u32) -> Household {
    const PATTERNS: [&[u32]; 5] = [&[1, 1, 1, 1], &[2, 1, 1], &[2, 2], &[3, 1], &[4]];
    let block = person / 4;
    let pattern =
        Draws::new(seed, Topic::Household, u64::from(block), 0).weighted(&[0.38, 0.2, 0.2, 0.12, 0.1]);
    let mut head = block * 4;
    for size in PATTERNS[pattern] {
        if person < head + size {
            return Household { head, size: *size };
        }
        head += size;
    }
    Household { head: person, size: 1 }
}

/// Everything drawn about one person.
#[derive(Debug, Clone)]
pub struct Person {
    /// Index into the personas.
    pub persona: usize,
    /// Latent traits in their natural units, in the order of [`FEATURES`].
    pub traits: [f64; TRAITS],
    /// What follows from them.
    pub habits: Habits,
    /// Accounts, 1 to 5.
    pub accounts: Vec<Account>,
    /// Sessions a year.
    pub sessions: f64,
    /// Store visits with an order, a year.
    pub store_orders: f64,
}

/// Name of a persona.
pub fn persona_name(persona: usize) -> &'static str {
    PERSONAS[persona].0
}

impl Person {
    /// Draws a person: a function of seed, number and the length of the world.
    pub fn draw(settings: &WorldSettings, person: u32) -> Person {
        let mut draws = Draws::new(settings.seed, Topic::Person, u64::from(person), 0);
        let persona = draws.weighted(&PERSONAS.map(|(_, share, _)| share));
        let mut units = PERSONAS[persona].2;
        for unit in &mut units {
            *unit += WITHIN_PERSONA * draws.normal();
        }
        let mut traits = [0.0; TRAITS];
        for ((value, unit), (centre, scale)) in traits.iter_mut().zip(units).zip(SCALES) {
            *value = centre + scale * unit;
        }
        let accounts = accounts(&mut draws, settings.days, traits[7]);
        let has = |systems: [System; 2]| accounts.iter().any(|account| systems.contains(&account.system));
        let store_share = match (has([System::Web, System::App]), has([System::Pos, System::Pos])) {
            (false, _) => 1.0,
            (true, false) => 0.0,
            (true, true) => logistic(traits[9]),
        };
        let orders = libm::exp(traits[0]);
        let sessions = libm::exp(traits[2]);
        let home = household(settings.seed, person);
        let shared = home.size > 1
            && Draws::new(settings.seed, Topic::Household, u64::from(home.head), 1).chance(0.6)
            && draws.chance(0.8);
        let habits = Habits {
            buys: (orders * (1.0 - store_share) / sessions).min(0.75) as f32,
            logs_in: (0.05 + 0.4 * draws.unit()) as f32,
            views: libm::exp(traits[3]) as f32,
            discount: logistic(traits[4]) as f32,
            returns: logistic(traits[6]) as f32,
            breadth: libm::exp(traits[5]) as f32,
            lines: libm::exp(0.45 + 0.25 * units[1]) as f32,
            tier: (3.5 + 1.3 * units[1]).clamp(0.0, 7.0) as f32,
            hour: [9.0f32, 12.5, 16.0, 20.5, 21.5, 23.0][draws.weighted(&[0.1, 0.2, 0.1, 0.3, 0.2, 0.1])],
            return_days: 2 + draws.below(14) as u8,
            devices: 1 + draws.weighted(&[0.4, 0.42, 0.18]) as u8,
            shares: shared,
        };
        Person { persona, traits, habits, accounts, sessions, store_orders: orders * store_share }
    }
}

/// Accounts over the three systems. People whose activity grows register while the world runs.
fn accounts(draws: &mut Draws, days: u32, trend: f64) -> Vec<Account> {
    let first = if trend > 2.5 {
        draws.below(u64::from(days / 2 + 1)) as i16
    } else if draws.chance(0.06) {
        draws.below(u64::from(days)) as i16
    } else {
        -1
    };
    let mut systems: Vec<System> = [(System::Web, 0.62), (System::Pos, 0.5), (System::App, 0.66)]
        .into_iter()
        .filter(|(_, share)| draws.chance(*share))
        .map(|(system, _)| system)
        .collect();
    if systems.is_empty() {
        systems.push(if draws.chance(0.5) { System::App } else { System::Web });
    }
    for _ in 0..2 {
        if draws.chance(0.07) {
            let again = systems[draws.below(systems.len() as u64) as usize];
            systems.push(again);
        }
    }
    let offset = draws.below(systems.len() as u64) as usize;
    systems
        .iter()
        .enumerate()
        .map(|(index, system)| {
            let is_first = index == offset;
            let later = !is_first && (first >= 0 || draws.chance(0.25));
            let span = u64::from(days).saturating_sub(first.max(0) as u64).max(1);
            let registered = if later { first.max(0) + draws.below(span) as i16 } else { first };
            Account { system: *system, registered }
        })
        .collect()
}

/// The logistic function.
pub fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// The persons of a world, column by column: about 130 bytes each.
#[derive(Debug)]
pub struct People {
    /// Mean sessions a day.
    pub session_rate: Vec<f32>,
    /// Mean store orders a day.
    pub store_rate: Vec<f32>,
    /// Activity class, see `World::activity`.
    pub activity: Vec<u16>,
    /// The rest of their habits.
    pub habits: Vec<Habits>,
    /// How they decide, move and read.
    pub manners: Vec<Manner>,
    accounts: Vec<Account>,
    first_account: Vec<u32>,
}

impl People {
    /// Draws all persons, on the threads of the settings.
    pub fn draw(settings: &WorldSettings) -> Self {
        let persons = settings.persons();
        let share = persons.div_ceil(settings.threads as u32).max(1);
        let parts: Vec<People> = std::thread::scope(|scope| {
            let parts: Vec<_> = (0..persons)
                .step_by(share as usize)
                .map(|first| scope.spawn(move || People::part(settings, first..(first + share).min(persons))))
                .collect();
            parts
                .into_iter()
                .map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let mut all = People::part(settings, 0..0);
        for part in parts {
            let base = all.accounts.len() as u32;
            all.session_rate.extend(part.session_rate);
            all.store_rate.extend(part.store_rate);
            all.activity.extend(part.activity);
            all.habits.extend(part.habits);
            all.manners.extend(part.manners);
            all.accounts.extend(part.accounts);
            all.first_account.extend(part.first_account.iter().skip(1).map(|first| base + first));
        }
        all
    }

    fn part(settings: &WorldSettings, persons: std::ops::Range<u32>) -> Self {
        let count = persons.len();
        let mut people = People {
            session_rate: Vec::with_capacity(count),
            store_rate: Vec::with_capacity(count),
            activity: Vec::with_capacity(count),
            habits: Vec::with_capacity(count),
            manners: Vec::with_capacity(count),
            accounts: Vec::with_capacity(count * 2),
            first_account: vec![0],
        };
        for person in persons {
            let drawn = Person::draw(settings, person);
            people.session_rate.push((drawn.sessions / 365.0) as f32);
            people.store_rate.push((drawn.store_orders / 365.0) as f32);
            people.activity.push(activity_class(&drawn.traits));
            people.habits.push(drawn.habits);
            people.manners.push(Manner::draw(settings.seed, person, drawn.persona));
            people.accounts.extend(drawn.accounts);
            people.first_account.push(people.accounts.len() as u32);
        }
        people
    }

    /// The accounts of a person, in the order of their slots.
    #[inline]
    pub fn accounts(&self, person: u32) -> &[Account] {
        let first = self.first_account[person as usize] as usize;
        let end = self.first_account[person as usize + 1] as usize;
        &self.accounts[first..end]
    }

    /// The number of the account this person uses on `day` in the first of the systems in which one was registered
    /// on an earlier day; `bits` decides among several.
    #[inline]
    pub fn account_on(&self, person: u32, day: u32, systems: &[System], bits: u64) -> Option<u64> {
        let accounts = self.accounts(person);
        for system in systems {
            let mut found = None;
            for (slot, account) in accounts.iter().enumerate() {
                if account.system == *system && i64::from(account.registered) < i64::from(day) {
                    let number = account_number(*system, person, slot as u32);
                    // the youngest account, but for one time in four
                    if found.is_none() || bits & 3 != 0 {
                        found = Some(number);
                    }
                }
            }
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

fn activity_class(traits: &[f64; TRAITS]) -> u16 {
    let level = |value: f64, low: f64, high: f64, levels: usize| {
        (((value - low) / (high - low) * levels as f64) as i64).clamp(0, levels as i64 - 1) as usize
    };
    let trend = level(traits[7], -TREND_BOUND, TREND_BOUND, TREND_LEVELS);
    let season = level(traits[8], SEASON_BOUNDS.0, SEASON_BOUNDS.1, SEASON_LEVELS);
    (trend * SEASON_LEVELS + season) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_do_not_depend_on_threads() {
        let settings = WorldSettings { scale: 0.01, threads: 1, ..Default::default() };
        let one = People::draw(&settings);
        let five = People::draw(&WorldSettings { threads: 5, ..settings });
        assert_eq!(one.session_rate, five.session_rate);
        assert_eq!(one.first_account, five.first_account);
        assert_eq!(format!("{:?}", one.accounts), format!("{:?}", five.accounts));
    }

    #[test]
    fn households_are_consistent() {
        for person in 0..4000 {
            let home = household(9, person);
            assert!(home.head <= person && person < home.head + home.size);
            assert_eq!(household(9, home.head), home);
        }
    }

    #[test]
    fn accounts_are_used_after_their_registration() {
        let settings = WorldSettings { scale: 0.01, ..Default::default() };
        let people = People::draw(&settings);
        let late = (0..1000).find(|p| people.accounts(*p).iter().all(|a| a.registered > 10)).unwrap();
        let systems = [System::Web, System::Pos, System::App];
        assert_eq!(people.account_on(late, 5, &systems, 1), None);
        assert!(people.account_on(late, 400, &systems, 1).is_some());
    }
}
