//! Published tables: Delta Lake logs over files that the sink has written.

mod commit;
mod schema;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::Add;
use deltalake_core::kernel::transaction::TransactionError;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::table::state::DeltaTableState;
use object_store::prefix::PrefixStore;
use serde_json::Value;

use super::{DataFile, Lake};
use crate::{Context, Error, Result};

pub use commit::{Replace, TableWrite, append, publish};

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
}

/// The folder of a published table, relative to the lake. Files that are to be published lie below it.
pub fn table_prefix(name: &str) -> String {
    format!("published/{name}")
}

/// The newest version of a published table; `None` when there is no such table.
pub async fn table_version(lake: &Lake, name: &str) -> Result<Option<i64>> {
    let table = Table::at(lake, name)?;
    if !table.exists().await? {
        return Ok(None);
    }
    let version = table.log.get_latest_version(0).await.map_err(|e| table.error("reading", e))?;
    signed(version).map(Some)
}

/// A published table at `version`, or at its newest; `None` when there is no such table. A version that is gone is
/// [`Error::Usage`].
pub async fn files_at(lake: &Lake, name: &str, version: Option<i64>) -> Result<Option<TableSnapshot>> {
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
    }))
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
