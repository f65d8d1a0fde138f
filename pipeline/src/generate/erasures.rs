//! Requests to be erased. What else the world holds about their account stays in raw: to erase it is the lake's part.

use arrow::array::RecordBatch;

use super::columns::{Sorted, batch};
use super::mess::{Key, Kind, Planted};
use super::persons::{NO_ACCOUNT_SLOT, System, account_number};
use super::rng::{Topic, scramble};
use super::world::{DAY, HOUR, World};
use crate::Result;

/// A row of `erasure_requests`.
#[derive(Debug, Clone, Copy)]
struct Request {
    id: i64,
    account: u64,
    time: i64,
    ingested: i64,
}

/// Rows of `erasure_requests` that arrive on a day; `None` when there are none.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn rows(world: &World, day: u32, chunk: u32, mess: &mut Vec<Planted>) -> Result<Option<RecordBatch>> {
    let mut rows = Vec::new();
    for person in world.chunk(chunk) {
        let mut draws = world.draws(Topic::Erasure, u64::from(person), 0);
        if !draws.chance(world.settings.erasures) || draws.below(u64::from(world.days())) != u64::from(day) {
            continue;
        }
        let systems = [System::Web, System::App, System::Pos];
        let Some(account) = world.people.account_on(person, day, &systems, draws.next_u64()) else {
            continue;
        };
        let time = i64::from(day) * DAY + 8 * HOUR + draws.below(14 * HOUR as u64) as i64;
        let id = scramble(u64::from(person) << 1, 30) as i64;
        let row = Request { id, account, time, ingested: world.ingested_on_time(time, draws.next_u64()) };
        rows.push(row);
        let kind = world.lotteries.erasures.draw(draws.next_u64() as u32);
        if kind == Some(Kind::DuplicateErasure) {
            let ingested = world.ingested_again(row.ingested, draws.next_u64());
            rows.push(Request { ingested, ..row });
        }
        mess.extend(kind.map(|kind| Planted { table: "erasure_requests", key: Key::Id(id), kind }));
        if draws.chance(world.settings.mess.orphan_erasure) {
            let id = scramble(u64::from(person) << 1 | 1, 30) as i64;
            let account = account_number(System::Web, person, NO_ACCOUNT_SLOT);
            rows.push(Request { id, account, ..row });
            mess.push(Planted { table: "erasure_requests", key: Key::Id(id), kind: Kind::OrphanErasure });
        }
    }
    let sorted = Sorted::by(world, &rows, |row| row.ingested);
    let columns = vec![
        sorted.longs(|row| row.id),
        sorted.accounts(|row| row.account),
        sorted.times(|row| row.time),
        sorted.times(|row| row.ingested),
    ];
    batch("erasure_requests", rows.len(), columns)
}
