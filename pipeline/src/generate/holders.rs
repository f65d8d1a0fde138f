//! Who holds a device: the truth about devices that a household shares, and how well anonymous events could be given to
//! persons at best.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringBuilder, TimestampMicrosecondArray};

use super::events::{DayEvents, ascii};
use super::orders::Basket;
use super::persons::{SHARED_DEVICE_SLOT, System, device_number, household};
use super::sessions::{Session, sessions_on, walk};
use super::world::{World, device_text};
use super::write;
use crate::{Context, Result};

/// A session on a shared device. Times are world times.
#[derive(Debug, Clone, Copy)]
pub struct SharedSession {
    device: u64,
    person: u32,
    start: i64,
    end: i64,
}

impl SharedSession {
    /// What is to be told of a session that ends at `end`; nothing of one on a device of the person's own.
    pub fn of(world: &World, session: &Session, end: i64) -> Option<SharedSession> {
        is_shared(world, session).then_some(SharedSession {
            device: session.device,
            person: session.person,
            start: session.start,
            end,
        })
    }
}

/// Whether a session is on the device that a household shares.
pub fn is_shared(world: &World, session: &Session) -> bool {
    let head = household(world.settings.seed, session.person).head;
    session.device == device_number(head, SHARED_DEVICE_SLOT)
}

/// Rows of `truth/shared_sessions`: who sat at a device of a household from when to when.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn truth(world: &World, sessions: &[SharedSession]) -> Result<RecordBatch> {
    let mut devices = StringBuilder::new();
    for session in sessions {
        devices.append_value(ascii(&device_text(session.device)));
    }
    let times = |time: fn(&SharedSession) -> i64| -> ArrayRef {
        let times = sessions.iter().map(|session| Some(world.utc(World::settled(time(session)))));
        Arc::new(times.collect::<TimestampMicrosecondArray>())
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(devices.finish()),
        Arc::new(sessions.iter().map(|session| i64::from(session.person)).collect::<Int64Array>()),
        times(|session| session.start),
        times(|session| session.end),
    ];
    let schema = write::schema("truth/shared_sessions");
    RecordBatch::try_new(schema, columns).context("building truth/shared_sessions")
}

/// Anonymous events of one person's sessions on one device: those of sessions in which the person logs in later, and
/// those of others, by day.
#[derive(Debug, Default)]
struct Anonymous {
    before_login: u64,
    without_login: BTreeMap<u32, u64>,
}

/// The share of anonymous events that can be given to the right person at best, and their number, by who sees all logins
/// and knows the laws by which members of a household come and log in: what comes before a login in a session is of who
/// logs in; what is done without is of the owner of the device, or of the member who does so most on such a day, among
/// those who ever logged in on it. Nobody knows the person behind a device that no account ever logged in on. `persons`
/// are whole households.
pub fn ceiling(world: &World, persons: std::ops::Range<u32>) -> (f64, u64) {
    let mut seen: BTreeMap<(u64, u32), Anonymous> = BTreeMap::new();
    let mut logged_in_on: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
    for person in persons {
        let mut known = DayEvents::default();
        known.carried_logins(world, person);
        for device in known.devices_logged_in_on() {
            logged_in_on.entry(device).or_default().insert(person);
        }
        for day in 0..world.days() {
            sessions_on(world, person, day, |session| {
                let basket = session.buys.then(|| Basket::draw(world, person, day, session.slot));
                let mut anonymous = 0;
                walk(world, &session, basket.as_ref(), |step| anonymous += u64::from(!step.logged_in));
                let of = seen.entry((session.device, person)).or_default();
                match session.account {
                    Some(_) => of.before_login += anonymous,
                    None => *of.without_login.entry(day).or_default() += anonymous,
                }
                if session.account.is_some() {
                    logged_in_on.entry(session.device).or_default().insert(person);
                }
            });
        }
    }
    let (mut right, mut all) = (0, 0);
    for ((device, person), anonymous) in &seen {
        let without: u64 = anonymous.without_login.values().sum();
        all += anonymous.before_login + without;
        let Some(members) = logged_in_on.get(device) else { continue };
        right += anonymous.before_login;
        let head = household(world.settings.seed, *person).head;
        if *device != device_number(head, SHARED_DEVICE_SLOT) {
            right += without;
            continue;
        }
        let days = anonymous
            .without_login
            .iter()
            .filter(|(day, _)| likeliest(world, members, **day) == Some(*person));
        right += days.map(|(_, events)| events).sum::<u64>();
    }
    (right as f64 / all.max(1) as f64, all)
}

/// Of the members of a household that log in on its device the one that most often comes to it on a day without doing so.
fn likeliest(world: &World, members: &BTreeSet<u32>, day: u32) -> Option<u32> {
    let rate = |member: u32| {
        let habits = &world.people.habits[member as usize];
        let class = usize::from(world.people.activity[member as usize]);
        let account = world.people.account_on(member, day, &[System::App, System::Web], 0);
        let silent = match account {
            Some(_) => f64::from((1.0 - habits.buys) * (1.0 - habits.logs_in)),
            None => 1.0,
        };
        f64::from(world.people.session_rate[member as usize] * world.activity(day)[class]) * silent
    };
    members.iter().copied().max_by(|a, b| rate(*a).total_cmp(&rate(*b)).then(b.cmp(a)))
}
