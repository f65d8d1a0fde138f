//! `--as-of`: a date, an instant, or the newest day that every clock source has.

use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use datafusion::datasource::provider_as_source;
use datafusion::functions_aggregate::expr_fn::max;
use datafusion::logical_expr::{LogicalPlanBuilder, cast, col};

use super::raw::{SourceFiles, find_undecodable};
use super::tables::source_table;
use crate::engine::Engine;
use crate::lake::Lake;
use crate::project::{Project, Source};
use crate::{Context, Error, Result};

/// What the user asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum AsOf {
    /// The first instant of a day in the project's time zone.
    Date(NaiveDate),
    Instant(DateTime<Utc>),
    /// The instant after the newest day present in every clock source.
    Latest,
}

impl FromStr for AsOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "latest" {
            return Ok(AsOf::Latest);
        }
        if let Ok(date) = text.parse::<NaiveDate>() {
            return Ok(AsOf::Date(date));
        }
        if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
            return Ok(AsOf::Instant(instant.with_timezone(&Utc)));
        }
        if let Ok(naive) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S") {
            return Ok(AsOf::Instant(naive.and_utc()));
        }
        Err(format!("`{text}` is no date (2025-01-31), no instant (2025-01-31T12:00:00Z) and not `latest`"))
    }
}

/// The first instant of `day` in `zone`; where clocks skip midnight, the first instant that exists.
pub fn day_start(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = day.and_time(chrono::NaiveTime::MIN);
    (0..=24)
        .find_map(|quarter| {
            let local = midnight.checked_add_signed(chrono::Duration::minutes(15 * quarter))?;
            zone.from_local_datetime(&local).earliest()
        })
        .map_or_else(|| midnight.and_utc(), |instant| instant.with_timezone(&Utc))
}

impl AsOf {
    /// The instant meant, in µs since 1970 UTC.
    pub async fn resolve(
        &self,
        project: &Project,
        engine: &Engine,
        lake: &Lake,
        sources: &super::Sources,
    ) -> Result<DateTime<Utc>> {
        match self {
            AsOf::Date(date) => Ok(day_start(*date, project.time_zone)),
            AsOf::Instant(instant) => Ok(*instant),
            AsOf::Latest => latest(project, engine, lake, sources).await,
        }
    }
}

async fn latest(
    project: &Project,
    engine: &Engine,
    lake: &Lake,
    sources: &super::Sources,
) -> Result<DateTime<Utc>> {
    let mut newest: Option<NaiveDate> = None;
    for source in project.sources.values().filter(|source| source.clock && !source.absent) {
        let files = sources.get(&source.name).cloned().unwrap_or_default();
        let day = match newest_day(project, engine, lake, source, &files).await {
            Err(error) if error.exit_code() == 1 => {
                find_undecodable(lake, source, &files).await?;
                Err(error)
            }
            found => found,
        };
        let Some(day) = day? else {
            return Err(Error::Contract(format!(
                "source `{}` is a clock but holds no row that is not future-dated\nhelp: deliver rows, or give --as-of a date",
                source.name
            )));
        };
        newest = Some(newest.map_or(day, |known| known.min(day)));
    }
    let day = newest.ok_or_else(|| {
        Error::Usage(
            "--as-of latest: no source of the project is marked `clock: true`\nhelp: give --as-of a date"
                .into(),
        )
    })?;
    Ok(day_start(day.succ_opt().unwrap_or(day), project.time_zone))
}

/// The newest local day of the rows that are not future-dated. Sources that come by day are read from the newest
/// folder on, until one has such a row.
async fn newest_day(
    project: &Project,
    engine: &Engine,
    lake: &Lake,
    source: &Source,
    files: &SourceFiles,
) -> Result<Option<NaiveDate>> {
    let Some(event_time) = &source.event_time else {
        return Err(Error::Usage(format!(
            "{}: a clock source needs `event_time` in its header\nhelp: name the column that says when a row happened",
            source.file
        )));
    };
    let mut days: Vec<Option<NaiveDate>> = files.files.iter().map(|file| file.day).collect();
    days.sort();
    days.dedup();
    for day in days.into_iter().rev() {
        let of_day = SourceFiles { files: files.files.iter().filter(|f| f.day == day).cloned().collect() };
        let table = source_table(lake, source, &of_day, None, None)?;
        let scan = LogicalPlanBuilder::scan(&source.name, provider_as_source(Arc::clone(&table)), None);
        let plan = scan
            .and_then(|plan| match &source.ingested_at {
                Some(ingested_at) => plan.filter(col(event_time.as_str()).lt_eq(col(ingested_at.as_str()))),
                None => Ok(plan),
            })
            .and_then(|plan| {
                plan.aggregate(
                    Vec::<datafusion::logical_expr::Expr>::new(),
                    vec![max(cast(
                        col(event_time.as_str()),
                        DataType::Timestamp(TimeUnit::Microsecond, None),
                    ))],
                )
            })
            .and_then(LogicalPlanBuilder::build)
            .context(format!("cannot find the newest day of {}", source.name))?;
        if let Some(micros) = engine.scalar_i64(&plan).await? {
            let Some(instant) = DateTime::from_timestamp_micros(micros) else { continue };
            let local = instant
                .naive_utc()
                .checked_add_offset(project.time_zone.offset_from_utc_datetime(&instant.naive_utc()).fix());
            return Ok(local.map(|local| local.date()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dates_instants_and_latest() {
        assert_eq!("latest".parse(), Ok(AsOf::Latest));
        assert_eq!("2025-01-31".parse(), Ok(AsOf::Date(NaiveDate::from_ymd_opt(2025, 1, 31).unwrap())));
        let instant: AsOf = "2025-01-31T08:00:00+08:00".parse().unwrap();
        assert_eq!(instant, "2025-01-31T00:00:00Z".parse().unwrap());
        assert!("31.1.2025".parse::<AsOf>().unwrap_err().contains("2025-01-31"));
    }

    #[test]
    fn a_day_starts_at_local_midnight_or_the_first_instant_after_a_gap() {
        let day = NaiveDate::from_ymd_opt(2025, 1, 31).unwrap();
        assert_eq!(day_start(day, chrono_tz::Asia::Shanghai).to_rfc3339(), "2025-01-30T16:00:00+00:00");
        let gap = NaiveDate::from_ymd_opt(2018, 11, 4).unwrap();
        assert_eq!(day_start(gap, chrono_tz::America::Sao_Paulo).to_rfc3339(), "2018-11-04T03:00:00+00:00");
    }
}
