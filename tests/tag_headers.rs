//! What headers declare as tags: refused with file, line and remedy, and read by stages as `$tags`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::support::project::{Wrong, tiny, tiny_lake, write};
use crate::support::{ok, text};

/// A stage of two tag columns under a header with `tags`.
fn stage(tags: &str) -> String {
    format!(
        "-- A stage.\n-- grain: customer\n-- store: table\n{tags}\nselect\n    customer,\n    sum(pieces) > $many as keen,\n    \
         max(pieces) as most\nfrom staging.sales\ngroup by customer\n"
    )
}

/// Settings of the tiny project with the one that the stage uses.
const SETTINGS: &str =
    "name = \"tiny\"\ntime_zone = \"UTC\"\n\n[settings]\nlarge = 100\nrate = 0.5\nmany = 4\n";

const KEEN: &str =
    "-- tag_keen: dimension flag | Keen | 热衷 | more than $many pieces | needs sales, returns";

#[test]
fn wrong_tags_are_refused() {
    let most = "-- tag_most: base number (0 to) | Most | 最多 | pieces at once";
    for (tags, message, place, marked, help) in [
        (
            "-- tag_kean: base flag | K | 热 | d",
            "`kean` is no column",
            ":4:4",
            "tag_kean",
            "did you mean `keen`?",
        ),
        (
            "-- tag_most: base flag | M | 多 | d",
            "`most` is a flag, but its column is",
            ":4:4",
            "tag_most",
            "boolean",
        ),
        (
            "-- tag_keen: base level | K | 热 | d",
            "is a level without a domain",
            ":4:19",
            "level",
            "level (any)",
        ),
        (
            "-- tag_keen: base flag | K | 热 | $mony",
            "setting `$mony`",
            ":4:34",
            "$mony",
            "did you mean `$many`?",
        ),
    ] {
        let sql = stage(tags);
        Wrong {
            files: &[("project.toml", SETTINGS), ("tags/x.sql", &sql)],
            message,
            place: &format!("tags/x.sql{place}"),
            marked,
            help,
        }
        .check();
    }
    let (first, second) = (stage(KEEN), stage(&format!("{most}\n{KEEN}")));
    Wrong {
        files: &[("project.toml", SETTINGS), ("tags/a.sql", &first), ("tags/b.sql", &second)],
        message: "tag `keen` is declared by `tags.a` already",
        place: "tags/b.sql:5:4",
        marked: "tag_keen",
        help: "keep one",
    }
    .check();
    Wrong {
        files: &[
            ("project.toml", &SETTINGS.replace("many", "tags")),
            ("tags/x.sql", &stage(KEEN).replace("$many", "$tags")),
        ],
        message: "`tags` is a parameter of every run",
        place: "project.toml:7:1",
        marked: "tags",
        help: "another name",
    }
    .check();
}

#[test]
fn stages_read_them_and_are_computed_anew_when_they_change_and_only_those() {
    let registry = "-- All tags.\n-- grain: as_of, tag\n-- store: table\nwith tags as (select unnest($tags) as t)\n\
                    select\n    $as_of as as_of,\n    t['tag'] as tag,\n    t['definition'] as definition,\n    \
                    t['missing'] as missing,\n    t['other_needs'] as other_needs,\n    \
                    t['rule_version'] as rule_version\nfrom tags\n";
    let tags = stage(KEEN);
    let project =
        tiny(&[("project.toml", SETTINGS), ("tags/x.sql", &tags), ("segments/tag_registry.sql", registry)]);
    let lake = tiny_lake();
    let run = || {
        ok(&["run", "--project", text(project.path()), "--lake", text(lake.path()), "--as-of", "2025-02-01"]);
        let query = "select definition, other_needs, missing, rule_version from tag_registry";
        let said = ok(&["sql", "--lake", text(lake.path()), "--format", "json", query]);
        let row: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
        let computed: Vec<String> = crate::support::world::last_run(lake.path())
            .stages
            .into_iter()
            .filter(|(_, run)| run.computed > 0)
            .map(|(name, _)| name)
            .collect();
        (row, computed)
    };
    let (first, _) = run();
    assert_eq!(first["definition"], "more than 4 pieces");
    assert_eq!(
        (first["other_needs"].to_string(), first["missing"].to_string()),
        (r#"["returns"]"#.into(), "[]".into())
    );
    // Words change no rule.
    write(project.path(), &[("tags/x.sql", &tags.replace("more than", "over"))]);
    let (second, computed) = run();
    assert_eq!(second["definition"], "over 4 pieces");
    assert_eq!(second["rule_version"], first["rule_version"]);
    assert_eq!(computed, ["segments.tag_registry"]);
    // A threshold does.
    write(project.path(), &[("project.toml", &SETTINGS.replace("many = 4", "many = 5"))]);
    let (third, computed) = run();
    assert_eq!(third["definition"], "over 5 pieces");
    assert_ne!(third["rule_version"], first["rule_version"]);
    assert_eq!(computed, ["segments.tag_registry", "tags.x"]);
}
