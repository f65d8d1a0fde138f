//! The products: a fixed catalogue, some of which is launched while the world runs.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Float64Array, Int64Array, StringBuilder, TimestampMicrosecondArray,
};
use arrow::record_batch::RecordBatch;

use super::names::{BRANDS, CATEGORIES, MODELS, SUBCATEGORIES};
use super::rng::{Draws, Topic, mix};
use super::settings::WorldSettings;
use super::world::{DAY, HOUR, World};
use super::write;
use crate::{Context, Result};

/// Price tiers within a category, from cheap to dear.
pub const TIERS: u32 = 8;
/// Number of the first product.
const FIRST_ID: i64 = 100_001;

/// Compact facts about every product; index = product_id - 100,001.
#[derive(Debug)]
pub struct Catalogue {
    /// List price in yuan.
    pub price: Vec<f64>,
    /// Day from which the product is known; 0 when launched before the world starts. Always a multiple of 7.
    known: Vec<u16>,
    /// Products of each category and tier, by rank of popularity.
    ranks: u32,
    seed: u64,
}

/// Typical price of each category, in the order of [`CATEGORIES`], in yuan.
const PRICES: [f64; 24] = [
    900.0, 420.0, 180.0, 260.0, 120.0, 35.0, 60.0, 48.0, 150.0, 95.0, 210.0, 330.0, 75.0, 28.0, 140.0, 88.0,
    520.0, 66.0, 110.0, 240.0, 55.0, 160.0, 300.0, 42.0,
];

impl Catalogue {
    /// Draws the products: 960 for the smallest worlds, 19,200 at scale 1, growing with the root of the scale.
    pub fn draw(settings: &WorldSettings) -> Self {
        let ranks = (100.0 * libm::sqrt(settings.scale)).round().clamp(5.0, 500.0) as u32;
        let count = ranks * TIERS * CATEGORIES.len() as u32;
        let mut price = Vec::with_capacity(count as usize);
        let mut known = Vec::with_capacity(count as usize);
        for index in 0..count {
            let mut draws = Draws::new(settings.seed, Topic::Product, u64::from(index), 0);
            let tier = f64::from(index / CATEGORIES.len() as u32 % TIERS);
            let level = libm::exp2((tier - 3.5) * 0.45 + 0.2 * draws.normal());
            let base = PRICES[index as usize % PRICES.len()] * level;
            price.push(base.max(2.0).floor() - if draws.chance(0.7) { 0.1 } else { 0.01 });
            let rank = index / (TIERS * CATEGORIES.len() as u32);
            let later = rank > 0 && draws.chance(0.1);
            let week = draws.below(u64::from(settings.days.div_ceil(7))) as u16;
            known.push(if later { week * 7 } else { 0 });
        }
        Catalogue { price, known, ranks, seed: settings.seed }
    }

    /// Number of products.
    pub fn len(&self) -> u32 {
        self.price.len() as u32
    }

    /// A product of a category and tier, known on the day; popular ranks come up more often. `bits`: 20 random bits.
    #[inline]
    pub fn pick(&self, category: u32, tier: u32, bits: u64, day: u32) -> u32 {
        let x = (bits & 0xfffff) as f32 * (1.0 / 1_048_576.0);
        let mut rank = ((x * x * self.ranks as f32) as u32).min(self.ranks - 1);
        loop {
            let index = (rank * TIERS + tier) * CATEGORIES.len() as u32 + category;
            // rank 0 is known from the start, so this ends
            if u32::from(self.known[index as usize]) <= day {
                return index;
            }
            rank /= 2;
        }
    }

    /// Whether a product is launched by a day.
    pub fn is_known(&self, product: u32, day: u32) -> bool {
        u32::from(self.known[product as usize]) <= day
    }

    /// The product id of an index.
    #[inline]
    pub fn id(index: u32) -> i64 {
        FIRST_ID + i64::from(index)
    }

    /// Rows of `products` that arrive on a day, or `None`: the first day brings all known, later weeks the launches.
    ///
    /// # Errors
    /// When Arrow refuses the columns, which would be a defect.
    pub fn arrivals(&self, world: &World, day: u32) -> Result<Option<RecordBatch>> {
        let indices: Vec<u32> =
            (0..self.len()).filter(|index| u32::from(self.known[*index as usize]) == day).collect();
        if indices.is_empty() {
            return Ok(None);
        }
        let [mut name, mut brand, mut category, mut subcategory] =
            std::array::from_fn(|_| StringBuilder::new());
        let mut launched = Vec::with_capacity(indices.len());
        let mut ingested = Vec::with_capacity(indices.len());
        for index in &indices {
            let mut draws = Draws::new(self.seed, Topic::Product, u64::from(*index), 1);
            let class = *index as usize % CATEGORIES.len();
            let kind = SUBCATEGORIES[class][draws.below(6) as usize];
            let maker = draws.pick(&BRANDS);
            let model = draws.pick(&MODELS);
            name.append_value(format!("{maker} {kind} {model}{}", 100 + mix(u64::from(*index)) % 900));
            brand.append_option((!draws.chance(0.03)).then_some(maker));
            category.append_value(CATEGORIES[class]);
            subcategory.append_value(kind);
            let launch = if day > 0 { i64::from(day) } else { -1 - draws.below(1500) as i64 };
            launched.push(
                world.date(launch).signed_duration_since(chrono::NaiveDate::default()).num_days() as i32
            );
            // one load of the whole list, row after row
            ingested.push(world.utc(i64::from(day) * DAY + 2 * HOUR + ingested.len() as i64));
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(indices.iter().map(|index| Self::id(*index)).collect::<Int64Array>()),
            Arc::new(name.finish()),
            Arc::new(brand.finish()),
            Arc::new(category.finish()),
            Arc::new(subcategory.finish()),
            Arc::new(indices.iter().map(|index| self.price[*index as usize]).collect::<Float64Array>()),
            Arc::new(Date32Array::from(launched)),
            Arc::new(TimestampMicrosecondArray::from(ingested)),
        ];
        RecordBatch::try_new(write::schema("products"), columns).map(Some).context("building products")
    }
}
