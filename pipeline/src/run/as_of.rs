//! `--as-of`: a date, an instant, or the newest day that every clock source has.

use std::collections::BTreeSet;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Offset, SecondsFormat, TimeZone, Utc};
use chrono_tz::Tz;
use datafusion::common::ScalarValue;
use datafusion::datasource::provider_as_source;
use datafusion::functions_aggregate::expr_fn::{count, max};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit};

use super::Sources;
use super::raw::{SourceFiles, find_undecodable};
use super::tables::source_table;
use crate::engine::Engine;
use crate::lake::Lake;
use crate::project::{Project, Relation, Source, Store};
use crate::{Context, Error, Result};

/// What the user asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum AsOf {
    /// The first instant of a day in the project's time zone.
    Date(NaiveDate),
    Instant(DateTime<Utc>),
    /// The instant after the newest day by now that is present in every clock source.
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

/// Where `--as-of` is looked up: a project, the lake's raw files, and the machine's clock.
#[derive(Clone, Copy)]
pub struct Clocks<'a> {
    pub project: &'a Project,
    pub engine: &'a Engine,
    pub lake: &'a Lake,
    pub sources: &'a Sources,
    /// Rows of later events never make `latest`.
    pub now: DateTime<Utc>,
}

impl AsOf {
    /// The instant meant.
    ///
    /// # Errors
    /// [`Error::Contract`] when no row of a clock source happened by now, [`Error::Usage`] without a clock source.
    pub async fn resolve(&self, clocks: Clocks<'_>) -> Result<DateTime<Utc>> {
        match self {
            AsOf::Date(date) => Ok(day_start(*date, clocks.project.time_zone)),
            AsOf::Instant(instant) => Ok(*instant),
            AsOf::Latest => clocks.latest().await,
        }
    }
}

impl Clocks<'_> {
    async fn latest(&self) -> Result<DateTime<Utc>> {
        let project = self.project;
        let mut newest: Option<NaiveDate> = None;
        for source in project.sources.values().filter(|source| source.clock && !source.absent) {
            let files = self.files(source);
            let day = blamed(self.newest_day(source, &files).await, self.lake, source, &files).await?;
            let Some(day) = day else {
                return Err(Error::Contract(format!(
                    "cannot resolve `latest`: every row of source `{}` is dated in the future or has no `{}`; the machine's \
                     clock says {}\nhelp: deliver rows that have happened, set the clock, or give --as-of a date",
                    source.name,
                    source.event_time.as_deref().unwrap_or_default(),
                    seconds(self.now)
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

    fn files(&self, source: &Source) -> SourceFiles {
        self.sources.get(&source.name).cloned().unwrap_or_default()
    }

    /// The newest local day of the rows that have happened by now, and before they became known. Sources that come by day
    /// are read from the newest folder on, until one has such a row; files of which all rows are later are not read.
    async fn newest_day(&self, source: &Source, files: &SourceFiles) -> Result<Option<NaiveDate>> {
        let Some(event) = &source.happened else {
            return Err(Error::Usage(format!(
                "{}: a clock source needs `event_time` in its header\nhelp: name the column that says when a row happened",
                source.file
            )));
        };
        let now = self.now.timestamp_micros();
        let happened = &event.instant;
        let mut usable = happened.clone().lt_eq(micros(now));
        if let Some(ingested) = &source.became_known {
            let known = &ingested.instant;
            usable = usable.and(happened.clone().lt_eq(known.clone()).or(known.clone().is_null()));
        }
        let begun = files.only(|file| file.event.is_none_or(|(first, _)| first <= now));
        let days: BTreeSet<Option<NaiveDate>> = begun.files.iter().map(|file| file.day).collect();
        for day in days.into_iter().rev() {
            let of_day = begun.only(|file| file.day == day);
            let newest = self.figure(source, &of_day, usable.clone(), max(happened.clone())).await?;
            if let Some(instant) = newest.and_then(DateTime::from_timestamp_micros) {
                let offset = self.project.time_zone.offset_from_utc_datetime(&instant.naive_utc()).fix();
                return Ok(instant.naive_utc().checked_add_offset(offset).map(|local| local.date()));
            }
        }
        Ok(None)
    }

    /// An aggregate of the chosen rows.
    async fn figure(
        &self,
        source: &Source,
        files: &SourceFiles,
        chosen: Expr,
        figure: Expr,
    ) -> Result<Option<i64>> {
        let table = source_table(self.lake, source, files, None, None)?;
        let plan = LogicalPlanBuilder::scan(&source.name, provider_as_source(table), None)
            .and_then(|scan| scan.filter(chosen))
            .and_then(|rows| rows.aggregate(Vec::<Expr>::new(), vec![figure]))
            .and_then(LogicalPlanBuilder::build)
            .context(format!("cannot look at the times of {}", source.name))?;
        self.engine.scalar_i64(&plan).await
    }

    /// For each source with rows of events later than now: a line that counts them, with the latest and its file. Files
    /// whose statistics, or whose folders' days where they keep none, show no such row are not read.
    pub async fn future_rows(&self) -> Result<Vec<String>> {
        let now = self.now.timestamp_micros();
        let mut lines = Vec::new();
        for source in self.project.sources.values().filter(|source| !source.absent) {
            let Some(event) = &source.happened else { continue };
            let mut files = self.files(source);
            files.files.retain(|file| match (file.event, file.day) {
                (Some((_, last)), _) => last > now,
                (None, Some(day)) => day_start(day, source.time_zone) > self.now,
                (None, None) => file.rows != Some(0),
            });
            let Some(file) = files.files.iter().max_by_key(|file| file.event.map(|(_, last)| last)) else {
                continue;
            };
            let later = event.instant.clone().gt(micros(now));
            let rows = self.figure(source, &files, later.clone(), count(lit(1))).await;
            let rows = blamed(rows, self.lake, source, &files).await?.unwrap_or_default();
            if rows > 0 {
                let newest = match file.event {
                    Some((_, last)) if files.files.iter().all(|file| file.event.is_some()) => Some(last),
                    _ => self.figure(source, &files, later, max(event.instant.clone())).await?,
                };
                let place = match files.files.iter().all(|file| file.event.is_some()) {
                    true => format!(" (file {})", file.relative),
                    false => String::new(),
                };
                let rows = if rows == 1 { "1 row is".to_string() } else { format!("{rows} rows are") };
                lines.push(format!(
                    "warning: source `{}`: {rows} dated after the machine's clock ({}), the last `{}` is \
                     {}{place}; no such row makes `latest`",
                    source.name,
                    seconds(self.now),
                    event.text,
                    newest.and_then(DateTime::from_timestamp_micros).map(seconds).unwrap_or_default()
                ));
            }
        }
        Ok(lines)
    }
}

/// When a look at a source fails because a file cannot be decoded, that file is the answer.
async fn blamed<T>(found: Result<T>, lake: &Lake, source: &Source, files: &SourceFiles) -> Result<T> {
    if found.as_ref().is_err_and(|error| error.exit_code() == 1) {
        find_undecodable(lake, source, files).await?;
    }
    found
}

fn micros(instant: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(instant), None))
}

fn seconds(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Refuses an instant within a day where a source has days, or feeds a daily stage, but does not say at what time its rows
/// became known or happened: what comes later on that day could not be told from what came before.
///
/// # Errors
/// [`Error::Usage`] names the source, the stage and both ways out.
pub fn check_instant(project: &Project, as_of: DateTime<Utc>) -> Result<()> {
    let day = as_of.with_timezone(&project.time_zone).date_naive();
    if day_start(day, project.time_zone) == as_of {
        return Ok(());
    }
    for stage in project.stages.iter().filter(|stage| stage.store != Store::View) {
        for relation in project.stored_inputs(&stage.name) {
            let Relation::Source(name) = relation else { continue };
            let source = project.sources.get(&name).filter(|source| !source.absent);
            let Some(source) = source else { continue };
            let says = match source.known_by().next() {
                Some(known) if !known.day_only => continue,
                Some(known) => format!("says only the day on which its rows happened (`{}`)", known.text),
                // rows without any time, as those of a list of products, are known for good
                None if stage.store != Store::Daily && source.day.is_none() => continue,
                None => "does not say when its rows happened".to_string(),
            };
            return Err(Error::Usage(format!(
                "--as-of {}: the instant lies within a day, but source `{name}` {says}, so that `{}` could not leave out what \
                 came later that day\nhelp: give a date (--as-of {day}), or name a TIMESTAMP by `-- event_time: COLUMN` or \
                 `-- ingested_at: COLUMN` in {}",
                as_of.to_rfc3339_opts(SecondsFormat::AutoSi, true),
                stage.name,
                source.file
            )));
        }
    }
    Ok(())
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
