//! Commits: which files a table holds from now on, in one atomic step.

use std::collections::{BTreeSet, HashMap};

use arrow::datatypes::Schema;
use chrono::Utc;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties, TableReference};
use deltalake_core::kernel::{Action, Add, Protocol, Remove, StructType, Transaction};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;

use super::schema::{delta_schema, evolve, metadata};
use super::{FOOTER_TAG, Table, WEIGHT_TAG, WRITER_TAG, signed};
use crate::lake::{DataFile, Lake};
use crate::{Context, Error, Result};

/// What a table is to hold.
#[derive(Clone, Copy, Debug)]
pub struct TableWrite<'a> {
    /// Name of the table.
    pub name: &'a str,
    /// All columns of the result, partition columns included, in order.
    pub schema: &'a Schema,
    /// Partition columns, as the sink was told.
    pub partition_by: &'a [String],
    /// Files that the sink wrote below [`super::table_prefix`] with `delta_types`; quarantined ones are left out.
    pub files: &'a [DataFile],
    /// The application and its own version number of this write, recorded in the log (Delta's `txn` action).
    pub txn: (&'a str, i64),
    /// Whether columns may be dropped or retyped.
    pub allow_breaking: bool,
}

/// What a publication replaces.
#[derive(Clone, Debug, PartialEq)]
pub enum Replace {
    /// The whole table.
    All,
    /// The rows of one partition value, written as in [`DataFile::partition`].
    Partition {
        /// The partition column.
        column: String,
        /// Its value.
        value: Option<String>,
    },
}

impl Replace {
    fn covers(&self, file: &DataFile) -> bool {
        match self {
            Replace::All => true,
            Replace::Partition { column, value } => file.partition.get(column) == Some(value),
        }
    }
}

/// Makes `write.files` the content of the table, or of one partition value, in one commit, and returns the version
/// that holds them. The table is created when there is none. When it holds exactly these files already nothing is
/// committed. Another commit in between is [`Error::Locked`]; a change of columns that readers would notice is
/// [`Error::Usage`] unless allowed.
pub async fn publish(lake: &Lake, write: &TableWrite<'_>, replace: &Replace) -> Result<i64> {
    let table = Table::at(lake, write.name)?;
    let schema = delta_schema(write.name, write.schema, write.partition_by)?;
    let files: Vec<&DataFile> = write.files.iter().filter(|file| !file.quarantined).collect();
    if let Some(stray) = files.iter().find(|file| !replace.covers(file)) {
        return Err(Error::other(format!(
            "{} does not belong to the replaced partition ({replace:?})",
            stray.path
        )));
    }
    let Some(state) = table.load(None).await? else {
        return table.create(lake, write, &schema, &files).await;
    };
    let whole = *replace == Replace::All;
    let changed =
        evolve(write.name, state.metadata(), &schema, write.partition_by, whole, write.allow_breaking)?;
    let present: Vec<DataFile> =
        table.files(&state).into_iter().filter(|file| replace.covers(file)).collect();
    let (old, new) = (paths(present.iter()), paths(files.iter().copied()));
    if changed.is_none() && old == new {
        return signed(state.version());
    }
    let mut actions: Vec<Action> = changed.map(Action::Metadata).into_iter().collect();
    for file in present.iter().filter(|file| !new.contains(file.path.as_str())) {
        actions.push(Action::Remove(table.remove(file)?));
    }
    for file in files.iter().filter(|file| !old.contains(file.path.as_str())) {
        actions.push(Action::Add(table.add(file)?));
    }
    let predicate = match replace {
        Replace::All => None,
        Replace::Partition { column, value: Some(value) } => {
            Some(format!("{column} = '{}'", value.replace('\'', "''")))
        }
        Replace::Partition { column, value: None } => Some(format!("{column} is null")),
    };
    let operation = DeltaOperation::Write { mode: SaveMode::Overwrite, partition_by: by(write), predicate };
    table.commit(Some(&state), actions, operation, write.txn).await
}

/// Adds `write.files` to the table in one commit and returns the version, creating the table when there is none. The
/// `txn` that the table recorded last adds nothing; an earlier one of the same application is [`Error::Locked`].
pub async fn append(lake: &Lake, write: &TableWrite<'_>) -> Result<i64> {
    let table = Table::at(lake, write.name)?;
    let schema = delta_schema(write.name, write.schema, write.partition_by)?;
    let files: Vec<&DataFile> = write.files.iter().filter(|file| !file.quarantined).collect();
    let Some(state) = table.load(None).await? else {
        return table.create(lake, write, &schema, &files).await;
    };
    let (application, version) = write.txn;
    let recorded = state.transaction_version(table.log.as_ref(), application).await;
    let recorded = recorded.map_err(|e| table.error("reading", e))?;
    if recorded == Some(version) {
        return signed(state.version());
    }
    if let Some(later) = recorded.filter(|&recorded| recorded > version) {
        return Err(Error::Locked(format!(
            "table `{}` already holds write {later} of `{application}`, later than this one ({version}): another run \
             has taken over, or the lake's `locks` folder was removed",
            write.name
        )));
    }
    let changed =
        evolve(write.name, state.metadata(), &schema, write.partition_by, false, write.allow_breaking)?;
    let mut actions: Vec<Action> = changed.map(Action::Metadata).into_iter().collect();
    for file in files {
        actions.push(Action::Add(table.add(file)?));
    }
    let operation =
        DeltaOperation::Write { mode: SaveMode::Append, partition_by: by(write), predicate: None };
    table.commit(Some(&state), actions, operation, write.txn).await
}

impl Table {
    async fn create(
        &self,
        lake: &Lake,
        write: &TableWrite<'_>,
        schema: &StructType,
        files: &[&DataFile],
    ) -> Result<i64> {
        // readers of version 1 and writers of version 2: no optional feature
        let protocol: Protocol =
            serde_json::from_value(serde_json::json!({"minReaderVersion": 1, "minWriterVersion": 2}))
                .context("protocol of a new table")?;
        let metadata = metadata(write.name, schema, write.partition_by)?;
        let mut actions = vec![Action::Protocol(protocol.clone()), Action::Metadata(metadata.clone())];
        for file in files {
            actions.push(Action::Add(self.add(file)?));
        }
        let location = lake.url().join(&format!("{}/", self.prefix)).context("location of a new table")?;
        let operation =
            DeltaOperation::Create { mode: SaveMode::ErrorIfExists, location, protocol, metadata };
        self.commit(None, actions, operation, write.txn).await
    }

    /// Commits on top of exactly the version that was read. What follows a commit (a checkpoint) may fail without
    /// harm: the commit stands.
    pub(super) async fn commit(
        &self,
        read: Option<&DeltaTableState>,
        actions: Vec<Action>,
        operation: DeltaOperation,
        (application, version): (&str, i64),
    ) -> Result<i64> {
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_cleanup_expired_logs(Some(false))
            .with_application_transaction(Transaction::new(application, version));
        let commit = CommitBuilder::from(properties).with_actions(actions).build(
            read.map(|state| state as &dyn TableReference),
            self.log.clone(),
            operation,
        );
        let failed = |error| self.error("committing to", error);
        let prepared = commit.into_prepared_commit_future().await.map_err(failed)?;
        let committed = prepared.await.map_err(failed)?;
        let version = signed(committed.version)?;
        if let Err(error) = committed.await {
            tracing::warn!(table = self.name, version, %error, "committed, but without a checkpoint");
        }
        Ok(version)
    }

    fn add(&self, file: &DataFile) -> Result<Add> {
        let tags = [
            (FOOTER_TAG, file.footer.clone()),
            (WRITER_TAG, file.writer.clone()),
            (WEIGHT_TAG, file.weight.to_string()),
        ];
        Ok(Add {
            path: self.relative(file)?,
            partition_values: partition_values(file),
            size: size(file)?,
            modification_time: Utc::now().timestamp_millis(),
            data_change: true,
            stats: Some(file.stats.clone()),
            tags: Some(tags.into_iter().map(|(tag, value)| (tag.to_owned(), Some(value))).collect()),
            ..Add::default()
        })
    }

    fn remove(&self, file: &DataFile) -> Result<Remove> {
        Ok(Remove {
            path: self.relative(file)?,
            data_change: true,
            deletion_timestamp: Some(Utc::now().timestamp_millis()),
            extended_file_metadata: Some(true),
            partition_values: Some(partition_values(file)),
            size: Some(size(file)?),
            ..Remove::default()
        })
    }

    /// Path of a file relative to the table.
    fn relative(&self, file: &DataFile) -> Result<String> {
        let relative = file.path.strip_prefix(&self.prefix).and_then(|path| path.strip_prefix('/'));
        let relative = relative.ok_or_else(|| {
            Error::other(format!(
                "{} does not lie below {}: write it there to publish it",
                file.path, self.prefix
            ))
        })?;
        Ok(relative.to_owned())
    }
}

fn by(write: &TableWrite<'_>) -> Option<Vec<String>> {
    Some(write.partition_by.to_vec()).filter(|columns| !columns.is_empty())
}

fn paths<'a>(files: impl Iterator<Item = &'a DataFile>) -> BTreeSet<&'a str> {
    files.map(|file| file.path.as_str()).collect()
}

fn partition_values(file: &DataFile) -> HashMap<String, Option<String>> {
    file.partition.iter().map(|(column, value)| (column.clone(), value.clone())).collect()
}

fn size(file: &DataFile) -> Result<i64> {
    i64::try_from(file.bytes).context(format!("size of {}", file.path))
}
