//! Fingerprints: a hash of all that a result depends on.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Kind, Project, Relation, Stage, Store};

/// The hash of what a result depends on: 32 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Fingerprint {
    /// Hashes parts in order; each part's length is hashed with it.
    pub fn of<T: AsRef<str>>(parts: impl IntoIterator<Item = T>) -> Fingerprint {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.as_ref().len() as u64).to_le_bytes());
            hasher.update(part.as_ref().as_bytes());
        }
        let digest = hasher.finalize();
        Fingerprint(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }
}

/// The hash, taken when the binary was built, of the function crate, the trainers and the engine's versions.
pub fn engine_hash() -> &'static str {
    env!("STRATA_ENGINE_HASH")
}

impl Project {
    /// The hash of a stage's or audit's own text and settings, inlined views included, inputs left out.
    pub fn definition(&self, name: &str) -> Fingerprint {
        let mut parts = vec![engine_hash().to_string()];
        if let Some(audit) = self.audit(name) {
            parts.push(audit.sql.canonical());
        }
        if let Some(stage) = self.stage(name) {
            parts.push(stage.sql.canonical());
            parts.push(stage.header_semantics());
        }
        for (used, relation) in self.inputs(name) {
            parts.push(used.clone());
            match relation {
                Relation::Stage(stage) if self.stage(stage).is_some_and(|s| s.store == Store::View) => {
                    parts.push(self.definition(stage).0);
                }
                Relation::Source(source) => {
                    parts.extend(self.sources.get(source).map(|s| format!("{} {}", s.canonical, s.absent)));
                }
                _ => {}
            }
        }
        Fingerprint::of(parts)
    }
}

impl Stage {
    /// What the header says about the result's rows and their order.
    fn header_semantics(&self) -> String {
        let kind = match &self.kind {
            Kind::Select => String::new(),
            Kind::Model { trainer, .. } => trainer.describe(),
            Kind::Fixpoint { start, max_rounds } => format!("fixpoint {start} {max_rounds}"),
        };
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {kind}",
            self.store, self.grain, self.day, self.quarantine, self.weight, self.partition_by
        )
    }
}
