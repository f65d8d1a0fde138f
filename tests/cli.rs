//! The commands as a new user types them.

use crate::support::world::small_run;
use crate::support::{fails, ok, text};

#[test]
fn sql_writes_every_format() {
    let lake = text(small_run());
    let query = "select count(*) as n from customer_360";
    assert!(ok(&["sql", "--lake", lake, query]).contains("| n "));
    assert!(ok(&["sql", "--lake", lake, query, "--format", "csv"]).starts_with("n\n"));
    assert!(ok(&["sql", "--lake", lake, query, "--format", "json"]).starts_with("{\"n\":"));
}

#[test]
fn unknown_things_are_refused_with_the_way_out() {
    let lake = text(small_run());
    assert!(fails(2, &["sql", "--lake", lake, "select nothing from segments"]).contains("segment_name"));
    assert!(fails(2, &["explain", "segments.segmets"]).contains("did you mean `segments.segments`"));
    assert!(fails(2, &["run", "--lake", lake, "--project", "no-such-project"]).contains("retail"));
}
