//! Revisions of functions: numbers that are raised by hand when a function gives other results than before,
//! so that what was computed by it is computed again, and nothing else is.
//!
//! `tests/revisions.txt` pins what each function gives; a test fails when that changes and the revision does
//! not.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::{all_aggregate, all_scalar};

/// Functions that have given other results before, and their revision; that of all others is 1.
const RAISED: &[(&str, u32)] = &[];

/// Packages whose released data or tables decide what a function gives: another version counts as another
/// revision.
const DATA: &[(&str, &[&str])] = &[
    ("day_start", &["chrono-tz"]),
    ("fold_width", &["unicode-normalization"]),
    ("latin_name", &["hanconv", "pinyin", "unicode-normalization"]),
    ("local_date", &["chrono-tz"]),
    ("local_dow", &["chrono-tz"]),
    ("local_hour", &["chrono-tz"]),
    ("normalize_email", &["unicode-normalization"]),
    ("normalize_name", &["hanconv", "unicode-normalization"]),
    ("normalize_phone", &["rlibphonenumber", "unicode-normalization"]),
    ("parse_date", &["unicode-normalization"]),
    ("split_address", &["unicode-normalization"]),
    ("text_aspects", &["hanconv", "jieba-rs"]),
    ("text_sentiment", &["hanconv", "jieba-rs"]),
    ("to_money", &["unicode-normalization"]),
    ("week_hours", &["chrono-tz"]),
];

static REVISIONS: LazyLock<BTreeMap<String, u32>> = LazyLock::new(|| {
    let scalars = all_scalar().into_iter().map(|function| function.name().to_string());
    let aggregates = all_aggregate().into_iter().map(|function| function.name().to_string());
    let raised: BTreeMap<&str, u32> = RAISED.iter().copied().collect();
    let revision = |name: &str| raised.get(name).copied().unwrap_or(1);
    scalars.chain(aggregates).map(|name| (name.clone(), revision(&name))).collect()
});

/// The revision of every function by its name; aliases are not listed.
pub fn revisions() -> &'static BTreeMap<String, u32> {
    &REVISIONS
}

/// The packages whose data decide what a function gives, by their names on crates.io.
pub fn data_packages(function: &str) -> &'static [&'static str] {
    DATA.iter().find(|(name, _)| *name == function).map_or(&[], |(_, packages)| packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_functions_that_exist_have_revisions_and_data() {
        let listed = RAISED.iter().map(|(name, _)| *name).chain(DATA.iter().map(|(name, _)| *name));
        for name in listed {
            assert!(REVISIONS.contains_key(name), "there is no function {name}");
        }
        assert!(RAISED.iter().all(|(_, revision)| *revision > 1));
    }
}
