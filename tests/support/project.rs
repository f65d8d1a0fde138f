//! Tiny projects in temporary folders.

use std::path::Path;

use tempfile::TempDir;

use super::{run, text};

/// A project of one CSV source, one staging stage and one published stage, which extends nothing.
const TINY: &[(&str, &str)] = &[
    ("project.toml", "name = \"tiny\"\ntime_zone = \"UTC\"\n\n[settings]\nlarge = 100\nrate = 0.5\n"),
    (
        "raw/sales.sql",
        "-- What was sold.\n\
         -- grain: id\n\
         -- event_time: sold_at\n\
         -- clock: true\n\
         create external table raw.sales (\n    id bigint,\n    customer varchar,\n    amount double,\n    pieces int,\n    \
         sold_at timestamp(6)\n)\n\
         stored as csv\n\
         location 'raw/sales/'\n",
    ),
    (
        "staging/sales.sql",
        "-- One row per sale.\n\
         -- grain: id\n\
         -- store: table\n\
         select\n    id,\n    customer,\n    cast(amount as decimal(18, 2)) as amount,\n    pieces\n\
         from raw.sales\n\
         where pieces < $large and amount * $rate < 1e9\n",
    ),
    (
        "segments/spend.sql",
        "-- What each customer spent.\n\
         -- grain: as_of, customer\n\
         -- store: table\n\
         select\n    customer,\n    $as_of as as_of,\n    sum(amount) as amount\n\
         from staging.sales\n\
         where customer is not null\n\
         group by customer\n",
    ),
];

/// The tiny project with these files added or replaced.
pub fn tiny(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), TINY);
    write(folder.path(), files);
    folder
}

/// The text of one file of the tiny project.
pub fn tiny_file(path: &str) -> &'static str {
    TINY.iter().find(|(name, _)| *name == path).expect("a file of the tiny project").1
}

/// Writes a project's files.
pub fn write(folder: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }
}

/// The files of the built-in project that follow segments of every family over time.
pub const FAMILIES_OVER_TIME: &[&str] = &[
    "raw/segment_names.sql",
    "staging/rule_segments.sql",
    "staging/segment_names.sql",
    "segments/names.sql",
    "segments/family_history.sql",
    "segments/family_members.sql",
    "segments/segment_membership.sql",
    "segments/segment_flows.sql",
    "segments/segment_migration.sql",
    "segments/segment_lineage.sql",
    "audits/segments_lineage_complete.sql",
    "audits/segments_membership_continuous.sql",
    "audits/segments_migration_sums_up.sql",
];

/// Copies files of the built-in project into another one.
pub fn take(folder: &Path, paths: &[&str]) {
    for path in paths {
        let content =
            std::fs::read_to_string(super::repository().join("sql/retail").join(path)).expect("a file");
        write(folder, &[(path, &content)]);
    }
}

/// A lake with three sales of two customers.
pub fn tiny_lake() -> TempDir {
    let lake = tempfile::tempdir().expect("a temporary folder");
    let sales = "id,customer,amount,pieces,sold_at\n\
                 1,ann,10.50,2,2025-01-01T10:00:00\n\
                 2,bob,3.25,5,2025-01-02T10:00:00\n\
                 3,ann,1.00,1,2025-01-03T10:00:00\n";
    write(lake.path(), &[("raw/sales/a.csv", sales)]);
    lake
}

/// What `strata check` says of a project that it must refuse, with the folder's path taken out.
pub fn refusal(project: &Path) -> String {
    let output = run(&["check", "--project", text(project)]);
    let said = String::from_utf8_lossy(&output.stderr).replace(&format!("{}/", text(project)), "");
    assert_eq!(
        output.status.code(),
        Some(2),
        "check said:\n{}{said}",
        String::from_utf8_lossy(&output.stdout)
    );
    said
}

/// One wrong file, and what the refusal says.
pub struct Wrong<'a> {
    /// Path and text of the file that replaces or joins those of the tiny project.
    pub files: &'a [(&'a str, &'a str)],
    pub message: &'a str,
    /// `file:line:column`.
    pub place: &'a str,
    /// The text that the caret underlines.
    pub marked: &'a str,
    pub help: &'a str,
}

impl Wrong<'_> {
    /// Checks that the project is refused just so.
    pub fn check(&self) {
        let project = tiny(self.files);
        let said = refusal(project.path());
        let lines: Vec<&str> = said.lines().collect();
        assert!(
            lines[0].starts_with("error: ") && lines[0].contains(self.message),
            "`{}` not in:\n{said}",
            self.message
        );
        let arrow = lines.iter().position(|line| line.trim_start().starts_with("-->")).expect("a place");
        assert_eq!(lines[arrow].trim_start().trim_start_matches("--> "), self.place, "place of:\n{said}");
        let shown = lines[arrow + 2].split_once(" | ").map_or("", |(_, text)| text);
        let carets = lines[arrow + 3].split_once(" | ").map_or("", |(_, text)| text);
        let from = carets.find('^').expect("a caret");
        let marked: String = shown.chars().skip(from).take(carets.matches('^').count()).collect();
        assert_eq!(marked, self.marked, "marked in:\n{said}");
        let help = lines[arrow + 4..].join("\n");
        assert!(
            help.contains("= help: ") && help.contains(self.help),
            "`{}` not in the help of:\n{said}",
            self.help
        );
    }
}
