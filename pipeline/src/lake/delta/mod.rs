//! Published tables: Delta Lake logs over files that the sink has written.

mod commit;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use deltalake_core::kernel::transaction::TransactionError;
use deltalake_core::kernel::{Add, Metadata};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::protocol::checkpoints::create_checkpoint;
use deltalake_core::table::state::DeltaTableState;
use deltalake_core::{DeltaTable, DeltaTableError};
use object_store::ObjectMeta;
use object_store::prefix::PrefixStore;
use serde_json::Value;

use super::{DataFile, Lake};
use crate::{Context, Error, Result};

pub use commit::{Publication, Replace, TableWrite, append};

/// Tags of an `add` action that keep what Delta has no place for.
const FOOTER_TAG: &str = "strata.footer";
const WRITER_TAG: &str = "strata.writer";
const WEIGHT_TAG: &str = "strata.weight";

/// A published table at one version.
#[derive(Clone, Debug)]
pub struct TableSnapshot {
    /// Version of the Delta log.
    pub version: i64,
    /// All columns, partition columns included.
    pub schema: SchemaRef,
    /// Columns whose values are not in the files but in [`DataFile::partition`].
    pub partition_by: Vec<String>,
    /// The files, sorted by path.
    pub files: Vec<DataFile>,
    metadata: Metadata,
}

impl TableSnapshot {
    /// The files that are gone, or have another size than the log says, as after a cleanup by another program. Looked
    /// up by one listing of the table's folder.
    pub async fn missing(&self, lake: &Lake, name: &str) -> Result<Vec<&DataFile>> {
        missing(lake, name, &self.files).await
    }
}

/// Those of a table's files that are not there in full.
async fn missing<'a>(lake: &Lake, name: &str, files: &'a [DataFile]) -> Result<Vec<&'a DataFile>> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let there = lake.sizes(&table_prefix(name)).await?;
    Ok(files.iter().filter(|file| there.get(&file.path) != Some(&file.bytes)).collect())
}

/// The folder of a published table, relative to the lake. Files that are to be published lie below it.
pub fn table_prefix(name: &str) -> String {
    format!("published/{name}")
}

/// Where the log of a published table lies.
fn log_folder(name: &str) -> String {
    format!("{}/_delta_log", table_prefix(name))
}

/// The newest version of a published table; `None` when there is no such table.
pub async fn table_version(lake: &Lake, name: &str) -> Result<Option<i64>> {
    Ok(LogFiles::list(lake, name).await?.newest())
}

/// The published table at `version`, or at its newest version; `None` if the table does not exist.
///
/// # Errors
/// [`Error::Usage`] for a version that was cleaned up; any other when a commit that the version is made of is gone, empty,
/// which Delta itself takes for a commit of nothing, or cut.
pub async fn files_at(lake: &Lake, name: &str, version: Option<i64>) -> Result<Option<TableSnapshot>> {
    let log = LogFiles::list(lake, name).await?;
    let lost = |commit: String| {
        Error::other(format!(
            "table `{name}` cannot be read: {}{commit} is gone, empty or cut, as after a loss of power\nhelp: bring the file \
             back, or run again: the next run says what is lost, and publishes the table again",
            lake.url()
        ))
    };
    if let Some(commit) = log.damage(version) {
        return Err(lost(commit));
    }
    match (files_as_listed(lake, name, version).await, version.or(log.newest())) {
        (Err(error), Some(version)) => Err(log.torn(lake, version).await?.map_or(error, lost)),
        (found, _) => found,
    }
}

/// As [`files_at`], but an empty commit changes nothing.
pub async fn files_as_listed(lake: &Lake, name: &str, version: Option<i64>) -> Result<Option<TableSnapshot>> {
    let table = Table::at(lake, name)?;
    let version = version.map(u64::try_from).transpose().context(format!("version of table {name}"))?;
    let Some(state) = table.load(version).await? else {
        return Ok(None);
    };
    Ok(Some(TableSnapshot {
        version: signed(state.version())?,
        schema: state.snapshot().arrow_schema(),
        partition_by: state.metadata().partition_columns().iter().map(ToString::to_string).collect(),
        files: table.files(&state),
        metadata: state.metadata().clone(),
    }))
}

/// What the log of a table has files for.
#[derive(Debug)]
pub struct LogFiles {
    folder: String,
    /// With their versions.
    files: Vec<(i64, ObjectMeta)>,
    /// Versions of which there is a whole checkpoint.
    checkpoints: BTreeSet<i64>,
    /// Versions of which there is a commit, and whether it holds anything.
    commits: BTreeMap<i64, bool>,
}

impl LogFiles {
    pub async fn list(lake: &Lake, name: &str) -> Result<LogFiles> {
        let folder = log_folder(name);
        let mut log =
            LogFiles { folder, files: Vec::new(), checkpoints: BTreeSet::new(), commits: BTreeMap::new() };
        let mut parts: BTreeMap<(i64, usize), usize> = BTreeMap::new();
        for meta in lake.list(&log.folder).await? {
            let Some((version, rest)) = meta.location.filename().and_then(|name| name.split_once('.')) else {
                continue;
            };
            let Ok(version) = version.parse() else { continue };
            let holds = meta.size > 0;
            match rest.split('.').collect::<Vec<_>>().as_slice() {
                ["json"] => {
                    log.commits.insert(version, holds);
                }
                // of several parts, or of one, named by an id or not
                ["checkpoint", _, of, "parquet"] if holds => {
                    let of = of.parse().unwrap_or(usize::MAX);
                    let listed = parts.entry((version, of)).or_default();
                    *listed += 1;
                    if *listed == of {
                        log.checkpoints.insert(version);
                    }
                }
                ["checkpoint", .., "parquet" | "json"] if holds => {
                    log.checkpoints.insert(version);
                }
                _ => {}
            }
            log.files.push((version, meta));
        }
        Ok(log)
    }

    /// The newest version; `None` if the table does not exist.
    pub fn newest(&self) -> Option<i64> {
        self.commits.last_key_value().map(|(version, _)| *version).max(self.checkpoints.last().copied())
    }

    /// The earliest version that can still be read.
    pub fn first_readable(&self) -> Option<i64> {
        let first_commit = self.commits.contains_key(&0).then_some(0);
        first_commit.or(self.checkpoints.first().copied())
    }

    /// The first missing or empty commit that reading `version` (default: the newest) needs. Neither a version that was cleaned
    /// up nor a table that does not exist counts as damaged.
    pub fn damage(&self, version: Option<i64>) -> Option<String> {
        let version = version.unwrap_or(self.newest()?);
        if self.first_readable().is_some_and(|first| version < first) {
            return None;
        }
        let lost = self.since_checkpoint(version).find(|version| self.commits.get(version) != Some(&true))?;
        Some(self.commit(lost))
    }

    /// Where the commit of a version lies.
    fn commit(&self, version: i64) -> String {
        format!("{}/{version:020}.json", self.folder)
    }

    /// The first commit that reading `version` needs and that cannot be parsed.
    pub async fn torn(&self, lake: &Lake, version: i64) -> Result<Option<String>> {
        for version in self.since_checkpoint(version) {
            let commit = self.commit(version);
            if lake.get(&commit).await?.is_some_and(|body| is_torn(&body)) {
                return Ok(Some(commit));
            }
        }
        Ok(None)
    }

    /// The versions from the newest checkpoint before `version` to it.
    fn since_checkpoint(&self, version: i64) -> RangeInclusive<i64> {
        self.checkpoints.range(..=version).next_back().map_or(0, |checkpoint| checkpoint + 1)..=version
    }

    /// The files that reading version `oldest` and later ones does not need: all before the newest checkpoint that is not
    /// later than `oldest`.
    pub fn before(&self, oldest: i64) -> Vec<ObjectMeta> {
        let Some(checkpoint) = self.checkpoints.range(..=oldest).next_back() else { return Vec::new() };
        let outdated = self.files.iter().filter(|(version, _)| version < checkpoint);
        outdated.map(|(_, meta)| meta.clone()).collect()
    }
}

/// Makes empty commits of those since the newest checkpoint that are gone or cannot be parsed, without which the log could
/// be read no further. What a commit held moves to `torn/`. To be called by the holder of the lake's lock.
pub async fn mend_log(lake: &Lake, name: &str) -> Result<()> {
    let log = LogFiles::list(lake, name).await?;
    let Some(newest) = log.newest() else { return Ok(()) };
    for version in log.since_checkpoint(newest) {
        let commit = log.commit(version);
        match lake.get(&commit).await? {
            None => {
                lake.create(&commit, "".into()).await?;
            }
            Some(body) if !body.is_empty() && is_torn(&body) => {
                lake.put(&torn_path(name, &commit), body).await?;
                lake.put(&commit, "".into()).await?;
            }
            Some(_) => continue,
        }
        tracing::warn!(table = name, commit, "a lost commit counts as empty");
    }
    Ok(())
}

/// Moves a whole log that cannot be read to `torn/`. To be called by the holder of the lake's lock.
async fn set_aside_log(lake: &Lake, name: &str) -> Result<()> {
    tracing::warn!(table = name, "no version can be read: the log is set aside and the table begins again");
    for (_, meta) in LogFiles::list(lake, name).await?.files {
        let Some(path) = lake.relative(&meta.location) else { continue };
        let body = lake.get(path).await?.unwrap_or_default();
        lake.put(&torn_path(name, path), body).await?;
        lake.delete(path).await?;
    }
    let hint = format!("{}/_last_checkpoint", log_folder(name));
    if lake.get(&hint).await?.is_some() {
        lake.delete(&hint).await?;
    }
    Ok(())
}

/// Whether a commit holds no action, or something else.
fn is_torn(body: &[u8]) -> bool {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let actions: Vec<_> = lines.map(serde_json::from_slice::<Value>).collect();
    actions.is_empty() || !actions.iter().all(std::result::Result::is_ok)
}

/// Where a commit lies that was set aside.
fn torn_path(name: &str, commit: &str) -> String {
    format!("{}/torn/{}", table_prefix(name), commit.rsplit('/').next().unwrap_or_default())
}

/// Sets the newest commit of a table aside when it was torn by a loss of power, so that the version before it is the
/// newest again, and returns where it lies now. To be called by the holder of the lake's lock.
pub async fn set_aside_torn_commit(lake: &Lake, name: &str) -> Result<Option<String>> {
    let listed = lake.list(&log_folder(name)).await?;
    let commits = listed.iter().filter_map(|meta| lake.relative(&meta.location));
    let is_commit = |path: &&str| {
        let stem = path.rsplit('/').next().and_then(|file| file.strip_suffix(".json"));
        stem.is_some_and(|stem| stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let Some(newest) = commits.filter(is_commit).max() else { return Ok(None) };
    let body = lake.get(newest).await?.unwrap_or_default();
    if !is_torn(&body) {
        return Ok(None);
    }
    let aside = torn_path(name, newest);
    lake.put(&aside, body).await?;
    lake.delete(newest).await?;
    Ok(Some(aside))
}

/// The log of one table, over the lake's own store.
struct Table {
    name: String,
    prefix: String,
    log: LogStoreRef,
}

impl Table {
    fn at(lake: &Lake, name: &str) -> Result<Table> {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(Error::Usage(format!("`{name}` is no table name; use letters, digits and `_`")));
        }
        let prefix = table_prefix(name);
        let url = lake.url().join(&format!("{prefix}/")).context(format!("location of table {name}"))?;
        let folder = Arc::new(PrefixStore::new(lake.store().clone(), lake.path(&prefix)));
        let log = default_logstore(folder, lake.store().clone(), &url, &StorageConfig::default());
        Ok(Table { name: name.to_owned(), prefix, log })
    }

    async fn exists(&self) -> Result<bool> {
        self.log.is_delta_table_location().await.map_err(|e| self.error("looking for", e))
    }

    /// Writes a checkpoint at `version`, from which on the commits before it are not needed.
    async fn write_checkpoint(&self, version: i64) -> Result<()> {
        let mut table = DeltaTable::new(self.log.clone());
        let version = u64::try_from(version).context("version of a table")?;
        table.load_version(version).await.map_err(|e| self.error("reading", e))?;
        create_checkpoint(&table, None).await.map_err(|e| self.error("writing a checkpoint of", e))
    }

    async fn load(&self, version: Option<u64>) -> Result<Option<DeltaTableState>> {
        if !self.exists().await? {
            return Ok(None);
        }
        let state = DeltaTableState::try_new(self.log.as_ref(), version).await;
        state.map(Some).map_err(|error| match version {
            Some(version) => Error::Usage(format!(
                "table `{}` cannot be read at version {version}; was it removed by a cleanup? ({error})",
                self.name
            )),
            None => self.error("reading", error),
        })
    }

    fn files(&self, state: &DeltaTableState) -> Vec<DataFile> {
        // the action itself is the only way to the tags
        #[allow(deprecated)]
        let adds = state.log_data().into_iter().map(|view| view.add_action());
        let mut files: Vec<DataFile> = adds.map(|add| self.data_file(add)).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    fn data_file(&self, add: Add) -> DataFile {
        let tags = add.tags.unwrap_or_default();
        let tag = |name: &str| tags.get(name).cloned().flatten().unwrap_or_default();
        let stats = add.stats.unwrap_or_default();
        let parsed = serde_json::from_str::<Value>(&stats).unwrap_or_default();
        let rows = parsed.get("numRecords").and_then(Value::as_u64).unwrap_or_default();
        DataFile {
            path: format!("{}/{}", self.prefix, add.path),
            partition: add.partition_values.into_iter().collect(),
            rows,
            bytes: u64::try_from(add.size).unwrap_or_default(),
            weight: tag(WEIGHT_TAG).parse().unwrap_or(rows),
            writer: tag(WRITER_TAG),
            footer: tag(FOOTER_TAG),
            stats,
            ..DataFile::default()
        }
    }

    /// A failed operation on the table. Losing a race against another writer is [`Error::Locked`].
    fn error(&self, doing: &str, error: DeltaTableError) -> Error {
        let lost = match &error {
            DeltaTableError::VersionAlreadyExists(_) => true,
            DeltaTableError::Transaction { source } => matches!(
                source,
                TransactionError::MaxCommitAttempts(_)
                    | TransactionError::CommitConflict(_)
                    | TransactionError::VersionAlreadyExists(_)
            ),
            _ => false,
        };
        if lost {
            return Error::Locked(format!(
                "table `{}` was changed by another writer during this run; run again ({error})",
                self.name
            ));
        }
        Error::Other { context: format!("{doing} table `{}`", self.name), source: error.into() }
    }
}

fn signed(version: u64) -> Result<i64> {
    i64::try_from(version).context("version of a table")
}
