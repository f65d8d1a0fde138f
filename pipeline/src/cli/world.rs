//! `strata generate`.

use std::ops::Range;

use crate::generate::{WorldSettings, generate_into};
use crate::{Error, Result};
use chrono::NaiveDate;

use super::LakeArgs;
use super::print::print;

#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    lake: LakeArgs,
    /// 1 is 100,000 people, 20 million events and 1 million orders a year.
    #[arg(long, default_value_t = 0.02)]
    scale: f64,
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Another seed of what happens on the days, for the same people, products and places.
    #[arg(long)]
    days_seed: Option<u64>,
    /// Number of days.
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// First day.
    #[arg(long, default_value = "2025-01-01")]
    start: NaiveDate,
    /// Only files that arrive on this day or later.
    #[arg(long)]
    arrived_from: Option<NaiveDate>,
    /// Only files that arrive before this day.
    #[arg(long)]
    arrived_before: Option<NaiveDate>,
    #[arg(long)]
    threads: Option<usize>,
}

pub async fn generate(args: GenerateArgs) -> Result<()> {
    let lake = args.lake.connect().await?;
    let end = args.start + chrono::Days::new(u64::from(args.days));
    let arrived: Option<Range<NaiveDate>> = match (args.arrived_from, args.arrived_before) {
        (None, None) => None,
        (from, before) => Some(from.unwrap_or(args.start)..before.unwrap_or(end)),
    };
    let mut settings = WorldSettings {
        scale: args.scale,
        seed: args.seed,
        days_seed: args.days_seed,
        start: args.start,
        days: args.days,
        arrived,
        ..WorldSettings::default()
    };
    if let Some(threads) = args.threads {
        settings.threads = threads;
    }
    if !settings.scale.is_finite() || settings.scale <= 0.0 {
        return Err(Error::Usage("--scale: give a number above 0".into()));
    }
    let summary = generate_into(&lake, &settings).await?;
    print(summary)
}
