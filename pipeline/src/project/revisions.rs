//! Revisions: what of the program itself decides a result. They are raised by hand where they are stated, and
//! `tests/revisions.txt` pins what each gives, so that none can be forgotten.

use std::collections::BTreeMap;

use crate::{engine, lake, trainer};

/// What of the program decides results, by what uses it. A result depends only on what it uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revisions {
    /// Of each function of our own, by name; with the versions of the packages whose data it uses.
    pub functions: BTreeMap<String, String>,
    /// Of each kind of model stage.
    pub trainers: BTreeMap<String, String>,
    /// Of the engine: our own rules, and the released versions of what plans and computes.
    pub engine: String,
    /// Of what writes results.
    pub sink: String,
    /// Version of the IANA time zone data.
    pub time_zones: String,
}

impl Revisions {
    /// Those of this program.
    pub fn current() -> Revisions {
        let functions = strata_udfs::revisions().iter().map(|(name, revision)| {
            let packages = strata_udfs::data_packages(name)
                .iter()
                .filter_map(|package| locked(package).map(String::from));
            let text = std::iter::once(revision.to_string()).chain(packages).collect::<Vec<_>>().join(", ");
            (name.clone(), text)
        });
        let trainers =
            trainer::REVISIONS.iter().map(|(kind, revision)| (kind.to_string(), revision.to_string()));
        Revisions {
            functions: functions.collect(),
            trainers: trainers.collect(),
            engine: format!(
                "{}, datafusion {}, arrow {}",
                engine::REVISION,
                datafusion::DATAFUSION_VERSION,
                arrow::ARROW_VERSION
            ),
            sink: format!("{}, {}", lake::SINK_REVISION, locked("parquet").unwrap_or("parquet")),
            time_zones: chrono_tz::IANA_TZDB_VERSION.to_string(),
        }
    }
}

/// A package and its locked version; `None` for one whose version the build does not note.
fn locked(package: &str) -> Option<&'static str> {
    let mut noted = env!("STRATA_LOCKED").split(',');
    noted.find(|noted| noted.split(' ').next() == Some(package))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_notes_every_package_whose_data_decide_results() {
        assert!(locked("parquet").is_some());
        for name in strata_udfs::revisions().keys() {
            for package in strata_udfs::data_packages(name).iter().filter(|package| **package != "chrono-tz")
            {
                assert!(locked(package).is_some(), "{package}, used by {name}, is not in build.rs");
            }
        }
        let current = Revisions::current();
        assert!(current.functions["normalize_phone"].starts_with("1, rlibphonenumber "), "{current:?}");
        assert!(current.engine.contains("datafusion 55"), "{current:?}");
    }

    #[test]
    fn every_trainer_has_a_revision() {
        let kinds: Vec<&str> = trainer::REVISIONS.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, super::super::stage::TRAINERS);
    }
}
