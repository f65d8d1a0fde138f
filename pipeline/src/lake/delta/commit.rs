//! Commits: which files a table holds from now on, in one atomic step.

use std::collections::{BTreeSet, HashMap};

use arrow::datatypes::Schema;
use chrono::Utc;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties, TableReference};
use deltalake_core::kernel::{Action, Add, Protocol, Remove, StructType, Transaction};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;

use super::schema::{changed_metadata, check_evolution, delta_schema, metadata};
use super::{FOOTER_TAG, LogFiles, Table, TableSnapshot, WEIGHT_TAG, WRITER_TAG, signed};
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

/// How often a commit is tried on top of what others committed meanwhile.
const ATTEMPTS: usize = 5;

/// What one table is to hold from now on, checked but not committed.
pub struct Publication {
    lake: Lake,
    table: Table,
    schema: StructType,
    partition_by: Vec<String>,
    /// Everything the table is to hold.
    files: Vec<DataFile>,
    application: String,
    epoch: i64,
    replace: Replace,
}

impl Publication {
    /// Makes ready that `write.files` replace what `replace` names of `base`, the table as readers see it (`None` for a
    /// table that they do not see yet). Whatever else was committed since, as by a run that died, is undone by the
    /// commit. Commits nothing.
    ///
    /// # Errors
    /// [`Error::Usage`] for a change of columns that readers would notice, unless allowed.
    pub fn prepare(
        lake: &Lake,
        write: &TableWrite<'_>,
        replace: &Replace,
        base: Option<&TableSnapshot>,
    ) -> Result<Publication> {
        let table = Table::at(lake, write.name)?;
        let schema = delta_schema(write.name, write.schema, write.partition_by)?;
        let mut files: Vec<DataFile> = write.files.iter().filter(|file| !file.quarantined).cloned().collect();
        if let Some(stray) = files.iter().find(|file| !replace.covers(file)) {
            return Err(Error::other(format!(
                "{} does not belong to the replaced partition ({replace:?})",
                stray.path
            )));
        }
        for file in &files {
            table.relative(file)?;
        }
        if let Some(base) = base {
            let whole = *replace == Replace::All;
            check_evolution(
                write.name,
                &base.metadata,
                &schema,
                write.partition_by,
                whole,
                write.allow_breaking,
            )?;
            files.extend(base.files.iter().filter(|file| !replace.covers(file)).cloned());
        }
        Ok(Publication {
            lake: lake.clone(),
            table,
            schema,
            partition_by: write.partition_by.to_vec(),
            files,
            application: write.txn.0.to_owned(),
            epoch: write.txn.1,
            replace: replace.clone(),
        })
    }

    /// Looks whether every file is there and whether the table's log can be written.
    ///
    /// # Errors
    /// [`Error::Contract`] where writing is denied; any other where a file is gone.
    pub async fn check(&self) -> Result<()> {
        let name = &self.table.name;
        if let Some(gone) = super::missing(&self.lake, name, &self.files).await?.first() {
            return Err(Error::other(format!(
                "table `{name}`: {}{} is gone or was replaced since it was written; another program may have cleaned \
                 up\nhelp: run again: what is missing is computed again",
                self.lake.url(),
                gone.path
            )));
        }
        if self.table.exists().await? {
            let probe = format!("{}/_delta_log/_strata_probe", self.table.prefix);
            self.lake.put(&probe, "".into()).await?;
            self.lake.delete(&probe).await?;
        }
        Ok(())
    }

    /// Commits, and returns the version that holds exactly what was made ready; where the table holds just that already,
    /// nothing is committed. Each attempt reads the newest version, then asks `fence`, then commits on exactly that
    /// version.
    ///
    /// # Errors
    /// [`Error::Locked`] when a later epoch has written to the table, or others keep committing; what `fence` says.
    pub async fn commit(&self, fence: impl AsyncFn() -> Result<()>) -> Result<i64> {
        let mut failed: Option<Error> = None;
        let mut left = ATTEMPTS;
        loop {
            let state = self.table.newest(&self.lake).await?;
            let (actions, operation) = match &state {
                Some(state) => {
                    self.table.refuse_later_epoch(state, &self.application, self.epoch).await?;
                    let actions = self.difference(state)?;
                    if actions.is_empty() {
                        return self.table.committed(&self.lake, signed(state.version())?).await;
                    }
                    (actions, self.overwrite())
                }
                None => self.table.creation(&self.lake, &self.schema, &self.partition_by, &self.files)?,
            };
            if left == 0 {
                return Err(failed.unwrap_or_else(|| Error::other("a commit was never tried")));
            }
            fence().await?;
            let txn = (self.application.as_str(), self.epoch);
            match self.table.commit(state.as_ref(), actions, operation, txn).await {
                Ok(version) => return self.table.committed(&self.lake, version).await,
                // a commit may stand although its answer was lost, which the next look shows; others' commits are tried
                // against several times, what fails otherwise once more
                Err(error) => {
                    left = match (&error, &failed) {
                        (Error::Locked(_), _) => left - 1,
                        (_, None | Some(Error::Locked(_))) => left.min(2) - 1,
                        _ => 0,
                    };
                    failed = Some(error);
                }
            }
        }
    }

    /// What turns the newest version of the table into what was made ready.
    fn difference(&self, newest: &DeltaTableState) -> Result<Vec<Action>> {
        let changed =
            changed_metadata(&self.table.name, newest.metadata(), &self.schema, &self.partition_by)?;
        let present = self.table.files(newest);
        let (old, new) = (paths(present.iter()), paths(self.files.iter()));
        let mut actions: Vec<Action> = changed.map(Action::Metadata).into_iter().collect();
        for file in present.iter().filter(|file| !new.contains(file.path.as_str())) {
            actions.push(Action::Remove(self.table.remove(file)?));
        }
        for file in self.files.iter().filter(|file| !old.contains(file.path.as_str())) {
            actions.push(Action::Add(self.table.add(file)?));
        }
        Ok(actions)
    }

    fn overwrite(&self) -> DeltaOperation {
        let predicate = match &self.replace {
            Replace::All => None,
            Replace::Partition { column, value: Some(value) } => {
                Some(format!("{column} = '{}'", value.replace('\'', "''")))
            }
            Replace::Partition { column, value: None } => Some(format!("{column} is null")),
        };
        DeltaOperation::Write { mode: SaveMode::Overwrite, partition_by: by(&self.partition_by), predicate }
    }
}

/// Adds `write.files` to the table in one commit on top of version `base` (`None`: the table does not exist yet), and
/// returns the version that holds them.
///
/// # Errors
/// [`Error::Locked`] when the table is not at `base` any more or a later epoch has written to it; what `fence` says.
pub async fn append(
    lake: &Lake,
    write: &TableWrite<'_>,
    base: Option<i64>,
    fence: impl AsyncFn() -> Result<()>,
) -> Result<i64> {
    let table = Table::at(lake, write.name)?;
    let schema = delta_schema(write.name, write.schema, write.partition_by)?;
    let files: Vec<DataFile> = write.files.iter().filter(|file| !file.quarantined).cloned().collect();
    let wanted = paths(files.iter());
    let mut failed = None;
    loop {
        let state = table.newest(lake).await?;
        let version = state.as_ref().map(|state| signed(state.version())).transpose()?;
        if let (Some(state), Some(version)) = (&state, version) {
            let present = table.files(state);
            if wanted.is_subset(&paths(present.iter())) {
                return table.committed(lake, version).await;
            }
            table.refuse_later_epoch(state, write.txn.0, write.txn.1).await?;
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if version != base {
            return Err(Error::Locked(format!(
                "table `{}` was changed by another writer during this run; run again",
                write.name
            )));
        }
        let (actions, operation) = match &state {
            None => table.creation(lake, &schema, write.partition_by, &files)?,
            Some(state) => {
                check_evolution(
                    write.name,
                    state.metadata(),
                    &schema,
                    write.partition_by,
                    false,
                    write.allow_breaking,
                )?;
                let changed = changed_metadata(write.name, state.metadata(), &schema, write.partition_by)?;
                let added = files.iter().map(|file| table.add(file).map(Action::Add));
                let actions = changed.map(Action::Metadata).into_iter().map(Ok).chain(added);
                let mode = SaveMode::Append;
                let operation =
                    DeltaOperation::Write { mode, partition_by: by(write.partition_by), predicate: None };
                (actions.collect::<Result<_>>()?, operation)
            }
        };
        fence().await?;
        match table.commit(state.as_ref(), actions, operation, write.txn).await {
            Ok(version) => return table.committed(lake, version).await,
            // it may stand although its answer was lost: one more look tells
            Err(error) => failed = Some(error),
        }
    }
}

impl Table {
    /// The newest version. A commit that was torn by a loss of power is set aside first, and lost ones before it
    /// count as empty. Where nothing can be read even so, the table begins again.
    async fn newest(&self, lake: &Lake) -> Result<Option<DeltaTableState>> {
        let mut loaded = self.load(None).await;
        if loaded.is_err()
            && let Some(aside) = super::set_aside_torn_commit(lake, &self.name).await?
        {
            tracing::warn!(table = self.name, aside, "the newest commit is torn and was set aside");
            loaded = self.load(None).await;
        }
        if loaded.is_ok() {
            return loaded;
        }
        super::mend_log(lake, &self.name).await?;
        let loaded = self.load(None).await;
        if loaded.is_err() && LogFiles::list(lake, &self.name).await?.damage(None).is_some() {
            super::set_aside_log(lake, &self.name).await?;
            return self.load(None).await;
        }
        loaded
    }

    /// A version that was committed, and that can be read: a checkpoint takes the place of commits that are lost.
    async fn committed(&self, lake: &Lake, version: i64) -> Result<i64> {
        if let Some(lost) = LogFiles::list(lake, &self.name).await?.damage(Some(version)) {
            tracing::warn!(table = self.name, lost, "a commit is lost; a checkpoint takes its place");
            self.write_checkpoint(version).await?;
        }
        Ok(version)
    }

    /// Refuses to write after a later epoch has written: that one's holder has taken over.
    async fn refuse_later_epoch(&self, state: &DeltaTableState, application: &str, epoch: i64) -> Result<()> {
        let recorded = state.transaction_version(self.log.as_ref(), application).await;
        let recorded = recorded.map_err(|e| self.error("reading", e))?;
        match recorded.filter(|&recorded| recorded > epoch) {
            None => Ok(()),
            Some(later) => Err(Error::Locked(format!(
                "table `{}` already holds write {later} of `{application}`, later than this one ({epoch}): another run \
                 has taken over",
                self.name
            ))),
        }
    }

    /// The actions that create the table with these files.
    fn creation(
        &self,
        lake: &Lake,
        schema: &StructType,
        partition_by: &[String],
        files: &[DataFile],
    ) -> Result<(Vec<Action>, DeltaOperation)> {
        // readers of version 1 and writers of version 2: no optional feature
        let protocol: Protocol =
            serde_json::from_value(serde_json::json!({"minReaderVersion": 1, "minWriterVersion": 2}))
                .context("protocol of a new table")?;
        let metadata = metadata(&self.name, schema, partition_by)?;
        let mut actions = vec![Action::Protocol(protocol.clone()), Action::Metadata(metadata.clone())];
        for file in files {
            actions.push(Action::Add(self.add(file)?));
        }
        let location = lake.url().join(&format!("{}/", self.prefix)).context("location of a new table")?;
        let operation =
            DeltaOperation::Create { mode: SaveMode::ErrorIfExists, location, protocol, metadata };
        Ok((actions, operation))
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

fn by(columns: &[String]) -> Option<Vec<String>> {
    Some(columns.to_vec()).filter(|columns| !columns.is_empty())
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
