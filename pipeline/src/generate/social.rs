//! Activity on social platforms, counted by account and day.

use arrow::array::RecordBatch;

use super::columns::{Sorted, batch};
use super::delivery::{Arrivals, Arriving, Fate};
use super::mess::{Key, Kind, Planted};
use super::names::CITIES;
use super::persons::{NO_ACCOUNT_SLOT, System, account_number};
use super::rng::{Topic, poisson};
use super::world::{World, account_text};
use crate::Result;

/// Platforms of Chinese and of western people.
const PLATFORMS: [[&str; 3]; 2] = [["weibo", "xiaohongshu", "douyin"], ["instagram", "x", "tiktok"]];
/// Days after its own on which a row arrives, in time and late.
const DELAYS: [u32; 2] = [1, 4];
/// Share of the days of the most active on which they are active.
const MOST_ACTIVE: f64 = 0.2;
/// Share of persons whose account is linked to a platform.
const LINKED: f64 = 0.35;

/// A row of `social`.
#[derive(Debug, Clone)]
pub struct SocialRow {
    account: u64,
    platform: &'static str,
    day: u32,
    follows: i32,
    mentions: i32,
    engagements: i32,
    missing: bool,
    ingested: i64,
}

impl Arriving for SocialRow {
    fn ingested(&mut self) -> &mut i64 {
        &mut self.ingested
    }
}

/// What people did on a local day.
pub fn of_day(world: &World, day: u32, chunk: u32, mess: &mut Vec<Planted>) -> Arrivals<SocialRow> {
    let mut arrivals = Arrivals::new(DELAYS);
    for person in world.chunk(chunk) {
        let mut draws = world.draws(Topic::Social, u64::from(person), u64::from(day));
        let roll = draws.unit();
        if roll >= MOST_ACTIVE {
            continue;
        }
        // of the person, on all days
        let mut own = world.draws(Topic::Social, u64::from(person), 1 << 40);
        let activity = own.unit() * own.unit() * MOST_ACTIVE;
        if !own.chance(LINKED) || roll >= activity {
            continue;
        }
        let systems = [System::App, System::Web, System::Pos];
        let Some(account) = world.people.account_on(person, day, &systems, 3) else { continue };
        let western = usize::from(world.people.manners[person as usize].city) >= CITIES.len();
        let platform = own.pick(&PLATFORMS[usize::from(western)]);
        let fondness = own.unit();
        let mut counts =
            [0.3, 0.6, 6.0].map(|mean| poisson(draws.unit(), mean * (0.2 + 1.6 * fondness), 60) as i32);
        if counts == [0; 3] {
            counts[2] = 1;
        }
        let [follows, mentions, engagements] = counts;
        let row =
            SocialRow { account, platform, day, follows, mentions, engagements, missing: false, ingested: 0 };
        let ticket = draws.next_u64() as u32;
        deliver(world, person, row, ticket, draws.next_u64(), &mut arrivals, mess);
    }
    arrivals
}

fn deliver(
    world: &World,
    person: u32,
    mut row: SocialRow,
    ticket: u32,
    bits: u64,
    arrivals: &mut Arrivals<SocialRow>,
    mess: &mut Vec<Planted>,
) {
    let kind = world.lotteries.social.draw(ticket);
    let fate = match kind {
        Some(Kind::LateSocial) => Fate::Late,
        Some(Kind::DuplicateSocial) => Fate::Twice,
        _ => Fate::InTime,
    };
    match kind {
        Some(Kind::NegativeCount) => row.engagements = -1 - row.engagements,
        Some(Kind::MissingCount) => row.missing = true,
        Some(Kind::OrphanSocial) => row.account = account_number(System::Web, person, NO_ACCOUNT_SLOT),
        _ => {}
    }
    let account = account_text(row.account);
    let date = world.date(i64::from(row.day));
    let key = Key::Text(format!("{}-{}-{date}", super::events::ascii(&account), row.platform));
    let day = row.day;
    if arrivals.add(world, day, row, fate, bits) {
        mess.extend(kind.map(|kind| Planted { table: "social", key, kind }));
    }
}

/// Rows of `social` of one arrival; `None` when there are none.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn columns(world: &World, rows: &[SocialRow]) -> Result<Option<RecordBatch>> {
    let sorted = Sorted::by(world, rows, |row| row.ingested);
    let columns = vec![
        sorted.accounts(|row| row.account),
        sorted.texts(|row| row.platform),
        sorted.ints(|row| row.follows),
        sorted.ints(|row| row.mentions),
        sorted.optional_ints(|row| (!row.missing).then_some(row.engagements)),
        sorted.times(|row| row.ingested),
    ];
    batch("social", rows.len(), columns)
}
