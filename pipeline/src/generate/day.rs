//! One local day of one chunk of persons: the files that bear its rows. Each file is a function of the settings, its
//! table, day, arrival and chunk; those of a day are made together because one walk through its sessions yields all.

use super::campaigns;
use super::consents::consents;
use super::crm::customers;
use super::erasures;
use super::events::{DayEvents, EVENT_DELAYS};
use super::holders::SharedSession;
use super::mess::Planted;
use super::messages;
use super::order_columns;
use super::orders::{Basket, DayOrders, ORDER_DELAYS, looked_back, purchases_on};
use super::places;
use super::sessions::{MAY_CROSS_MIDNIGHT, Session, sessions_on, walk};
use super::social;
use super::texts::{self, DayTexts, TextRow};
use super::weather::{self, PATIENCE_DAYS};
use super::world::{DAY, World};
use super::write::{File, encode, partition_column};
use crate::Result;
use arrow::array::RecordBatch;

/// What a day yields.
#[derive(Debug)]
pub struct DayMade {
    /// The files that are wanted.
    pub files: Vec<File>,
    /// All mess that is planted in the day.
    pub mess: Vec<Planted>,
    /// All texts written on it, as they were meant.
    pub texts: Vec<TextRow>,
    /// All sessions on shared devices that begin on it.
    pub shared: Vec<SharedSession>,
}

/// Makes the files of a day and its truth.
///
/// # Errors
/// When Arrow or Parquet refuse a batch, which would be a defect.
pub fn make_day(world: &World, day: u32, chunk: u32) -> Result<DayMade> {
    let mut mess = Vec::new();
    let mut files = Files { world, day, chunk, files: Vec::new() };
    let customers = customers(world, chunk, day, &mut mess)?;
    files.add("crm_customers", 0, || Ok(customers))?;
    files.add("consents", 0, || consents(world, chunk, day))?;
    let Lived { events, orders, texts, shared } = live(world, day, chunk, &mut mess);
    for (bucket, delay) in EVENT_DELAYS.into_iter().enumerate() {
        files.add("events", delay, || events.events(world, bucket))?;
    }
    for (bucket, delay) in ORDER_DELAYS.into_iter().enumerate() {
        files.add("orders", delay, || order_columns::orders(world, &orders.orders[bucket]))?;
        files.add("order_items", delay, || order_columns::items(world, &orders.items[bucket]))?;
    }
    files.add("devices", 0, || events.logins(world))?;
    files.add("returns", 0, || order_columns::returns(world, &orders.returns))?;
    let messages = messages::of_day(world, day, chunk, &mut mess);
    for (delay, rows) in messages.each() {
        files.add("messages", delay, || messages::columns(world, rows))?;
    }
    let social = social::of_day(world, day, chunk, &mut mess);
    for (delay, rows) in social.each() {
        files.add("social", delay, || social::columns(world, rows))?;
    }
    for (delay, rows) in texts.arrivals.each() {
        files.add("texts", delay, || texts::columns(world, rows))?;
    }
    let requests = erasures::rows(world, day, chunk, &mut mess)?;
    files.add("erasure_requests", 0, || Ok(requests))?;
    if chunk == 0 {
        lists(world, day, &mut files, &mut mess)?;
    }
    Ok(DayMade { files: files.files, mess, texts: texts.meant, shared })
}

/// The tables that are about no person: one file for all chunks.
fn lists(world: &World, day: u32, files: &mut Files<'_>, mess: &mut Vec<Planted>) -> Result<()> {
    files.add("products", 0, || world.catalogue.arrivals(world, day))?;
    files.add("campaigns", 0, || campaigns::rows(world, day))?;
    let weather = weather::rows(world, day, mess)?;
    files.add("weather", 0, || Ok(weather))?;
    if day == 0 {
        files.add("regions", 0, || places::regions(world))?;
        files.add("stores", 0, || places::stores(world))?;
    }
    Ok(())
}

struct Files<'a> {
    world: &'a World,
    day: u32,
    chunk: u32,
    files: Vec<File>,
}

impl Files<'_> {
    /// Adds the file of one arrival, if it is wanted and has rows.
    fn add(
        &mut self,
        table: &'static str,
        delay: u32,
        rows: impl FnOnce() -> Result<Option<RecordBatch>>,
    ) -> Result<()> {
        if !self.world.wanted(self.day + delay) {
            return Ok(());
        }
        if let Some(batch) = rows()? {
            let partition = partition_column(table).map(|column| (column, self.day));
            let path = self.world.raw_path(table, partition, self.day + delay, self.chunk);
            self.files.push(encode(table, path, &batch)?);
        }
        Ok(())
    }
}

/// What people do on a day.
#[derive(Default)]
struct Lived {
    events: DayEvents,
    orders: DayOrders,
    texts: DayTexts,
    shared: Vec<SharedSession>,
}

/// Everything people do on a day, sessions of earlier days included as far as they reach into it.
fn live(world: &World, day: u32, chunk: u32, mess: &mut Vec<Planted>) -> Lived {
    let persons = world.chunk(chunk);
    let mut lived = Lived { events: DayEvents::with_capacity(persons.len() * 3 / 4), ..Lived::default() };
    for person in persons {
        if day == 0 {
            lived.events.carried_logins(world, person);
        }
        for earlier in day.saturating_sub(reach(world, person))..=day {
            sessions_on(world, person, earlier, |session| {
                if touches(&session, day) {
                    visit(world, day, &session, &mut lived, mess);
                }
            });
        }
        lived.orders.store(world, person, day, mess);
        if let Some(ordered) = looked_back(world, person, day) {
            purchases_on(world, person, ordered, |purchase| {
                lived.orders.give_back(world, purchase, day, mess);
                lived.texts.write(world, &purchase, day, mess);
            });
        }
    }
    lived
}

/// How many days after the one it belongs to a session of a person may still go on.
#[inline]
fn reach(world: &World, person: u32) -> u32 {
    if world.people.manners[person as usize].waits > 0.0 { PATIENCE_DAYS } else { 1 }
}

/// Whether a session may have events on a day.
#[inline]
fn touches(session: &Session, day: u32) -> bool {
    let begin = i64::from(day) * DAY;
    (begin + MAY_CROSS_MIDNIGHT - DAY..begin + DAY).contains(&session.start)
}

/// Adds what happens on `day` in a session.
#[inline]
fn visit(world: &World, day: u32, session: &Session, lived: &mut Lived, mess: &mut Vec<Planted>) {
    let basket = session.buys.then(|| Basket::draw(world, session.person, session.day, session.slot));
    let begin = i64::from(day) * DAY;
    let today = begin..begin + DAY;
    let mut end = session.start;
    let placed = walk(world, session, basket.as_ref(), |step| {
        end = step.time;
        if today.contains(&step.time) {
            lived.events.push(world, day, session, step, mess);
        }
    });
    if today.contains(&session.start) {
        lived.shared.extend(SharedSession::of(world, session, end));
    }
    if let Some(basket) = basket.filter(|_| today.contains(&placed)) {
        lived.orders.online(world, session, &basket, placed, mess);
    }
}
