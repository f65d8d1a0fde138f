//! Tables on object storage: the lake and its stores, the parallel sink, manifests of finished stages,
//! Delta commits, and the lock that one run holds.
//!
//! A lake is laid out as follows, every path relative to its URL:
//!
//! ```text
//! _strata.json                                     whose lake this is, and its layout version
//! locks/<epoch>.{json,beat,done}                   who may write
//! stages/_runs/<epoch>.json                        what the runs did
//! stages/<layer>/<stem>/data/<attempt>/...         files of stage results
//! stages/<layer>/<stem>/manifests/<fingerprint>.json    which files make up a result
//! stages/<layer>/<stem>/manifests/days/<attempt>.json   the same of the days that one job computed
//! stages/_files/<source>.json                      what earlier runs read of raw files
//! stages/redelivered/<source>/data/<attempt>/...   rows delivered again, while a run reads them
//! published/<table>/_delta_log/                    Delta logs
//! published/<table>/data/<attempt>/...             files of published tables
//! published/<table>/torn/...                       commits that a loss of power tore
//! **/*.broken                                      manifests that could not be read, set aside
//! ```

mod delta;
mod disk;
#[cfg(test)]
mod faults;
mod file;
mod footer;
mod heartbeat;
mod lake_stores;
mod lock;
mod manifest;
mod partition;
mod schema;
mod sink;
mod stats;
mod store;
mod writer;

pub use delta::{
    LogFiles, Publication, Replace, TableSnapshot, TableWrite, append, files_as_listed, files_at, mend_log,
    set_aside_torn_commit, table_prefix, table_version,
};
pub use disk::volatile;
pub use file::DataFile;
pub use footer::{footer_sha256, read_footer};
pub use lake_stores::LakeStores;
pub use lock::{LOCK_TIMEOUT, Lock};
pub use manifest::{
    DayResults, RUN_MANIFESTS, StageManifest, StoredManifest, read_or_set_aside, stage_data_prefix,
    stored_manifests,
};
pub use partition::{NULL_PARTITION, partition_folder, unescape};
pub use schema::storage_schema;
pub use sink::{SINK_REVISION, SinkExec, SinkSpec, name_writer, plan_sink, write_batches};
pub use store::{Lake, Stores, denied, is_denied, locate, store_error, store_for};
