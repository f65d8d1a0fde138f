//! Events and logins of one local day: rows, how they arrive, and their columns.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow::record_batch::RecordBatch;

use super::mess::{Key, Kind, Planted, row_draws};
use super::names::{MODIFIERS, SUBCATEGORIES};
use super::persons::{System, device_number};
use super::products::Catalogue;
use super::rng::{Topic, scramble};
use super::sessions::{EVENT_TYPES, EventType, NONE, Session, Step, is_app, place_texts, platform};
use super::world::{DAY, HOUR, SECOND, World, account_text, device_text};
use super::write;
use crate::{Context, Result};

/// Days after the event day on which events arrive: a file each.
pub const EVENT_DELAYS: [u32; 4] = [0, 2, 5, 10];
/// How far the clock of a future event runs ahead.
const FUTURE: i64 = 366 * DAY;
const NO_ACCOUNT: u64 = u64::MAX;

static PLACES: LazyLock<Vec<String>> = LazyLock::new(place_texts);

/// All texts of `events.query`, by the index that a walk gives.
static QUERIES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let words = SUBCATEGORIES.iter().flatten();
    words
        .flat_map(|word| MODIFIERS.map(|modifier| format!("{word} {modifier}").trim_end().to_string()))
        .collect()
});

/// Number of different texts of `events.query`.
pub fn queries() -> u64 {
    QUERIES.len() as u64
}

/// A text of `events.query`.
pub fn query_text(query: u16) -> &'static str {
    &QUERIES[usize::from(query)]
}

/// A row of `events`, compact: numbers in place of texts, -1 or [`NONE`] for NULL, world times.
#[derive(Debug, Clone, Copy)]
struct EventRow {
    id: i64,
    time: i64,
    ingested: i64,
    device: u64,
    account: u64,
    product: i32,
    dwell_ms: i32,
    query: u16,
    place: u16,
    event: EventType,
}

/// A row of `devices`.
#[derive(Debug, Clone, Copy)]
struct LoginRow {
    device: u64,
    account: u64,
    time: i64,
    ingested: i64,
}

/// Events of one local day by arrival (see [`EVENT_DELAYS`]), and the logins of that day.
#[derive(Debug, Default)]
pub struct DayEvents {
    buckets: [Vec<EventRow>; 4],
    logins: Vec<LoginRow>,
}

impl DayEvents {
    /// Room for about this many events.
    pub fn with_capacity(rows: usize) -> Self {
        let mut events = DayEvents::default();
        events.buckets[0].reserve(rows);
        events
    }

    /// Adds one event. `day` is its local day; its mess and its arrival follow from its id.
    #[inline]
    pub fn push(&mut self, world: &World, day: u32, session: &Session, step: &Step, mess: &mut Vec<Planted>) {
        let time = World::settled(step.time);
        let local = (u64::from(session.person) << 10) | u64::from(session.slot << 7 | step.number);
        let id = ((u64::from(session.day) << 37) | scramble(local, 37)) as i64;
        let bits = row_draws(world.settings.seed, id).next_u64();
        let account = session.account.filter(|_| step.logged_in).unwrap_or(NO_ACCOUNT);
        let row = EventRow {
            id,
            time,
            ingested: world.ingested_on_time(time, bits >> 32),
            device: session.device,
            account,
            product: step.product,
            dwell_ms: step.dwell_ms,
            query: step.query,
            place: session.place,
            event: step.event,
        };
        if step.event == EventType::Login {
            self.logins.push(LoginRow { device: row.device, account, time, ingested: row.ingested });
        }
        let mut kind = world.lotteries.events.draw(bits as u32);
        if kind.is_none() && step.event == EventType::Dwell {
            kind = world.lotteries.dwells.draw(bits.rotate_left(17) as u32);
        }
        match kind {
            None => self.buckets[0].push(row),
            Some(kind) => self.push_messy(world, day, row, kind, mess),
        }
    }

    #[cold]
    fn push_messy(
        &mut self,
        world: &World,
        day: u32,
        mut row: EventRow,
        kind: Kind,
        mess: &mut Vec<Planted>,
    ) {
        let bits = row_draws(world.settings.seed, !row.id).next_u64();
        // a login must agree with its row in `devices`
        if row.event == EventType::Login && matches!(kind, Kind::TooLateEvent | Kind::FutureEvent) {
            self.buckets[0].push(row);
            return;
        }
        let bucket = match kind {
            Kind::LateEvent => 1 + (bits >> 60) as usize % 2,
            Kind::TooLateEvent => 3,
            Kind::FutureEvent => {
                row.time += FUTURE;
                0
            }
            Kind::OutlierDwell => {
                row.dwell_ms = 86_400_000 + (bits % 172_800_000) as i32;
                0
            }
            _ => 0,
        };
        if bucket > 0 {
            let arrival = day + EVENT_DELAYS[bucket];
            if arrival >= world.days() {
                return;
            }
            row.ingested = world.ingested_late(arrival, bits);
        }
        self.buckets[bucket].push(row);
        if kind == Kind::DuplicateEvent {
            let arrival = day + EVENT_DELAYS[1];
            let apart = bits >> 63 == 0 && arrival < world.days();
            row.ingested = match apart {
                true => world.ingested_late(arrival, bits),
                false => world.ingested_again(row.ingested, bits),
            };
            self.buckets[usize::from(apart)].push(row);
        }
        mess.push(Planted { table: "events", key: Key::Id(row.id), kind });
    }

    /// Adds the logins known when the world starts: who was last logged in on each device, as of the first instant
    /// of day 0.
    pub fn carried_logins(&mut self, world: &World, person: u32) {
        let habits = &world.people.habits[person as usize];
        for slot in 0..u32::from(habits.devices) {
            let device = device_number(person, slot);
            let mut draws = world.draws(Topic::Login, device, 1);
            if !draws.chance(0.7) {
                continue;
            }
            let app = is_app(platform(world, device));
            let systems = if app { [System::App, System::Web] } else { [System::Web, System::App] };
            if let Some(account) = world.people.account_on(person, 0, &systems, draws.next_u64()) {
                let time = draws.below(SECOND as u64) as i64;
                let ingested = 2 * HOUR + draws.below(HOUR as u64) as i64;
                self.logins.push(LoginRow { device, account, time, ingested });
            }
        }
    }

    /// Devices of the logins.
    pub fn devices_logged_in_on(&self) -> impl Iterator<Item = u64> {
        self.logins.iter().map(|login| login.device)
    }

    /// The rows of one arrival, in the order of their ingestion; `None` when there are none.
    ///
    /// # Errors
    /// When Arrow refuses the columns, which would be a defect.
    pub fn events(&self, world: &World, bucket: usize) -> Result<Option<RecordBatch>> {
        let rows = &self.buckets[bucket];
        if rows.is_empty() {
            return Ok(None);
        }
        let order = by_ingestion(rows.iter().map(|row| row.ingested));
        let mut columns = EventColumns::with_capacity(rows.len());
        for index in order {
            columns.append(world, &rows[index]);
        }
        columns.finish().map(Some)
    }

    /// The rows of `devices`, in the order of their ingestion; `None` when there are none.
    ///
    /// # Errors
    /// When Arrow refuses the columns, which would be a defect.
    pub fn logins(&self, world: &World) -> Result<Option<RecordBatch>> {
        let rows = &self.logins;
        if rows.is_empty() {
            return Ok(None);
        }
        let [mut device, mut account, mut on] = std::array::from_fn(|_| StringBuilder::new());
        let [mut time, mut ingested] = std::array::from_fn(|_| TimestampMicrosecondBuilder::new());
        for index in by_ingestion(rows.iter().map(|row| row.ingested)) {
            let row = &rows[index];
            device.append_value(ascii(&device_text(row.device)));
            account.append_value(ascii(&account_text(row.account)));
            on.append_value(platform(world, row.device));
            time.append_value(world.utc(row.time));
            ingested.append_value(world.utc(row.ingested));
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(device.finish()),
            Arc::new(account.finish()),
            Arc::new(on.finish()),
            Arc::new(time.finish()),
            Arc::new(ingested.finish()),
        ];
        RecordBatch::try_new(write::schema("devices"), columns).map(Some).context("building devices")
    }
}

/// Indices of rows in the order of ingestion, ties in the order they were made. A day's times in microseconds take 37
/// bits, so time and index fit one word and the sort is one of plain integers.
pub fn by_ingestion(ingested: impl Iterator<Item = i64>) -> impl Iterator<Item = usize> {
    const INDEX_BITS: u32 = 26;
    let mut keys: Vec<u64> = ingested
        .enumerate()
        .map(|(index, time)| ((time.rem_euclid(DAY) as u64) << INDEX_BITS) | index as u64)
        .collect();
    keys.sort_unstable();
    keys.into_iter().map(|key| (key & ((1 << INDEX_BITS) - 1)) as usize)
}

/// The text of ASCII bytes.
#[inline]
pub fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

struct EventColumns {
    id: Int64Builder,
    device: StringBuilder,
    account: StringBuilder,
    event: StringBuilder,
    product: Int64Builder,
    query: StringBuilder,
    dwell: Int32Builder,
    place: StringBuilder,
    time: TimestampMicrosecondBuilder,
    ingested: TimestampMicrosecondBuilder,
}

impl EventColumns {
    fn with_capacity(rows: usize) -> Self {
        EventColumns {
            id: Int64Builder::with_capacity(rows),
            device: StringBuilder::with_capacity(rows, rows * 15),
            account: StringBuilder::with_capacity(rows, rows * 6),
            event: StringBuilder::with_capacity(rows, rows * 5),
            product: Int64Builder::with_capacity(rows),
            query: StringBuilder::with_capacity(rows, rows),
            dwell: Int32Builder::with_capacity(rows),
            place: StringBuilder::with_capacity(rows, rows * 12),
            time: TimestampMicrosecondBuilder::with_capacity(rows),
            ingested: TimestampMicrosecondBuilder::with_capacity(rows),
        }
    }

    #[inline]
    fn append(&mut self, world: &World, row: &EventRow) {
        self.id.append_value(row.id);
        self.device.append_value(ascii(&device_text(row.device)));
        match row.account {
            NO_ACCOUNT => self.account.append_null(),
            account => self.account.append_value(ascii(&account_text(account))),
        }
        self.event.append_value(EVENT_TYPES[row.event as usize]);
        match row.product {
            -1 => self.product.append_null(),
            product => self.product.append_value(Catalogue::id(product as u32)),
        }
        match row.query {
            NONE => self.query.append_null(),
            query => self.query.append_value(&QUERIES[usize::from(query)]),
        }
        match row.dwell_ms {
            -1 => self.dwell.append_null(),
            dwell => self.dwell.append_value(dwell),
        }
        match row.place {
            NONE => self.place.append_null(),
            place => self.place.append_value(&PLACES[usize::from(place)]),
        }
        self.time.append_value(world.utc(row.time));
        self.ingested.append_value(world.utc(row.ingested));
    }

    fn finish(mut self) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.id.finish()),
            Arc::new(self.device.finish()),
            Arc::new(self.account.finish()),
            Arc::new(self.event.finish()),
            Arc::new(self.product.finish()),
            Arc::new(self.query.finish()),
            Arc::new(self.dwell.finish()),
            Arc::new(self.place.finish()),
            Arc::new(self.time.finish()),
            Arc::new(self.ingested.finish()),
        ];
        RecordBatch::try_new(write::schema("events"), columns).context("building events")
    }
}
