//! Customer records: what three systems know about the same people, in their own forms, and contradicting each other.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder};
use chrono::Datelike;

use super::events::{ascii, by_ingestion};
use super::formats;
use super::identity::{Identity, Phone};
use super::mess::{Key, Kind, Planted};
use super::persons::{Account, System, account_number, household};
use super::rng::{Draws, Topic};
use super::world::{DAY, HOUR, World, account_text};
use super::write;
use crate::{Context, Result};

/// The number given for customers who will not give theirs. Blocks of equal phones as large as this one's say nothing.
pub const PLACEHOLDER_PHONE: &str = "13800000000";

/// A row of `crm_customers`. Times are world times.
#[derive(Debug, Clone)]
struct Record {
    account: u64,
    system: System,
    full_name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    birth_date: Option<String>,
    age: Option<i32>,
    gender: Option<&'static str>,
    address: Option<String>,
    city: Option<String>,
    region: Option<&'static str>,
    registered: i64,
    updated: i64,
    ingested: i64,
}

/// When an account was registered and when its record arrives: world times. All that were registered before the world
/// starts arrive with the snapshot in the morning of day 0.
pub fn registration(world: &World, number: u64, account: Account) -> (i64, i64) {
    let mut draws = world.draws(Topic::Account, number, 1);
    if account.registered < 0 {
        let before = -DAY - draws.below(1500 * DAY as u64) as i64;
        return (before, 2 * HOUR + draws.below(HOUR as u64) as i64);
    }
    let time = i64::from(account.registered) * DAY + 8 * HOUR + draws.below(14 * HOUR as u64) as i64;
    (time, world.ingested_on_time(time, draws.next_u64()))
}

/// Whether an account's first rows arrive on this day.
pub fn arrives_on(account: Account, day: u32) -> bool {
    i64::from(account.registered.max(0)) == i64::from(day)
}

/// Calls `visit` with slot, number and account of everyone whose record arrives on a day.
pub fn arriving(world: &World, chunk: u32, day: u32, mut visit: impl FnMut(u32, u32, u64, Account)) {
    for person in world.chunk(chunk) {
        for (slot, account) in (0..).zip(world.people.accounts(person)) {
            if arrives_on(*account, day) {
                visit(person, slot, account_number(account.system, person, slot), *account);
            }
        }
    }
}

/// Rows of `crm_customers` that arrive on a day, in the order of ingestion; `None` when there are none.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn customers(
    world: &World,
    chunk: u32,
    day: u32,
    mess: &mut Vec<Planted>,
) -> Result<Option<RecordBatch>> {
    let mut records = Vec::new();
    let mut last: Option<(u32, Identity)> = None;
    arriving(world, chunk, day, |person, _, number, account| {
        let identity = match last.take() {
            Some((known, identity)) if known == person => identity,
            _ => Identity::draw(world.settings.seed, person),
        };
        push(world, person, number, account, &identity, &mut records, mess);
        last = Some((person, identity));
    });
    if records.is_empty() {
        return Ok(None);
    }
    columns(world, &records).map(Some)
}

fn push(
    world: &World,
    person: u32,
    number: u64,
    account: Account,
    identity: &Identity,
    records: &mut Vec<Record>,
    mess: &mut Vec<Planted>,
) {
    let mut draws = world.draws(Topic::Account, number, 0);
    let kind = world.lotteries.accounts.draw(draws.next_u64() as u32);
    let (record, kind) = record(world, &mut draws, person, number, account, identity, kind);
    if kind == Some(Kind::DuplicateAccount) {
        let copy =
            Record { ingested: world.ingested_again(record.ingested, draws.next_u64()), ..record.clone() };
        records.push(copy);
    }
    records.push(record);
    let key = Key::Text(ascii(&account_text(number)).to_string());
    mess.extend(kind.map(|kind| Planted { table: "crm_customers", key, kind }));
}

/// How often each system lacks e-mail, phone, birth date, age, gender and address.
fn missing(system: System) -> [f64; 6] {
    match system {
        System::Web => [0.04, 0.3, 0.3, 0.4, 0.2, 0.25],
        System::Pos => [0.5, 0.08, 0.35, 0.4, 0.1, 0.6],
        System::App => [0.3, 0.04, 0.2, 0.3, 0.15, 0.3],
    }
}

/// A record with its planted mess, which is none where it cannot show.
fn record(
    world: &World,
    draws: &mut Draws,
    person: u32,
    number: u64,
    account: Account,
    identity: &Identity,
    mut kind: Option<Kind>,
) -> (Record, Option<Kind>) {
    let rates = &world.settings.mess;
    let system = account.system;
    let lacks = missing(system).map(|share| draws.chance((share * rates.missing_values).min(1.0)));
    let variants: [bool; 6] = std::array::from_fn(|_| draws.chance(rates.format_variants));
    let (own_email, own_phone) = contacts(world, draws, person, identity);
    let mut full_name = formats::name(draws, &identity.name, system, identity.western, variants[0]);
    if kind == Some(Kind::NameTypo) {
        full_name = formats::typo(draws, &full_name);
    }
    let slip = formats::mistyped_email(draws, &own_email);
    kind = kind.filter(|kind| *kind != Kind::TypoEmailDomain || slip.is_some());
    let email = match kind {
        Some(Kind::TypoEmailDomain) => slip,
        Some(Kind::InvalidEmail) => Some(formats::invalid_email(draws, &own_email)),
        _ if lacks[0] => absent(draws),
        _ => Some(formats::email(draws, &own_email, variants[1])),
    };
    let phone = match kind {
        Some(Kind::InvalidPhone) => Some(formats::invalid_phone(draws, &own_phone)),
        Some(Kind::PlaceholderPhone) => Some(PLACEHOLDER_PHONE.into()),
        _ if lacks[1] => absent(draws),
        _ => Some(formats::phone(draws, &own_phone, system, variants[2])),
    };
    let birth_date = match kind {
        Some(Kind::InvalidBirthDate) => Some(formats::invalid_date(draws, identity.birth)),
        Some(Kind::WrongBirthDate) => {
            let wrong = identity.birth - chrono::Days::new(30 + draws.below(4000));
            Some(formats::date(draws, wrong, system, false))
        }
        _ if lacks[2] && kind != Some(Kind::ContradictingAge) => absent(draws),
        _ => Some(formats::date(draws, identity.birth, system, variants[3])),
    };
    let (registered, ingested) = registration(world, number, account);
    let years = world.date(ingested / DAY).year() - identity.birth.year();
    let age = match kind {
        Some(Kind::OutlierAge) => Some([-1, 150, 200, 999][draws.below(4) as usize]),
        Some(Kind::ContradictingAge) => {
            let off = 10 + draws.below(10) as i32;
            Some(if years > 50 { years - off } else { years + off })
        }
        // else it would show which of the two is wrong
        Some(Kind::WrongBirthDate) => None,
        _ => (!lacks[3]).then_some(years),
    };
    let address = &identity.addresses[usize::from(draws.chance(0.12))];
    let (city, region) = formats::city(draws, address, system, variants[4]);
    let updated = registered + draws.below((-registered).max(1) as u64) as i64;
    let record = Record {
        account: number,
        system,
        full_name: (!draws.chance(0.02 * rates.missing_values)).then_some(full_name),
        email,
        phone,
        birth_date,
        age,
        gender: (!lacks[4]).then(|| formats::gender(draws, identity.male, system, variants[5])),
        address: (!lacks[5]).then(|| address.street.clone()),
        city: (!lacks[5]).then_some(city),
        region: (!lacks[5]).then_some(region),
        registered,
        updated,
        ingested,
    };
    (record, kind)
}

/// A missing text: NULL, or one time in four an empty one.
fn absent(draws: &mut Draws) -> Option<String> {
    draws.chance(0.25).then(String::new)
}

/// The e-mail and the phone this account bears: the person's first or second, or the one of the household's head.
fn contacts(world: &World, draws: &mut Draws, person: u32, identity: &Identity) -> (String, Phone) {
    let rates = &world.settings.mess;
    let head = household(world.settings.seed, person).head;
    let choose = |draws: &mut Draws| match draws.unit() {
        u if u < rates.second_contact => 1,
        u if u < rates.second_contact + rates.family_contact && head != person => 2,
        _ => 0,
    };
    let (email, phone) = (choose(draws), choose(draws));
    let family = (email == 2 || phone == 2).then(|| Identity::draw(world.settings.seed, head));
    let of = |choice: usize| match (&family, choice) {
        (Some(family), 2) => (family, 0),
        (_, choice) => (identity, choice.min(1)),
    };
    let ((by_email, first), (by_phone, second)) = (of(email), of(phone));
    (by_email.emails[first].clone(), by_phone.phones[second].clone())
}

fn columns(world: &World, records: &[Record]) -> Result<RecordBatch> {
    let mut texts: [StringBuilder; 10] = std::array::from_fn(|_| StringBuilder::new());
    let mut age = Int32Builder::with_capacity(records.len());
    let mut times: [TimestampMicrosecondBuilder; 3] =
        std::array::from_fn(|_| TimestampMicrosecondBuilder::new());
    for index in by_ingestion(records.iter().map(|record| record.ingested)) {
        let record = &records[index];
        let account = account_text(record.account);
        let values = [
            Some(ascii(&account)),
            Some(record.system.name()),
            record.full_name.as_deref(),
            record.email.as_deref(),
            record.phone.as_deref(),
            record.birth_date.as_deref(),
            record.gender,
            record.address.as_deref(),
            record.city.as_deref(),
            record.region,
        ];
        for (column, value) in texts.iter_mut().zip(values) {
            column.append_option(value);
        }
        age.append_option(record.age);
        for (column, time) in times.iter_mut().zip([record.registered, record.updated, record.ingested]) {
            column.append_value(world.utc(time));
        }
    }
    let mut columns: Vec<ArrayRef> =
        texts.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
    columns.insert(6, Arc::new(age.finish()));
    columns.extend(times.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
    RecordBatch::try_new(write::schema("crm_customers"), columns).context("building crm_customers")
}
