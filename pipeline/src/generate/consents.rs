//! Consents: what each account allowed, and when it changed its mind.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder, TimestampMicrosecondBuilder};

use super::crm::{arrives_on, registration};
use super::events::{ascii, by_ingestion};
use super::persons::{Account, account_number};
use super::rng::{Draws, Topic};
use super::world::{DAY, HOUR, MINUTE, World, account_text};
use super::write;
use crate::{Context, Result};

/// Purposes, and the share of accounts that grant each.
const PURPOSES: [(&str, f64); 3] = [("analytics", 0.85), ("marketing", 0.6), ("location", 0.35)];
/// Index of marketing in [`PURPOSES`].
const MARKETING: usize = 1;
/// Share of accounts that never were asked for a purpose.
const NOT_ASKED: f64 = 0.08;
/// Share of accounts that change one decision while the world runs.
const CHANGES: f64 = 0.12;

struct Decision {
    account: u64,
    purpose: usize,
    status: &'static str,
    basis: &'static str,
    time: i64,
    ingested: i64,
}

/// Rows of `consents` that arrive on a day, in the order of ingestion; `None` when there are none.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn consents(world: &World, chunk: u32, day: u32) -> Result<Option<RecordBatch>> {
    let mut decisions = Vec::new();
    for person in world.chunk(chunk) {
        for (slot, account) in (0..).zip(world.people.accounts(person)) {
            decide(world, account_number(account.system, person, slot), *account, day, &mut decisions);
        }
    }
    if decisions.is_empty() {
        return Ok(None);
    }
    columns(world, &decisions).map(Some)
}

/// Whether an account's holder, as of the start of a day, has granted the purpose of marketing.
pub fn allows_marketing(world: &World, number: u64, day: u32) -> bool {
    let granted = first_decisions(world, number).0[MARKETING] == Some(true);
    let mut change = world.draws(Topic::Consent, number, 1);
    let changed = change.unit() < CHANGES
        && change.below(u64::from(world.days())) < u64::from(day)
        && change.below(3) as usize == MARKETING;
    granted != changed
}

/// What an account's holder decides at first about each purpose, if asked; and the stream after it.
fn first_decisions(world: &World, number: u64) -> ([Option<bool>; 3], Draws) {
    let mut draws = world.draws(Topic::Consent, number, 0);
    let first = PURPOSES.map(|(_, share)| (!draws.chance(NOT_ASKED)).then(|| draws.chance(share)));
    (first, draws)
}

fn decide(world: &World, number: u64, account: Account, day: u32, decisions: &mut Vec<Decision>) {
    let mut change = world.draws(Topic::Consent, number, 1);
    let changed = change.unit() < CHANGES && {
        let on = change.below(u64::from(world.days())) as i64;
        on == i64::from(day) && on > i64::from(account.registered.max(0))
    };
    let arrives = arrives_on(account, day);
    if !arrives && !changed {
        return;
    }
    let (first, mut draws) = first_decisions(world, number);
    if arrives {
        let (registered, ingested) = registration(world, number, account);
        for (purpose, granted) in first.iter().enumerate() {
            let Some(granted) = *granted else { continue };
            let status = if granted { "grant" } else { "deny" };
            let basis = if purpose == 0 && draws.chance(0.3) { "contract" } else { "consent" };
            let time = registered - draws.below(MINUTE as u64) as i64;
            decisions.push(Decision { account: number, purpose, status, basis, time, ingested });
        }
    }
    if changed {
        let purpose = change.below(3) as usize;
        let status = if first[purpose] == Some(true) { "revoked" } else { "grant" };
        let time = i64::from(day) * DAY + 8 * HOUR + change.below(14 * HOUR as u64) as i64;
        let ingested = world.ingested_on_time(time, change.next_u64());
        decisions.push(Decision { account: number, purpose, status, basis: "consent", time, ingested });
    }
}

/// The policy in force at a world time: a new version every 300 days.
fn policy_version(time: i64) -> &'static str {
    match time.div_euclid(300 * DAY) {
        ..=-3 => "1.0",
        -2 => "1.1",
        -1 => "2.0",
        _ => "2.1",
    }
}

fn columns(world: &World, decisions: &[Decision]) -> Result<RecordBatch> {
    let mut texts: [StringBuilder; 5] = std::array::from_fn(|_| StringBuilder::new());
    let mut times: [TimestampMicrosecondBuilder; 2] =
        std::array::from_fn(|_| TimestampMicrosecondBuilder::new());
    for index in by_ingestion(decisions.iter().map(|decision| decision.ingested)) {
        let decision = &decisions[index];
        let account = account_text(decision.account);
        let purpose = PURPOSES[decision.purpose].0;
        let values =
            [ascii(&account), purpose, decision.status, decision.basis, policy_version(decision.time)];
        for (column, value) in texts.iter_mut().zip(values) {
            column.append_value(value);
        }
        for (column, time) in times.iter_mut().zip([decision.time, decision.ingested]) {
            column.append_value(world.utc(time));
        }
    }
    let texts = texts.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef);
    let times = times.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef);
    RecordBatch::try_new(write::schema("consents"), texts.chain(times).collect()).context("building consents")
}
