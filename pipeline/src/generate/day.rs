//! One local day of one chunk of persons: the files that bear its rows. Each file is a function of the settings, its
//! table, day, arrival and chunk; those of a day are made together because one walk through its sessions yields all.

use super::consents::consents;
use super::crm::customers;
use super::events::{DayEvents, EVENT_DELAYS};
use super::mess::Planted;
use super::order_columns;
use super::orders::{Basket, DayOrders, ORDER_DELAYS};
use super::sessions::{MAY_CROSS_MIDNIGHT, Session, sessions_on, walk};
use super::world::{DAY, World};
use super::write::{File, encode, partition_column};
use crate::Result;
use arrow::array::RecordBatch;

/// The files of a day that are wanted, and all mess that is planted in it.
///
/// # Errors
/// When Arrow or Parquet refuse a batch, which would be a defect.
pub fn make_day(world: &World, day: u32, chunk: u32) -> Result<(Vec<File>, Vec<Planted>)> {
    let mut mess = Vec::new();
    let mut files = Files { world, day, chunk, files: Vec::new() };
    files.add("crm_customers", 0, customers(world, chunk, day, &mut mess)?)?;
    if world.wanted(day) {
        files.add("consents", 0, consents(world, chunk, day)?)?;
        if chunk == 0 {
            files.add("products", 0, world.catalogue.arrivals(world, day)?)?;
        }
    }
    let (events, orders) = live(world, day, chunk, &mut mess);
    for (bucket, delay) in EVENT_DELAYS.into_iter().enumerate() {
        if world.wanted(day + delay) {
            files.add("events", delay, events.events(world, bucket)?)?;
        }
    }
    for (bucket, delay) in ORDER_DELAYS.into_iter().enumerate() {
        if world.wanted(day + delay) {
            files.add("orders", delay, order_columns::orders(world, &orders.orders[bucket])?)?;
            files.add("order_items", delay, order_columns::items(world, &orders.items[bucket])?)?;
        }
    }
    if world.wanted(day) {
        files.add("devices", 0, events.logins(world)?)?;
        files.add("returns", 0, order_columns::returns(world, &orders.returns)?)?;
    }
    Ok((files.files, mess))
}

struct Files<'a> {
    world: &'a World,
    day: u32,
    chunk: u32,
    files: Vec<File>,
}

impl Files<'_> {
    fn add(&mut self, table: &'static str, delay: u32, batch: Option<RecordBatch>) -> Result<()> {
        if let Some(batch) = batch.filter(|_| self.world.wanted(self.day + delay)) {
            let partition = partition_column(table).map(|column| (column, self.day));
            let path = self.world.raw_path(table, partition, self.day + delay, self.chunk);
            self.files.push(encode(table, path, &batch)?);
        }
        Ok(())
    }
}

/// Everything people do on a day, sessions of the evening before included as far as they reach into it.
fn live(world: &World, day: u32, chunk: u32, mess: &mut Vec<Planted>) -> (DayEvents, DayOrders) {
    let persons = world.chunk(chunk);
    let mut events = DayEvents::with_capacity(persons.len() * 3 / 4);
    let mut orders = DayOrders::default();
    for person in persons {
        if day == 0 {
            events.carried_logins(world, person);
        } else {
            sessions_on(world, person, day - 1, |session| {
                if session.start % DAY >= MAY_CROSS_MIDNIGHT {
                    visit(world, day, &session, &mut events, &mut orders, mess);
                }
            });
        }
        sessions_on(world, person, day, |session| {
            visit(world, day, &session, &mut events, &mut orders, mess)
        });
        orders.store(world, person, day, mess);
        orders.returned(world, person, day, mess);
    }
    (events, orders)
}

/// Adds what happens on `day` in a session.
#[inline]
fn visit(
    world: &World,
    day: u32,
    session: &Session,
    events: &mut DayEvents,
    orders: &mut DayOrders,
    mess: &mut Vec<Planted>,
) {
    let basket = session.buys.then(|| Basket::draw(world, session.person, session.day, session.slot));
    let begin = i64::from(day) * DAY;
    let today = begin..begin + DAY;
    let placed = walk(world, session, basket.as_ref(), |step| {
        if today.contains(&step.time) {
            events.push(world, day, session, step, mess);
        }
    });
    if let Some(basket) = basket.filter(|_| today.contains(&placed)) {
        orders.online(world, session, &basket, placed, mess);
    }
}
