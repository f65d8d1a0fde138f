//! The settings of a world, with their defaults and limits.

use std::ops::Range;

use chrono::NaiveDate;
use serde::Serialize;

use crate::{Error, Result};

/// Most days a world may span.
pub const MAX_DAYS: u32 = 4000;
/// Largest scale: person numbers must fit the 27 bits reserved for them inside identifiers.
pub const MAX_SCALE: f64 = 1000.0;

/// Which world to make. The same settings (`arrived` and `threads` apart) give the same rows on every machine.
#[derive(Debug, Clone, Serialize)]
pub struct WorldSettings {
    /// Size: 1 is 100,000 persons and, over 365 days, about 20 million events, 1 million orders and 0.6 GB of Parquet.
    /// Events and orders grow with persons and days.
    pub scale: f64,
    /// Another seed is another world of the same kind.
    pub seed: u64,
    /// Seed of what happens on the days: sessions, orders, returns. Worlds that differ in it alone have the same persons,
    /// products and places. That of the world by default.
    pub days_seed: Option<u64>,
    /// First local day (Asia/Shanghai).
    pub start: NaiveDate,
    /// Number of local days. What would arrive after the last of them is not delivered.
    pub days: u32,
    /// Write only raw files that arrive on a local day in `[start, end)`; `None` writes all. Truth is always whole.
    #[serde(skip)]
    pub arrived: Option<Range<NaiveDate>>,
    /// Share of persons who ask to be erased while the world runs.
    pub erasures: f64,
    /// How messy the world is.
    pub mess: MessRates,
    /// Number of blocking tasks that make files at the same time.
    #[serde(skip)]
    pub threads: usize,
}

impl Default for WorldSettings {
    fn default() -> Self {
        WorldSettings {
            scale: 1.0,
            seed: 42,
            days_seed: None,
            start: NaiveDate::from_ymd_opt(2025, 1, 1).unwrap_or_default(),
            days: 365,
            arrived: None,
            erasures: 0.01,
            mess: MessRates::default(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

impl WorldSettings {
    /// Number of persons: 100,000 times the scale, at least 1.
    pub fn persons(&self) -> u32 {
        ((self.scale * 100_000.0).round() as u32).max(1)
    }

    /// The last local day plus one.
    pub fn end(&self) -> NaiveDate {
        self.start + chrono::Days::new(u64::from(self.days))
    }

    /// Refuses settings outside their limits.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the setting, its value and what is allowed.
    pub fn validate(&self) -> Result<()> {
        if !(self.scale > 0.0 && self.scale <= MAX_SCALE) {
            return Err(Error::Usage(format!("scale {} is not in (0, {MAX_SCALE}]", self.scale)));
        }
        if self.days == 0 || self.days > MAX_DAYS {
            return Err(Error::Usage(format!("days {} is not in 1..={MAX_DAYS}", self.days)));
        }
        if !(0.0..=1.0).contains(&self.erasures) {
            return Err(Error::Usage(format!("erasures {} is not in 0..=1", self.erasures)));
        }
        if self.threads == 0 {
            return Err(Error::Usage("threads is 0; give at least 1".into()));
        }
        let years = NaiveDate::from_ymd_opt(1990, 1, 1).zip(NaiveDate::from_ymd_opt(2100, 1, 1));
        if years.is_some_and(|(first, last)| self.start < first || self.start >= last) {
            return Err(Error::Usage(format!("start {} is not between 1990 and 2099", self.start)));
        }
        self.mess.validate()
    }
}

/// Rates of planted mess. Unless another base is named, a rate is the share of rows of its table; a row bears at most
/// one kind, so the rates of a table must not sum to more than 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MessRates {
    /// Events delivered twice, with the same id; the copy is ingested later, the same day or two days on.
    pub duplicate_event: f64,
    /// Events delivered 2 or 5 days late: within the look-back.
    pub late_event: f64,
    /// Events delivered 10 days late: beyond the look-back.
    pub too_late_event: f64,
    /// Events whose device clock is a year or more ahead.
    pub future_event: f64,
    /// Share of dwell events that claim to last a day or more.
    pub outlier_dwell: f64,
    /// Orders delivered twice, with the same id.
    pub duplicate_order: f64,
    /// Orders delivered 2 or 5 days late, with their lines.
    pub late_order: f64,
    /// Extra orders of an unknown account, as a share of orders. They have no lines.
    pub orphan_order: f64,
    /// Order lines with a quantity below zero.
    pub negative_quantity: f64,
    /// Order lines with a price that is NaN or below zero.
    pub invalid_price: f64,
    /// Order lines with a quantity of 500 or more.
    pub outlier_quantity: f64,
    /// Extra lines of an unknown order, as a share of orders.
    pub orphan_item: f64,
    /// Extra returns of an unknown order, as a share of orders.
    pub orphan_return: f64,
    /// Accounts delivered twice, alike but for a later `ingested_at`.
    pub duplicate_account: f64,
    /// Accounts with a text that is no e-mail address.
    pub invalid_email: f64,
    /// Accounts with a text that is no phone number.
    pub invalid_phone: f64,
    /// Accounts with a birth date that cannot be read.
    pub invalid_birth_date: f64,
    /// Accounts with a slip in the domain of the e-mail address, where it is one of the longer ones.
    pub typo_email_domain: f64,
    /// Accounts with an impossible age (below 0 or above 120).
    pub outlier_age: f64,
    /// Accounts with an age that is not that of their birth date.
    pub contradicting_age: f64,
    /// Accounts with a plausible birth date that is not the person's.
    pub wrong_birth_date: f64,
    /// Accounts with one character of the name wrong.
    pub name_typo: f64,
    /// Accounts that bear the shop's own phone number in place of the customer's.
    pub placeholder_phone: f64,
    /// Messages delivered twice, with the same id.
    pub duplicate_message: f64,
    /// Messages delivered 3 days after the others of their day.
    pub late_message: f64,
    /// Messages whose time of sending is a year ahead.
    pub future_message: f64,
    /// Extra messages to an unknown account, as a share of messages.
    pub orphan_message: f64,
    /// Rows of social activity delivered twice.
    pub duplicate_social: f64,
    /// Rows of social activity delivered 3 days after the others of their day.
    pub late_social: f64,
    /// Rows of social activity that bear an unknown account.
    pub orphan_social: f64,
    /// Rows of social activity with fewer than no engagements.
    pub negative_count: f64,
    /// Rows of social activity without engagements.
    pub missing_count: f64,
    /// Texts delivered twice, with the same id.
    pub duplicate_text: f64,
    /// Texts delivered 2 days late.
    pub late_text: f64,
    /// Texts whose time of writing is a year ahead.
    pub future_text: f64,
    /// Texts without words.
    pub empty_text: f64,
    /// Extra texts of an unknown account, as a share of texts.
    pub orphan_text: f64,
    /// Requests to be erased that are delivered twice, with the same id.
    pub duplicate_erasure: f64,
    /// Extra requests to erase an unknown account, as a share of requests.
    pub orphan_erasure: f64,
    /// City days of weather delivered twice.
    pub duplicate_weather: f64,
    /// City days of weather without rain.
    pub missing_rain: f64,
    /// City days of weather with the code of a broken gauge for rain.
    pub invalid_rain: f64,
    /// Multiplies the shares of values that are missing (1 = as they come in each system).
    pub missing_values: f64,
    /// Share of texts (names, dates, phones, e-mails, cities) written in another form than the system's usual one.
    pub format_variants: f64,
    /// Share of accounts that bear the person's second e-mail, and likewise the second phone.
    pub second_contact: f64,
    /// Share of accounts that bear the household's e-mail, and likewise its phone, where there is a household.
    pub family_contact: f64,
}

impl Default for MessRates {
    fn default() -> Self {
        MessRates {
            duplicate_event: 0.01,
            late_event: 0.015,
            too_late_event: 0.002,
            future_event: 0.001,
            outlier_dwell: 0.001,
            duplicate_order: 0.005,
            late_order: 0.01,
            orphan_order: 0.003,
            negative_quantity: 0.003,
            invalid_price: 0.003,
            outlier_quantity: 0.001,
            orphan_item: 0.003,
            orphan_return: 0.002,
            duplicate_account: 0.01,
            invalid_email: 0.01,
            invalid_phone: 0.01,
            invalid_birth_date: 0.01,
            typo_email_domain: 0.01,
            outlier_age: 0.005,
            contradicting_age: 0.005,
            wrong_birth_date: 0.01,
            name_typo: 0.02,
            placeholder_phone: 0.015,
            duplicate_message: 0.005,
            late_message: 0.01,
            future_message: 0.001,
            orphan_message: 0.003,
            duplicate_social: 0.01,
            late_social: 0.015,
            orphan_social: 0.005,
            negative_count: 0.003,
            missing_count: 0.01,
            duplicate_text: 0.005,
            late_text: 0.01,
            future_text: 0.002,
            empty_text: 0.01,
            orphan_text: 0.003,
            duplicate_erasure: 0.05,
            orphan_erasure: 0.05,
            duplicate_weather: 0.01,
            missing_rain: 0.01,
            invalid_rain: 0.005,
            missing_values: 1.0,
            format_variants: 0.35,
            second_contact: 0.25,
            family_contact: 0.15,
        }
    }
}

impl MessRates {
    /// A world without planted mess; missing values, format variants and shared contacts stay.
    pub fn none() -> Self {
        let MessRates { missing_values, format_variants, second_contact, family_contact, .. } =
            Self::default();
        MessRates {
            duplicate_event: 0.0,
            late_event: 0.0,
            too_late_event: 0.0,
            future_event: 0.0,
            outlier_dwell: 0.0,
            duplicate_order: 0.0,
            late_order: 0.0,
            orphan_order: 0.0,
            negative_quantity: 0.0,
            invalid_price: 0.0,
            outlier_quantity: 0.0,
            orphan_item: 0.0,
            orphan_return: 0.0,
            duplicate_account: 0.0,
            invalid_email: 0.0,
            invalid_phone: 0.0,
            invalid_birth_date: 0.0,
            typo_email_domain: 0.0,
            outlier_age: 0.0,
            contradicting_age: 0.0,
            wrong_birth_date: 0.0,
            name_typo: 0.0,
            placeholder_phone: 0.0,
            duplicate_message: 0.0,
            late_message: 0.0,
            future_message: 0.0,
            orphan_message: 0.0,
            duplicate_social: 0.0,
            late_social: 0.0,
            orphan_social: 0.0,
            negative_count: 0.0,
            missing_count: 0.0,
            duplicate_text: 0.0,
            late_text: 0.0,
            future_text: 0.0,
            empty_text: 0.0,
            orphan_text: 0.0,
            duplicate_erasure: 0.0,
            orphan_erasure: 0.0,
            duplicate_weather: 0.0,
            missing_rain: 0.0,
            invalid_rain: 0.0,
            missing_values,
            format_variants,
            second_contact,
            family_contact,
        }
    }

    fn validate(&self) -> Result<()> {
        let events = [self.duplicate_event, self.late_event, self.too_late_event, self.future_event];
        let dwells = [self.outlier_dwell];
        let orders = [self.duplicate_order, self.late_order];
        let extras = [self.orphan_order, self.orphan_item, self.orphan_return];
        let lines = [self.negative_quantity, self.invalid_price, self.outlier_quantity];
        let accounts = [
            self.duplicate_account,
            self.invalid_email,
            self.invalid_phone,
            self.invalid_birth_date,
            self.typo_email_domain,
            self.outlier_age,
            self.contradicting_age,
            self.wrong_birth_date,
            self.name_typo,
            self.placeholder_phone,
        ];
        let messages = [self.duplicate_message, self.late_message, self.future_message];
        let social = [
            self.duplicate_social,
            self.late_social,
            self.orphan_social,
            self.negative_count,
            self.missing_count,
        ];
        let words = [self.duplicate_text, self.late_text, self.future_text, self.empty_text];
        let weather = [self.duplicate_weather, self.missing_rain, self.invalid_rain];
        let more = [self.orphan_message, self.orphan_text, self.orphan_erasure];
        let contacts = [self.second_contact, self.family_contact];
        let texts = [self.format_variants];
        let groups: [(&str, &[f64]); 14] = [
            ("events", &events),
            ("dwell events", &dwells),
            ("orders", &orders),
            ("extra rows", &extras),
            ("order lines", &lines),
            ("accounts", &accounts),
            ("messages", &messages),
            ("social activity", &social),
            ("reviews and dialogues", &words),
            ("erasure requests", &[self.duplicate_erasure]),
            ("weather", &weather),
            ("more extra rows", &more),
            ("contacts", &contacts),
            ("texts", &texts),
        ];
        for (name, rates) in groups {
            if rates.iter().any(|rate| !(0.0..=1.0).contains(rate)) || rates.iter().sum::<f64>() > 1.0 {
                return Err(Error::Usage(format!(
                    "mess rates of {name} {rates:?}: each must be in 0..=1 and their sum at most 1"
                )));
            }
        }
        if !(0.0..=2.0).contains(&self.missing_values) {
            return Err(Error::Usage(format!("missing_values {} is not in 0..=2", self.missing_values)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_bad_values_are_refused() {
        assert!(WorldSettings::default().validate().is_ok());
        let refused = [
            WorldSettings { scale: 0.0, ..Default::default() },
            WorldSettings { scale: f64::NAN, ..Default::default() },
            WorldSettings { days: 0, ..Default::default() },
            WorldSettings { threads: 0, ..Default::default() },
            WorldSettings { erasures: 1.5, ..Default::default() },
            WorldSettings {
                mess: MessRates { late_event: 0.6, duplicate_event: 0.6, ..Default::default() },
                ..Default::default()
            },
        ];
        for settings in refused {
            assert!(matches!(settings.validate(), Err(Error::Usage(_))), "{settings:?}");
        }
    }

    #[test]
    fn persons_follow_the_scale() {
        assert_eq!(WorldSettings { scale: 0.02, ..Default::default() }.persons(), 2000);
        assert_eq!(WorldSettings { scale: 1e-9, ..Default::default() }.persons(), 1);
    }
}
