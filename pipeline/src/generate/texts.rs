//! Reviews and service dialogues in Chinese and English: what they mean is drawn first, then the words.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use super::columns::{Sorted, batch};
use super::delivery::{Arrivals, Arriving, Fate};
use super::mess::{Key, Kind, Planted, row_draws};
use super::names::CITIES;
use super::orders::{Basket, Purchase};
use super::persons::{NO_ACCOUNT_SLOT, System, account_number};
use super::phrases::{ASPECTS, CHINESE, CLOSERS, DIALOGUE, ENGLISH, JOINTS, OPENERS, SENTIMENTS};
use super::products::Catalogue;
use super::rng::{Topic, mix, scramble};
use super::world::{DAY, HOUR, World};
use super::write;
use crate::{Context, Result};

/// Values of `texts.kind`.
const KINDS: [&str; 2] = ["review", "service"];
/// Values of `truth/texts.language`.
const LANGUAGES: [&str; 2] = ["zh", "en"];
/// Days after its own on which a text arrives, in time and late.
const DELAYS: [u32; 2] = [0, 2];
/// Share of purchases that are reviewed, and of those that end at the service desk.
const REVIEWED: f64 = 0.15;
const SERVED: f64 = 0.05;
/// Share of Chinese people's texts that are in English.
const FOREIGN: f64 = 0.04;
/// Share of texts whose words say another sentiment than is meant, or speak of another aspect.
const IRONY: f64 = 0.08;
const DIGRESSION: f64 = 0.06;
/// Share of texts with a second phrase, about another aspect, and of those that agree with the first.
const SECOND: f64 = 0.3;
const AGREES: f64 = 0.6;
/// Shares of sentiments among service dialogues.
const SERVICE_SENTIMENTS: [f64; 3] = [0.15, 0.6, 0.25];

/// A row of `texts` and what is true about it. Sentiments and aspects are indices.
#[derive(Debug, Clone)]
pub struct TextRow {
    id: i64,
    kind: usize,
    account: u64,
    product: u32,
    language: usize,
    sentiment: usize,
    aspect: usize,
    /// The sentiment and aspect that the words say.
    said: (usize, usize),
    rating: Option<i32>,
    empty: bool,
    time: i64,
    ingested: i64,
}

impl Arriving for TextRow {
    fn ingested(&mut self) -> &mut i64 {
        &mut self.ingested
    }
}

/// Best accuracy with which the words, correctly read, tell sentiment and aspect; for texts of the mean product.
pub fn ceilings() -> (f64, f64) {
    let mean = review_sentiments(0.5);
    let share = REVIEWED / (REVIEWED + SERVED);
    let prior: Vec<f64> =
        mean.iter().zip(SERVICE_SENTIMENTS).map(|(a, b)| share * a + (1.0 - share) * b).collect();
    let said = |meant: usize, said: usize| if meant == said { 1.0 - IRONY } else { IRONY / 2.0 };
    let best = |words: usize| (0..3).map(|meant| prior[meant] * said(meant, words)).fold(0.0, f64::max);
    ((0..3).map(best).sum(), 1.0 - DIGRESSION)
}

/// Shares of sentiments among reviews of a product by its standing, 0 to 1.
fn review_sentiments(standing: f64) -> [f64; 3] {
    let positive = 0.4 + 0.45 * standing;
    [positive, 0.6 * (1.0 - positive), 0.4 * (1.0 - positive)]
}

/// The texts of a local day.
#[derive(Debug)]
pub struct DayTexts {
    /// As they arrive.
    pub arrivals: Arrivals<TextRow>,
    /// As they were meant, of those that arrive.
    pub meant: Vec<TextRow>,
}

impl Default for DayTexts {
    fn default() -> Self {
        DayTexts { arrivals: Arrivals::new(DELAYS), meant: Vec::new() }
    }
}

impl DayTexts {
    /// Adds what is written on a day about an earlier purchase.
    pub fn write(&mut self, world: &World, purchase: &Purchase, day: u32, mess: &mut Vec<Planted>) {
        if let Some(row) = text(world, purchase, day) {
            self.meant.extend(deliver(world, purchase, day, row, &mut self.arrivals, mess));
        }
    }
}

fn text_id(purchase: &Purchase, day: u32, variant: u64) -> i64 {
    let local = (u64::from(purchase.person) << 4 | u64::from(purchase.slot)) << 1 | variant;
    ((u64::from(day) << 32) | scramble(local, 32)) as i64
}

fn text(world: &World, purchase: &Purchase, day: u32) -> Option<TextRow> {
    let Purchase { person, day: ordered, slot, account } = *purchase;
    let mut draws = world.draws(Topic::Text, u64::from(person), u64::from(ordered) << 4 | u64::from(slot));
    let roll = draws.unit();
    let kind = match roll {
        ..REVIEWED => 0,
        _ if roll < REVIEWED + SERVED => 1,
        _ => return None,
    };
    let basket = Basket::draw(world, person, ordered, slot);
    let product = basket.lines()[draws.below(basket.lines().len() as u64) as usize].product;
    let nature = mix(u64::from(product) ^ world.settings.seed.rotate_left(7));
    let standing = (nature >> 40) as f64 / 16_777_216.0;
    let sentiment = draws.weighted(&if kind == 0 { review_sentiments(standing) } else { SERVICE_SENTIMENTS });
    let aspect = match draws.chance(0.35) {
        true => (nature % ASPECTS.len() as u64) as usize,
        false => draws.below(ASPECTS.len() as u64) as usize,
    };
    let said_sentiment =
        if draws.chance(IRONY) { (sentiment + 1 + draws.below(2) as usize) % 3 } else { sentiment };
    let said_aspect =
        if draws.chance(DIGRESSION) { (aspect + 1 + draws.below(5) as usize) % 6 } else { aspect };
    let western = usize::from(world.people.manners[person as usize].city) >= CITIES.len();
    let stars = [[4, 5, 5, 5], [1, 1, 2, 3], [3, 3, 4, 4]][sentiment][draws.below(4) as usize];
    let rated = kind == 0 && draws.chance(0.9);
    let time = World::settled(i64::from(day) * DAY + 8 * HOUR + draws.below(15 * HOUR as u64) as i64);
    Some(TextRow {
        id: text_id(purchase, day, 0),
        kind,
        account,
        product,
        language: usize::from(western || draws.chance(FOREIGN)),
        sentiment,
        aspect,
        said: (said_sentiment, said_aspect),
        rating: rated.then_some(stars),
        empty: false,
        time,
        ingested: world.ingested_on_time(time, draws.next_u64()),
    })
}

/// Adds a row with its mess; returns it as it was meant, if it arrives.
fn deliver(
    world: &World,
    purchase: &Purchase,
    day: u32,
    meant: TextRow,
    arrivals: &mut Arrivals<TextRow>,
    mess: &mut Vec<Planted>,
) -> Option<TextRow> {
    let mut draws = row_draws(world.settings.seed, meant.id | 1 << 60);
    let kind = world.lotteries.texts.draw(draws.next_u64() as u32);
    let (bits, orphan) = (draws.next_u64(), draws.chance(world.settings.mess.orphan_text));
    let mut row = meant.clone();
    let fate = match kind {
        Some(Kind::LateText) => Fate::Late,
        Some(Kind::DuplicateText) => Fate::Twice,
        _ => Fate::InTime,
    };
    match kind {
        Some(Kind::FutureText) => row.time += 366 * DAY,
        Some(Kind::EmptyText) => row.empty = true,
        _ => {}
    }
    if orphan {
        let id = text_id(purchase, day, 1);
        let account = account_number(System::Web, purchase.person, NO_ACCOUNT_SLOT);
        arrivals.add(world, day, TextRow { id, account, ..meant.clone() }, Fate::InTime, bits >> 5);
        mess.push(Planted { table: "texts", key: Key::Id(id), kind: Kind::OrphanText });
    }
    if !arrivals.add(world, day, row, fate, bits) {
        return None;
    }
    mess.extend(kind.map(|kind| Planted { table: "texts", key: Key::Id(meant.id), kind }));
    Some(meant)
}

/// The words of a text: a function of seed, id and meaning.
fn body(world: &World, row: &TextRow) -> String {
    let mut draws = world.draws(Topic::Text, row.id as u64, 1 << 40);
    let language = row.language;
    let phrases = if language == 0 { &CHINESE } else { &ENGLISH };
    let (sentiment, aspect) = row.said;
    let mut words = draws.pick(&OPENERS[language]).to_string();
    words += draws.pick(&phrases[aspect][sentiment]);
    if draws.chance(SECOND) {
        let agrees = draws.chance(AGREES);
        let other = (aspect + 1 + draws.below(5) as usize) % 6;
        let second = if agrees { sentiment } else { (sentiment + 1 + draws.below(2) as usize) % 3 };
        words += JOINTS[language][usize::from(!agrees)];
        words += draws.pick(&phrases[other][second]);
    }
    words += draws.pick(&CLOSERS[language]);
    if row.kind == 0 {
        return words;
    }
    let [before, after, end] = DIALOGUE[language];
    format!("{before}{words}{after}{end}")
}

/// Rows of `texts` of one arrival; `None` when there are none.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn columns(world: &World, rows: &[TextRow]) -> Result<Option<RecordBatch>> {
    let sorted = Sorted::by(world, rows, |row| row.ingested);
    let columns = vec![
        sorted.longs(|row| row.id),
        sorted.texts(|row| KINDS[row.kind]),
        sorted.accounts(|row| row.account),
        sorted.longs(|row| Catalogue::id(row.product)),
        sorted.optional_ints(|row| row.rating),
        sorted.made_texts(|row| (!row.empty).then(|| body(world, row))),
        sorted.times(|row| row.time),
        sorted.times(|row| row.ingested),
    ];
    batch("texts", rows.len(), columns)
}

/// Rows of `truth/texts`.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn truth(rows: &[TextRow]) -> Result<RecordBatch> {
    let texts = |text: fn(&TextRow) -> &'static str| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(text(row))).collect::<StringArray>())
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.id).collect::<Int64Array>()),
        texts(|row| LANGUAGES[row.language]),
        texts(|row| SENTIMENTS[row.sentiment]),
        texts(|row| ASPECTS[row.aspect]),
    ];
    RecordBatch::try_new(write::schema("truth/texts"), columns).context("building truth/texts")
}
