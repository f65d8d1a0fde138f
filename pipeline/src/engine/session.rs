//! Sessions: one configuration, one list of functions, one registry of stores.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::Result as DataFusionResult;
use datafusion::common::config::{ConfigNonZeroUsize, ConfigOptions};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::TrackConsumersPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;
use strata_udfs::text::{Pseudonym, PseudonymKeys};

use super::ballista::{self, ClusterSecret};
use super::filters::logical_rules;
use super::joins::JoinInPlace;
use super::lookup::LookupJoins;
use super::pool::HalfFairPool;
use super::row_number::HashRowNumber;
use crate::lake::{Lake, LakeStores, Stores};
use crate::{Context, Result};

/// How much of the machine the engine may use.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Resident memory that a run may reach, in bytes.
    pub memory_bytes: usize,
    /// Partitions that run at the same time.
    pub threads: usize,
    /// Rows a batch.
    pub batch_rows: usize,
    /// Folder for spilled data; the system's temporary folder when none is given.
    pub spill_dir: Option<PathBuf>,
    /// `host:port` of the scheduler of the cluster that runs the plans; this process when none is given.
    pub cluster: Option<String>,
    /// With a cluster: jobs that read fewer stored bytes than this are done in this process, where handing out tasks would take
    /// longer than the work.
    pub local_below: usize,
    /// How long a job may take on a cluster.
    pub job_timeout: Duration,
    /// The secret of that cluster.
    pub secret: Option<ClusterSecret>,
    /// The keys that `pseudonym` knows.
    pub pseudonyms: PseudonymKeys,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        EngineOptions {
            memory_bytes: 4 << 30,
            threads,
            batch_rows: 8192,
            spill_dir: None,
            cluster: None,
            local_below: 16 << 20,
            job_timeout: Duration::from_secs(3600),
            secret: None,
            pseudonyms: PseudonymKeys::default(),
        }
    }
}

/// Of the memory given, the share that the pool hands to operators; decoders, buffers and the allocator, which no pool
/// sees, take the rest.
pub(super) const POOL_SHARE: f64 = 0.6;

/// A side of a join is small when its stored bytes and its rows are at most these parts of the memory given.
const SMALL_SIDE_BYTES: usize = 64;
const SMALL_SIDE_ROWS: usize = 4096;

/// Spilled runs that are merged at once: a merge holds batches of each and may not be asked to give any back, and without a
/// limit it takes all the memory there is.
const RUNS_MERGED: usize = 16;

/// The same for a job that did not fit: its joins sort both sides, and all their merges hold memory at the same time.
const RUNS_MERGED_WHERE_SCARCE: usize = 4;

/// DataFusion's rule that chooses how to join; ours change joins after it.
pub(super) const JOIN_SELECTION: &str = "join_selection";

/// A state for planning without a lake: functions and settings, no store.
pub fn planning_state() -> Result<SessionState> {
    storeless_state(config(&EngineOptions::default())?)
}

/// The state of the engine in this process.
pub(super) fn local_state(lake: &Lake, options: &EngineOptions) -> Result<SessionState> {
    let pool_bytes = (options.memory_bytes as f64 * POOL_SHARE) as usize;
    let pool = TrackConsumersPool::new(HalfFairPool::new(pool_bytes), NonZeroUsize::MIN.saturating_add(2));
    let runtime = RuntimeEnvBuilder::new()
        .with_object_store_registry(Arc::new(Stores::default()))
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(spilling(options.spill_dir.clone()))
        .with_object_list_cache_limit(0)
        .build_arc()
        .context("cannot set up the engine")?;
    runtime.register_object_store(lake.object_store_url().as_ref(), lake.store().clone());
    let mut rules = optimizer_rules();
    let mut config = config(options)?;
    if options.cluster.is_some() {
        config = ballista::distributed(config);
        ballista::with_cluster_rules(&mut rules).context("cannot set up the engine")?;
    }
    rules.push(Arc::new(LookupJoins));
    let mut state = build_state(config, runtime, rules)?;
    let pseudonym = Pseudonym::with_keys(options.pseudonyms.clone());
    state.register_udf(Arc::new(pseudonym.into())).context("cannot register the functions")?;
    Ok(state)
}

/// Where rows are spilled: to this folder, or to the system's temporary one.
pub(super) fn spilling(folder: Option<PathBuf>) -> DiskManagerBuilder {
    let mode =
        folder.map_or(DiskManagerMode::OsTmpDirectory, |folder| DiskManagerMode::Directories(vec![folder]));
    DiskManagerBuilder::default().with_mode(mode).with_max_spill_merge_fan_in(RUNS_MERGED)
}

/// A state over no store, with a configuration made elsewhere: for planning, and for the sessions of a scheduler, which reads
/// no files.
pub(super) fn storeless_state(config: SessionConfig) -> Result<SessionState> {
    let runtime = RuntimeEnvBuilder::new()
        .with_object_store_registry(Arc::new(LakeStores::of(&[])))
        .build_arc()
        .context("cannot set up a session")?;
    build_state(config, runtime, optimizer_rules())
}

/// The same state with joins that sort and spill instead of hashing one side into memory, a few runs at a time.
pub(super) fn sorting_joins(state: &SessionState, options: &EngineOptions) -> DataFusionResult<SessionState> {
    let mut config = state.config().clone();
    config.options_mut().optimizer.prefer_hash_join = false;
    let spilled = spilling(options.spill_dir.clone()).with_max_spill_merge_fan_in(RUNS_MERGED_WHERE_SCARCE);
    let runtime =
        RuntimeEnv { disk_manager: Arc::new(spilled.build()?), ..state.runtime_env().as_ref().clone() };
    Ok(SessionStateBuilder::new_from_existing(state.clone())
        .with_config(config)
        .with_runtime_env(Arc::new(runtime))
        .build())
}

fn config(options: &EngineOptions) -> Result<SessionConfig> {
    let mut settings = ConfigOptions::new();
    settings.execution.target_partitions = options.threads.max(1);
    settings.execution.batch_size =
        ConfigNonZeroUsize::try_new(options.batch_rows.max(1)).context("cannot set the batch size")?;
    settings.execution.parquet.schema_force_view_types = false;
    settings.execution.parquet.pushdown_filters = false;
    settings.execution.collect_statistics = true;
    settings.sql_parser.map_string_types_to_utf8view = false;
    settings.sql_parser.collect_spans = true;
    settings.optimizer.prefer_hash_join = true;
    settings.optimizer.enable_dynamic_filter_pushdown = false;
    settings.optimizer.enable_join_dynamic_filter_pushdown = false;
    settings.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    settings.optimizer.enable_topk_dynamic_filter_pushdown = false;
    settings.optimizer.repartition_file_min_size = 1 << 20;
    // a side this small is hashed whole, and the other side stays where it lies
    settings.optimizer.hash_join_single_partition_threshold = options.memory_bytes / SMALL_SIDE_BYTES;
    settings.optimizer.hash_join_single_partition_threshold_rows = options.memory_bytes / SMALL_SIDE_ROWS;
    // no share of rows that a filter keeps is known: all may stay
    settings.optimizer.default_filter_selectivity = 100;
    // rows that lie together by day lie together by day and customer
    settings.optimizer.subset_repartition_threshold = 1;
    Ok(SessionConfig::from(settings))
}

/// DataFusion's rules, with ours that, before sorts and exchanges are placed, number rows by hashing and join rows where
/// they lie.
pub(super) fn optimizer_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let chosen = rules.iter().position(|rule| rule.name() == JOIN_SELECTION);
    rules.insert(chosen.map_or(0, |chosen| chosen + 1), Arc::new(JoinInPlace));
    rules.insert(0, Arc::new(HashRowNumber));
    rules
}

/// The one place where states are made and functions registered, for every session of every process.
fn build_state(
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
    rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>,
) -> Result<SessionState> {
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_optimizer_rules(logical_rules())
        .with_physical_optimizer_rules(rules);
    let mut state = state.build();
    strata_udfs::register(&mut state).context("cannot register the functions")?;
    Ok(state)
}
