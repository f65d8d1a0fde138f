//! Planted mess: its kinds, how a row draws at most one of them, and how late rows arrive.

use super::rng::{Draws, Topic};
use super::settings::MessRates;

/// What is wrong with a planted row. The snake-case name stands in `truth/mess`; the key is the text of the row's id
/// (`account_id`, `event_id`, `order_id`, `order_id-line_no`, `return_id`, `message_id`, `account_id-platform-date`, `text_id`,
/// `request_id`, `city-date`).
///
/// | kind | table | what was done | visible |
/// |---|---|---|---|
/// | `duplicate_event`, `duplicate_order`, `duplicate_account` | events, orders, crm_customers | the row is delivered twice, the copy with a later `ingested_at` | yes |
/// | `late_event`, `late_order` | events, orders | ingested 2 or 5 days later; inside the look-back, not to be rejected | yes |
/// | `too_late_event` | events | ingested 10 days later; beyond the look-back | yes |
/// | `future_event` | events | `event_time` a year or more after `ingested_at` | yes |
/// | `outlier_dwell` | events | a dwell of a day or more; an outlier, not to be rejected | yes |
/// | `orphan_order` | orders | an extra order without lines, of an account that does not exist | yes |
/// | `orphan_item` | order_items | an extra line of an order that does not exist | yes |
/// | `orphan_return` | returns | an extra return of an order that does not exist | yes |
/// | `negative_quantity` | order_items | quantity below zero | yes |
/// | `invalid_price` | order_items | price NaN or below zero | yes |
/// | `outlier_quantity` | order_items | quantity of 500 or more; an outlier, not to be rejected | yes |
/// | `invalid_email`, `invalid_phone`, `invalid_birth_date` | crm_customers | the text cannot be read as such | yes |
/// | `typo_email_domain` | crm_customers | two neighbouring letters of the domain are swapped, or its last letter is wrong | yes |
/// | `outlier_age` | crm_customers | age below 0 or above 120 | yes |
/// | `contradicting_age` | crm_customers | age ten years or more off that of the birth date | yes |
/// | `wrong_birth_date`, `name_typo`, `placeholder_phone` | crm_customers | a plausible but wrong value | no |
/// | `duplicate_message`, `duplicate_social`, `duplicate_text`, `duplicate_erasure`, `duplicate_weather` | messages, social, texts, erasure_requests, weather | as above | yes |
/// | `late_message`, `late_social`, `late_text` | messages, social, texts | ingested 2 or 3 days after the others; inside the look-back, not to be rejected | yes |
/// | `future_message`, `future_text` | messages, texts | `sent_at`, `written_at` a year after `ingested_at` | yes |
/// | `orphan_message`, `orphan_text`, `orphan_erasure` | messages, texts, erasure_requests | an extra row of an account that does not exist | yes |
/// | `orphan_social` | social | the row bears an account that does not exist | yes |
/// | `negative_count` | social | `engagements` below zero | yes |
/// | `missing_count` | social | no `engagements`; not to be rejected | yes |
/// | `empty_text` | texts | no `body` | yes |
/// | `missing_rain`, `invalid_rain` | weather | no `rain_mm`, or -999 | yes |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    DuplicateEvent,
    LateEvent,
    TooLateEvent,
    FutureEvent,
    OutlierDwell,
    DuplicateOrder,
    LateOrder,
    OrphanOrder,
    OrphanItem,
    OrphanReturn,
    NegativeQuantity,
    InvalidPrice,
    OutlierQuantity,
    DuplicateAccount,
    InvalidEmail,
    InvalidPhone,
    InvalidBirthDate,
    TypoEmailDomain,
    OutlierAge,
    ContradictingAge,
    WrongBirthDate,
    NameTypo,
    PlaceholderPhone,
    DuplicateMessage,
    LateMessage,
    FutureMessage,
    OrphanMessage,
    DuplicateSocial,
    LateSocial,
    OrphanSocial,
    NegativeCount,
    MissingCount,
    DuplicateText,
    LateText,
    FutureText,
    OrphanText,
    EmptyText,
    DuplicateErasure,
    OrphanErasure,
    DuplicateWeather,
    MissingRain,
    InvalidRain,
}

impl Kind {
    /// The name in `truth/mess`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::DuplicateEvent => "duplicate_event",
            Kind::LateEvent => "late_event",
            Kind::TooLateEvent => "too_late_event",
            Kind::FutureEvent => "future_event",
            Kind::OutlierDwell => "outlier_dwell",
            Kind::DuplicateOrder => "duplicate_order",
            Kind::LateOrder => "late_order",
            Kind::OrphanOrder => "orphan_order",
            Kind::OrphanItem => "orphan_item",
            Kind::OrphanReturn => "orphan_return",
            Kind::NegativeQuantity => "negative_quantity",
            Kind::InvalidPrice => "invalid_price",
            Kind::OutlierQuantity => "outlier_quantity",
            Kind::DuplicateAccount => "duplicate_account",
            Kind::InvalidEmail => "invalid_email",
            Kind::InvalidPhone => "invalid_phone",
            Kind::InvalidBirthDate => "invalid_birth_date",
            Kind::TypoEmailDomain => "typo_email_domain",
            Kind::OutlierAge => "outlier_age",
            Kind::ContradictingAge => "contradicting_age",
            Kind::WrongBirthDate => "wrong_birth_date",
            Kind::NameTypo => "name_typo",
            Kind::PlaceholderPhone => "placeholder_phone",
            Kind::DuplicateMessage => "duplicate_message",
            Kind::LateMessage => "late_message",
            Kind::FutureMessage => "future_message",
            Kind::OrphanMessage => "orphan_message",
            Kind::DuplicateSocial => "duplicate_social",
            Kind::LateSocial => "late_social",
            Kind::OrphanSocial => "orphan_social",
            Kind::NegativeCount => "negative_count",
            Kind::MissingCount => "missing_count",
            Kind::DuplicateText => "duplicate_text",
            Kind::LateText => "late_text",
            Kind::FutureText => "future_text",
            Kind::OrphanText => "orphan_text",
            Kind::EmptyText => "empty_text",
            Kind::DuplicateErasure => "duplicate_erasure",
            Kind::OrphanErasure => "orphan_erasure",
            Kind::DuplicateWeather => "duplicate_weather",
            Kind::MissingRain => "missing_rain",
            Kind::InvalidRain => "invalid_rain",
        }
    }

    /// Whether the row itself, or a comparison of ids, shows it.
    pub fn visible(self) -> bool {
        !matches!(self, Kind::WrongBirthDate | Kind::NameTypo | Kind::PlaceholderPhone)
    }
}

/// The key of a planted row.
#[derive(Debug, Clone, PartialEq)]
pub enum Key {
    /// An id that is a number.
    Id(i64),
    /// An order id and a line number.
    Line(i64, i32),
    /// An account id, or several columns joined by dashes.
    Text(String),
}

/// One row of `truth/mess`.
#[derive(Debug, Clone, PartialEq)]
pub struct Planted {
    /// The raw table.
    pub table: &'static str,
    /// Which row.
    pub key: Key,
    /// What was done to it.
    pub kind: Kind,
}

/// Draws at most one kind per row from one 32-bit number.
#[derive(Debug, Clone)]
pub struct Lottery {
    cuts: Vec<(u64, Kind)>,
    total: u64,
}

impl Lottery {
    fn new(rates: &[(f64, Kind)]) -> Self {
        let mut sum = 0.0;
        let cuts: Vec<(u64, Kind)> = rates
            .iter()
            .map(|(rate, kind)| {
                sum += rate;
                ((sum * 4_294_967_296.0) as u64, *kind)
            })
            .collect();
        let total = cuts.last().map_or(0, |cut| cut.0);
        Lottery { cuts, total }
    }

    /// The kind that falls to this ticket, if any.
    #[inline]
    pub fn draw(&self, ticket: u32) -> Option<Kind> {
        let ticket = u64::from(ticket);
        if ticket >= self.total {
            return None;
        }
        self.cuts.iter().find(|(upto, _)| ticket < *upto).map(|(_, kind)| *kind)
    }
}

/// The lotteries of every table.
#[derive(Debug, Clone)]
pub struct Lotteries {
    /// Every event.
    pub events: Lottery,
    /// Dwell events that drew nothing before.
    pub dwells: Lottery,
    /// Every order.
    pub orders: Lottery,
    /// Every order line.
    pub lines: Lottery,
    /// Every account.
    pub accounts: Lottery,
    /// Every message.
    pub messages: Lottery,
    /// Every row of social activity.
    pub social: Lottery,
    /// Every review and dialogue.
    pub texts: Lottery,
    /// Every request to be erased.
    pub erasures: Lottery,
    /// Every city's day.
    pub weather: Lottery,
}

impl Lotteries {
    /// The lotteries for these rates.
    pub fn new(rates: &MessRates) -> Self {
        Lotteries {
            events: Lottery::new(&[
                (rates.duplicate_event, Kind::DuplicateEvent),
                (rates.late_event, Kind::LateEvent),
                (rates.too_late_event, Kind::TooLateEvent),
                (rates.future_event, Kind::FutureEvent),
            ]),
            dwells: Lottery::new(&[(rates.outlier_dwell, Kind::OutlierDwell)]),
            orders: Lottery::new(&[
                (rates.duplicate_order, Kind::DuplicateOrder),
                (rates.late_order, Kind::LateOrder),
            ]),
            lines: Lottery::new(&[
                (rates.negative_quantity, Kind::NegativeQuantity),
                (rates.invalid_price, Kind::InvalidPrice),
                (rates.outlier_quantity, Kind::OutlierQuantity),
            ]),
            accounts: Lottery::new(&[
                (rates.duplicate_account, Kind::DuplicateAccount),
                (rates.invalid_email, Kind::InvalidEmail),
                (rates.invalid_phone, Kind::InvalidPhone),
                (rates.invalid_birth_date, Kind::InvalidBirthDate),
                (rates.typo_email_domain, Kind::TypoEmailDomain),
                (rates.outlier_age, Kind::OutlierAge),
                (rates.contradicting_age, Kind::ContradictingAge),
                (rates.wrong_birth_date, Kind::WrongBirthDate),
                (rates.name_typo, Kind::NameTypo),
                (rates.placeholder_phone, Kind::PlaceholderPhone),
            ]),
            messages: Lottery::new(&[
                (rates.duplicate_message, Kind::DuplicateMessage),
                (rates.late_message, Kind::LateMessage),
                (rates.future_message, Kind::FutureMessage),
            ]),
            social: Lottery::new(&[
                (rates.duplicate_social, Kind::DuplicateSocial),
                (rates.late_social, Kind::LateSocial),
                (rates.orphan_social, Kind::OrphanSocial),
                (rates.negative_count, Kind::NegativeCount),
                (rates.missing_count, Kind::MissingCount),
            ]),
            texts: Lottery::new(&[
                (rates.duplicate_text, Kind::DuplicateText),
                (rates.late_text, Kind::LateText),
                (rates.future_text, Kind::FutureText),
                (rates.empty_text, Kind::EmptyText),
            ]),
            erasures: Lottery::new(&[(rates.duplicate_erasure, Kind::DuplicateErasure)]),
            weather: Lottery::new(&[
                (rates.duplicate_weather, Kind::DuplicateWeather),
                (rates.missing_rain, Kind::MissingRain),
                (rates.invalid_rain, Kind::InvalidRain),
            ]),
        }
    }
}

/// The stream that decides the mess of one row, by its id.
#[inline]
pub fn row_draws(seed: u64, id: i64) -> Draws {
    Draws::new(seed, Topic::Mess, id as u64, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_the_rates() {
        let rates = MessRates { late_event: 0.1, ..MessRates::none() };
        let lotteries = Lotteries::new(&rates);
        let n = 100_000;
        let hits =
            (0..n).filter(|id| lotteries.events.draw(row_draws(1, *id).next_u64() as u32).is_some()).count();
        assert!((hits as f64 / n as f64 - 0.1).abs() < 0.005, "{hits}");
        assert_eq!(lotteries.orders.draw(0), None);
    }
}
