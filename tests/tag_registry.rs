//! The registry of tags: a rule that changes is a new version, and what earlier runs published stays; a tag that is forgotten on its
//! way to the customers is refused.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use crate::support::project::{refusal, write};
use crate::support::world::{rows, small_lake};
use crate::support::{ok, text};

/// A project of the retailer's SQL with other settings.
fn settings(folder: &Path, lines: &str) {
    write(
        folder,
        &[("project.toml", &format!("name = \"shop\"\nextends = \"retail\"\n\n[settings]\n{lines}\n"))],
    );
}

#[test]
fn a_changed_threshold_makes_a_version_and_earlier_results_stay() {
    let project = tempfile::tempdir().unwrap();
    let lake = small_lake();
    let run = |as_of: &str| {
        ok(&["run", "--project", text(project.path()), "--lake", text(lake.path()), "--as-of", as_of]);
    };
    let tags = "select customer_id, tag, value from customer_tags where as_of = '2025-02-09T16:00:00' order by customer_id, tag";
    let registry =
        "select tag, rule_version, thresholds, definition, valid_since, customers_given from tag_registry
        where as_of = '2025-02-09T16:00:00' order by tag";
    settings(project.path(), "dormant_days = 20");
    run("2025-02-10");
    let before = (rows(lake.path(), tags), rows(lake.path(), registry));
    assert!(before.0.len() > 600 && before.1.len() > 10);
    run("2025-02-15");
    settings(project.path(), "dormant_days = 30");
    run("2025-02-20");
    assert_eq!((rows(lake.path(), tags), rows(lake.path(), registry)), before);

    let versions = rows(
        lake.path(),
        "select tag, count(distinct rule_version) as versions, count(*) as runs,
            cast(max(case when as_of = '2025-02-14T16:00:00' then valid_since end) as varchar) as second,
            cast(max(case when as_of = '2025-02-19T16:00:00' then valid_since end) as varchar) as third,
            max(case when as_of = '2025-02-19T16:00:00' then thresholds end) as thresholds
        from tag_registry group by tag order by tag",
    );
    for tag in &versions {
        let uses_it = tag["thresholds"].as_str().unwrap().contains("dormant_days=30");
        assert_eq!(tag["runs"], 3);
        assert_eq!(tag["second"], "2025-02-09T16:00:00Z", "{tag}");
        if uses_it {
            assert_eq!(
                (&tag["versions"], tag["third"].as_str().unwrap()),
                (&2.into(), "2025-02-19T16:00:00Z"),
                "{tag}"
            );
        }
        if tag["tag"] == "rfm_type" {
            assert_eq!(
                (&tag["versions"], tag["third"].as_str().unwrap()),
                (&1.into(), "2025-02-09T16:00:00Z"),
                "{tag}"
            );
        }
    }
    let changed = versions.iter().filter(|tag| tag["versions"] == 2).count();
    assert!(0 < changed && changed < versions.len(), "{versions:#?}");
    // The first run again finds what it found.
    settings(project.path(), "dormant_days = 20");
    run("2025-02-10");
    assert_eq!((rows(lake.path(), tags), rows(lake.path(), registry)), before);
}

#[test]
fn every_tag_must_reach_the_customers() {
    let project = tempfile::tempdir().unwrap();
    settings(project.path(), "dormant_days = 20");
    let stage = "-- A greeting.\n-- grain: customer_id\n-- store: table\n-- tag_greeting: base level (any) | Greeting | 问候 | the \
                 same for all\nselect\n    customer_id,\n    'hello' as greeting\nfrom identity.persons\n";
    write(project.path(), &[("tags/greeting.sql", stage)]);
    let said = refusal(project.path());
    assert!(said.contains("'greeting' is missing") && said.contains("customer_tags.sql"), "{said}");
}

#[test]
fn everyone_is_given_a_tag_or_it_is_withheld_or_unknown() {
    let registry = rows(
        crate::support::world::small_run(),
        "select tag, title, title_zh, layer, type, domain, definition, owner, privacy, purposes, needs, status, reason, customers,
            customers_given + customers_withheld + customers_unknown as told, customers_given, customers_withheld,
            customers_unknown, withheld_share
        from tag_registry order by tag",
    );
    let granted = rows(
        crate::support::world::small_run(),
        "select purpose, count(*) as customers from identity.person_consents where granted group by purpose",
    );
    for tag in &registry {
        for column in ["title", "title_zh", "layer", "type", "domain", "definition", "owner", "privacy"] {
            assert!(tag[column].as_str().is_some_and(|text| !text.is_empty()), "{column} of {tag}");
        }
        // the generated world has all that tags need but coupons
        let expected = if tag["needs"].as_str().is_some_and(|needs| needs.contains("coupons")) {
            ("unavailable", Some("lacks coupons"))
        } else {
            ("available", None)
        };
        assert_eq!((tag["status"].as_str().unwrap(), tag["reason"].as_str()), expected, "{tag}");
        assert_eq!(tag["told"], tag["customers"], "{tag}");
        let purpose = &tag["purposes"];
        let asked = granted.iter().find(|row| row["purpose"] == *purpose);
        let allowed = asked.map_or(tag["customers"].as_i64(), |row| row["customers"].as_i64());
        let withheld = tag["customers"].as_i64().unwrap() - allowed.unwrap();
        assert_eq!(tag["customers_withheld"], withheld, "{tag}");
        assert!(tag["customers_unknown"].as_i64() >= Some(0), "{tag}");
        assert!(*purpose == "" || asked.is_some(), "{tag}");
    }
    assert!(
        registry
            .iter()
            .any(|tag| tag["purposes"] == "marketing" && tag["customers_withheld"].as_i64() > Some(0))
    );
}
