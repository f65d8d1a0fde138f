//! What a run says of itself: by which engine, version and options it was made.

use std::collections::BTreeMap;

use super::{RunOptions, StateOf};
use crate::engine::EngineOptions;

/// The program and what computes for it, with their versions.
pub fn version(options: &RunOptions) -> String {
    let own =
        format!("strata {} with datafusion {}", env!("CARGO_PKG_VERSION"), datafusion::DATAFUSION_VERSION);
    match options.engine.cluster {
        Some(_) => format!("{own} and ballista {}", ballista_core::BALLISTA_VERSION),
        None => own,
    }
}

/// The engine's name: `local` or `ballista`.
pub fn engine(options: &RunOptions) -> &'static str {
    if options.engine.cluster.is_some() { "ballista" } else { "local" }
}

/// How the run was made, by the names of its flags. Rows depend on none of them but `reset_state`, `as_known_then` and
/// `new_pseudonyms`, which say what a run takes over.
pub fn options(options: &RunOptions) -> BTreeMap<String, String> {
    // every field is named here, so that a new one cannot be forgotten
    let RunOptions {
        as_of: _,  // resolved: a column of its own
        now: _,    // decides which instant `latest` is
        select: _, // leaves no row in `runs`
        full_refresh,
        state,
        accept_drift,
        dry_run: _, // leaves no row in `runs`
        allow_breaking,
        engine:
            EngineOptions {
                memory_bytes,
                threads,
                batch_rows,
                spill_dir,
                cluster,
                local_below,
                job_timeout,
                secret: _,     // never told
                pseudonyms: _, // never told
            },
        stages_at_once,
        pseudonym_key: _, // its fingerprint is in the manifest
        new_pseudonyms,
        lock_timeout,
    } = options;
    let flag = |name: &str, set: bool| set.then(|| (name.to_string(), "true".to_string()));
    let mut told: BTreeMap<String, String> = [
        ("memory_bytes", memory_bytes.to_string()),
        ("threads", threads.to_string()),
        ("batch_rows", batch_rows.to_string()),
        ("stages_at_once", stages_at_once.to_string()),
        ("lock_timeout_s", lock_timeout.as_secs().to_string()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .into();
    told.extend(flag("full_refresh", *full_refresh));
    told.extend(flag("reset_state", *state == StateOf::Nothing));
    told.extend(flag("as_known_then", *state == StateOf::Then));
    told.extend(flag("new_pseudonyms", *new_pseudonyms));
    told.extend(flag("accept_drift", *accept_drift));
    told.extend(flag("allow_breaking", *allow_breaking));
    if let Some(folder) = spill_dir {
        told.insert("spill_dir".into(), folder.display().to_string());
    }
    if let Some(address) = cluster {
        // whatever stands before `@` is for the scheduler only
        let address = address.rsplit('@').next().unwrap_or_default();
        told.insert("cluster".into(), address.to_string());
        told.insert("local_below_bytes".into(), local_below.to_string());
        told.insert("job_timeout_s".into(), job_timeout.as_secs().to_string());
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_named_without_secrets() {
        let cluster = Some("user:secret@scheduler:50050".to_string());
        let made = RunOptions {
            full_refresh: true,
            engine: EngineOptions { cluster, ..EngineOptions::default() },
            ..RunOptions::default()
        };
        let told = options(&made);
        assert_eq!((engine(&made), told["cluster"].as_str()), ("ballista", "scheduler:50050"));
        assert_eq!(told["full_refresh"], "true");
        assert!(!told.contains_key("accept_drift"), "{told:?}");
        assert!(version(&made).contains(" ballista 55"), "{}", version(&made));
        assert!(!version(&RunOptions::default()).contains("ballista"));
    }
}
