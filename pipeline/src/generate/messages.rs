//! Messages of campaigns: who is chosen, in which arm, who opens, clicks and joins, and what it does to orders.

use std::ops::Range;

use arrow::array::RecordBatch;

use super::campaigns;
use super::columns::{Sorted, batch};
use super::consents::allows_marketing;
use super::delivery::{Arrivals, Arriving, Fate};
use super::mess::{Key, Kind, Planted, row_draws};
use super::persons::{NO_ACCOUNT_SLOT, System, account_number};
use super::rng::{Draws, Topic, scramble};
use super::world::{DAY, HOUR, MINUTE, World};
use crate::Result;

/// Values of `messages.channel`.
pub const CHANNELS: [&str; 4] = ["sms", "email", "push", "community"];
/// The channel whose messages one can join: posts in a group.
const COMMUNITY: usize = 3;
/// Days after the day of sending on which the outcome of messages arrives, in time and late.
const DELAYS: [u32; 2] = [2, 5];
/// Share of the persons chosen for a campaign, if an account may be written to.
const AUDIENCE: f64 = 0.6;
/// Share of the chosen to whom nothing is sent.
pub const HOLDOUT: f64 = 0.25;
/// Share of opened messages that are clicked.
const CLICKS: f64 = 0.4;
/// Share of clicked messages that are joined, in communities and elsewhere.
const JOINS: (f64, f64) = (0.6, 0.05);
/// How long a message affects what its receiver does.
pub const EFFECT: i64 = 3 * DAY;

/// A person's place in a campaign.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The account that is written to.
    pub account: u64,
    /// Whether a message is sent; otherwise the account is held out for comparison.
    pub treated: bool,
    /// When it is sent, or would have been: world time.
    pub sent: i64,
    rest: Draws,
}

/// What becomes of a message: world times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// When it is opened.
    pub opened: Option<i64>,
    /// When its link is clicked.
    pub clicked: Option<i64>,
    /// When its reader joins what it offers.
    pub joined: Option<i64>,
}

/// The place of a person in a campaign, if chosen and written to on one of the `days`. Arms are drawn by person, so that
/// two accounts of one person are never in different arms.
pub fn assignment(world: &World, campaign: u32, person: u32, days: Range<u32>) -> Option<Assignment> {
    let mut draws = world.draws(Topic::Message, u64::from(person), u64::from(campaign));
    if !draws.chance(AUDIENCE) {
        return None;
    }
    let day = campaigns::start(campaign) + draws.below(u64::from(campaigns::LASTS)) as u32;
    if !days.contains(&day) {
        return None;
    }
    let treated = !draws.chance(HOLDOUT);
    let systems: &[System] = match campaigns::channel(campaign) {
        0 => &[System::Pos, System::App, System::Web],
        1 => &[System::Web, System::App, System::Pos],
        2 => &[System::App],
        _ => &[System::App, System::Web],
    };
    let account = world.people.account_on(person, day, systems, draws.next_u64())?;
    if !allows_marketing(world, account, day) {
        return None;
    }
    let sent = i64::from(day) * DAY + 9 * HOUR + draws.below(10 * HOUR as u64) as i64;
    Some(Assignment { account, treated, sent, rest: draws })
}

impl Assignment {
    /// What becomes of the message. Everything happens within a day and a half.
    pub fn outcome(&self, world: &World, campaign: u32, person: u32) -> Outcome {
        let mut outcome = Outcome::default();
        let mut draws = self.rest.clone();
        let channel = campaigns::channel(campaign);
        let opens = f64::from(world.people.manners[person as usize].opens[channel]);
        if !self.treated || !draws.chance(opens) {
            return outcome;
        }
        let opened = self.sent + MINUTE + (world.exponential(draws.next_u64()) * 3.0 * HOUR as f32) as i64;
        outcome.opened = Some(opened);
        if draws.chance(CLICKS) {
            let clicked = opened + draws.below(5 * MINUTE as u64) as i64;
            outcome.clicked = Some(clicked);
            let joins = if channel == COMMUNITY { JOINS.0 } else { JOINS.1 };
            outcome.joined = draws.chance(joins).then(|| clicked + draws.below(10 * MINUTE as u64) as i64);
        }
        outcome
    }
}

/// Whether a message was sent to a person shortly before a world time.
pub fn reached(world: &World, person: u32, time: i64) -> bool {
    let day = (time / DAY) as u32;
    let first = day.saturating_sub((EFFECT / DAY) as u32);
    campaigns::sending(first, day).any(|campaign| {
        assignment(world, campaign, person, first..day + 1)
            .is_some_and(|given| given.treated && (0..EFFECT).contains(&(time - given.sent)))
    })
}

/// A row of `messages`.
#[derive(Debug, Clone)]
pub struct MessageRow {
    id: i64,
    campaign: u32,
    account: u64,
    treated: bool,
    sent: i64,
    outcome: Outcome,
    ingested: i64,
}

impl Arriving for MessageRow {
    fn ingested(&mut self) -> &mut i64 {
        &mut self.ingested
    }
}

/// The messages of a local day, those held out included.
pub fn of_day(world: &World, day: u32, chunk: u32, mess: &mut Vec<Planted>) -> Arrivals<MessageRow> {
    let mut arrivals = Arrivals::new(DELAYS);
    for campaign in campaigns::sending(day, day) {
        for person in world.chunk(chunk) {
            if let Some(given) = assignment(world, campaign, person, day..day + 1) {
                send(world, campaign, person, &given, &mut arrivals, mess);
            }
        }
    }
    arrivals
}

fn send(
    world: &World,
    campaign: u32,
    person: u32,
    given: &Assignment,
    arrivals: &mut Arrivals<MessageRow>,
    mess: &mut Vec<Planted>,
) {
    let id =
        |variant: u64| (u64::from(campaign) << 28 | scramble(u64::from(person) << 1 | variant, 28)) as i64;
    let mut draws = row_draws(world.settings.seed, id(0) | 1 << 61);
    let kind = world.lotteries.messages.draw(draws.next_u64() as u32);
    let mut row = MessageRow {
        id: id(0),
        campaign,
        account: given.account,
        treated: given.treated,
        sent: given.sent,
        outcome: given.outcome(world, campaign, person),
        ingested: 0,
    };
    let day = (given.sent / DAY) as u32;
    let fate = match kind {
        Some(Kind::LateMessage) => Fate::Late,
        Some(Kind::DuplicateMessage) => Fate::Twice,
        _ => Fate::InTime,
    };
    let orphan = row.clone();
    if kind == Some(Kind::FutureMessage) {
        row.sent += 366 * DAY;
    }
    let bits = draws.next_u64();
    if arrivals.add(world, day, row, fate, bits) {
        mess.extend(kind.map(|kind| Planted { table: "messages", key: Key::Id(id(0)), kind }));
    }
    if draws.chance(world.settings.mess.orphan_message) {
        let account = account_number(System::App, person, NO_ACCOUNT_SLOT);
        let row = MessageRow { id: id(1), account, ..orphan };
        if arrivals.add(world, day, row, Fate::InTime, bits >> 7) {
            mess.push(Planted { table: "messages", key: Key::Id(id(1)), kind: Kind::OrphanMessage });
        }
    }
}

/// Rows of `messages` of one arrival; `None` when there are none.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn columns(world: &World, rows: &[MessageRow]) -> Result<Option<RecordBatch>> {
    let sorted = Sorted::by(world, rows, |row| row.ingested);
    let columns = vec![
        sorted.longs(|row| row.id),
        sorted.made_texts(|row| Some(campaigns::name(row.campaign))),
        sorted.accounts(|row| row.account),
        sorted.texts(|row| CHANNELS[campaigns::channel(row.campaign)]),
        sorted.texts(|row| if row.treated { "treatment" } else { "control" }),
        sorted.times(|row| row.sent),
        sorted.optional_times(|row| row.outcome.opened),
        sorted.optional_times(|row| row.outcome.clicked),
        sorted.optional_times(|row| row.outcome.joined),
        sorted.times(|row| row.ingested),
    ];
    batch("messages", rows.len(), columns)
}
