//! The schema of a published table, and how it may change: new columns yes, others only when allowed.

use arrow::datatypes::Schema;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::{Metadata, MetadataExt, StructField, StructType, new_metadata};

use crate::lake::storage_schema;
use crate::{Context, Error, Result};

/// Settings of every table. Old versions stay readable until the lake's own cleanup removes them.
const SETTINGS: [(&str, &str); 2] =
    [("delta.checkpointInterval", "10"), ("delta.enableExpiredLogCleanup", "false")];

/// Characters that Delta does not take in a column name without column mapping.
const FORBIDDEN: &[char] = &[' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='];

/// The Delta schema of a relation.
pub(super) fn delta_schema(table: &str, schema: &Schema, partition_by: &[String]) -> Result<StructType> {
    let stored = storage_schema(schema, true);
    let refuse = |column: &str, why: &str| {
        Error::Usage(format!(
            "table `{table}`: column `{column}` cannot be published: {why}; rename or cast it"
        ))
    };
    let mut fields = Vec::<StructField>::new();
    for field in stored.fields() {
        if field.name().contains(FORBIDDEN) {
            return Err(refuse(field.name(), "its name holds a blank or one of ,;{}()="));
        }
        if field.data_type().is_null() {
            return Err(refuse(field.name(), "it has no type"));
        }
        fields.push(field.as_ref().try_into_kernel().map_err(|e| refuse(field.name(), &e.to_string()))?);
    }
    if let Some(missing) = partition_by.iter().find(|name| stored.field_with_name(name).is_err()) {
        return Err(Error::Usage(format!(
            "table `{table}`: partition column `{missing}` is not in the result"
        )));
    }
    StructType::try_new(fields).context(format!("schema of table `{table}`"))
}

/// The metadata of a new table.
pub(super) fn metadata(table: &str, schema: &StructType, partition_by: &[String]) -> Result<Metadata> {
    new_metadata(schema, partition_by, SETTINGS).context(format!("metadata of table `{table}`"))
}

/// Refuses a change of columns that readers of the table would notice. `present` is the table as readers see it.
///
/// A dropped or retyped column, or other partition columns, need `allow_breaking`; except for drops they also need
/// the whole table to be replaced, since the files that stay would not fit.
pub(super) fn check_evolution(
    table: &str,
    present: &Metadata,
    schema: &StructType,
    partition_by: &[String],
    whole: bool,
    allow_breaking: bool,
) -> Result<()> {
    let changes = Changes::between(&parse(table, present)?, schema);
    let repartitioned = present.partition_columns() != partition_by;
    let mut breaking = changes.breaking();
    if repartitioned {
        let from = present.partition_columns().iter().map(ToString::to_string).collect::<Vec<_>>();
        breaking.push(format!("partition by ({}) instead of ({})", partition_by.join(", "), from.join(", ")));
    }
    if !breaking.is_empty() && !allow_breaking {
        return Err(Error::Usage(format!(
            "table `{table}`: this run would {}; pass --allow-breaking if its readers can stand that",
            breaking.join(", ")
        )));
    }
    if !whole && (repartitioned || !changes.retyped.is_empty()) {
        return Err(Error::Usage(format!(
            "table `{table}`: this run would {}, but replaces only a part of the table; publish all of it",
            breaking.join(", ")
        )));
    }
    Ok(())
}

/// The metadata that a commit on top of `newest` must carry for the table to have this schema; `None` when it has it.
pub(super) fn changed_metadata(
    table: &str,
    newest: &Metadata,
    schema: &StructType,
    partition_by: &[String],
) -> Result<Option<Metadata>> {
    let changes = Changes::between(&parse(table, newest)?, schema);
    if newest.partition_columns() == partition_by && changes.is_empty() {
        return Ok(None);
    }
    let changed = metadata(table, schema, partition_by)?.with_table_id(newest.id().to_owned());
    changed.map(Some).context(format!("metadata of table `{table}`"))
}

fn parse(table: &str, metadata: &Metadata) -> Result<StructType> {
    metadata.parse_schema().context(format!("schema of table `{table}`"))
}

struct Changes {
    added: Vec<String>,
    dropped: Vec<String>,
    retyped: Vec<String>,
}

impl Changes {
    fn between(old: &StructType, new: &StructType) -> Changes {
        let mut changes = Changes { added: Vec::new(), dropped: Vec::new(), retyped: Vec::new() };
        for before in old.fields() {
            match new.field(before.name()) {
                None => changes.dropped.push(format!("drop column `{}`", before.name())),
                Some(after) if after.data_type() != before.data_type() => changes.retyped.push(format!(
                    "change column `{}` from {} to {}",
                    before.name(),
                    before.data_type(),
                    after.data_type()
                )),
                Some(_) => {}
            }
        }
        let added = new.fields().filter(|field| old.field(field.name()).is_none());
        changes.added = added.map(|field| field.name().to_owned()).collect();
        changes
    }

    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.dropped.is_empty() && self.retyped.is_empty()
    }

    fn breaking(&self) -> Vec<String> {
        self.dropped.iter().chain(&self.retyped).cloned().collect()
    }
}
