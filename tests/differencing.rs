//! Portraits over time: what is published of several runs does not tell of a customer who came or left between them. The
//! attacker knows everything of everybody else, and compares any two runs.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::project::{FAMILIES_OVER_TIME, take, write};
use crate::support::world::rows;
use crate::support::{PSEUDONYM_KEY, strata, text};

/// A project whose customers are planted; portraits and segments over time are the built-in project's.
const PLANTED: &[(&str, &str)] = &[
    (
        "project.toml",
        r#"name = "planted"
time_zone = "UTC"

[settings]
migration_runs = 3
portrait_base = "known"
portrait_min_cell = 20
portrait_versions = 4
portrait_rounding = 5
portrait_z = 1.959963984540054
portrait_significance = 0.05
portrait_crossed = "gender, order_value"
portrait_contrasts = 5
heat_map_days = 90
earliest_date = "1900-01-01"
latest_date = "2200-01-01"
"#,
    ),
    (
        "raw/planted.sql",
        "-- The customers of a run.
-- grain: customer_id
create external table raw.planted (
    customer_id varchar,
    segment int,
    gender varchar,
    consent boolean,
    orders bigint,
    spend bigint,
    bought date,
    active date,
    hours bigint
)
stored as csv
location 'raw/planted/'
",
    ),
    (
        "identity/account_person.sql",
        "-- The id of each planted customer.
-- grain: account_id
-- store: table
select customer_id as account_id, pseudonym(customer_id, $pseudonym_key) as customer_id
from raw.planted
",
    ),
    (
        "segments/customer_360.sql",
        "-- The planted customers.
-- grain: as_of, customer_id
-- store: table
with dated as (
    select
        pseudonym(customer_id, $pseudonym_key) as customer_id,
        segment, gender, consent, orders, spend, bought, active, hours,
        cast(spend as double) / orders as order_value
    from raw.planted
)
select
    $as_of as as_of,
    customer_id,
    segment,
    concat('number ', segment) as segment_name,
    cast(null as varchar) as segment_name_zh,
    cast(null as varchar) as rfm_type,
    cast(null as varchar) as life_cycle,
    cast(null as varchar) as own_life_cycle,
    cast(null as varchar) as value_tier,
    case when order_value < 100 then 'low' else 'high' end as spending_level,
    cast(null as varchar) as buyer_grade,
    gender,
    consent,
    cast(local_date($as_of, $time_zone) - bought as int) as recency_days,
    cast(local_date($as_of, $time_zone) - active as int) as last_active_days,
    cast(400 as int) as tenure_days,
    orders as frequency,
    cast(spend as decimal(18, 2)) as monetary_total,
    order_value as avg_order_value,
    cast(null as double) as purchase_cycle_days,
    cast(1 as double) as items_per_order,
    cast(2 as bigint) as categories,
    cast(0.5 as double) as discounted_share,
    cast(0.1 as double) as return_rate,
    cast(3 as bigint) as active_days,
    hours as views,
    cast(0.2 as double) as evening_share,
    cast(0.3 as double) as weekend_share
from dated
",
    ),
    (
        "segments/assigned.sql",
        "-- What decides of the planted segments.
-- store: view
select 'behaviour' as family, segment, make_array('orders') as deciding_features
from segments.customer_360
",
    ),
    (
        "features/activity_days.sql",
        "-- The planted hours.
-- grain: customer_id, event_date
-- store: table
select pseudonym(customer_id, $pseudonym_key) as customer_id, active as event_date, hours
from raw.planted
",
    ),
    (
        "portraits/traits.sql",
        "-- The planted traits.
-- store: view
select
    customer_id,
    named_struct('gender', gender, 'consent', consent, 'order_value', spending_level) as traits
from segments.customer_360
",
    ),
];

/// The files of the built-in project that the planted one takes besides, as they are.
const TAKEN: &[&str] = &[
    "segments/person_registry.sql",
    "segments/person_aliases.sql",
    "portraits/left_out.sql",
    "portraits/profiles.sql",
    "portraits/profile_segments.sql",
    "portraits/groups.sql",
    "portraits/hour_cells.sql",
    "portraits/number_cells.sql",
    "portraits/trait_counts.sql",
    "portraits/trait_versions.sql",
    "portraits/carried_traits.sql",
    "portraits/trait_cells.sql",
    "portraits/combination_versions.sql",
    "portraits/carried_combinations.sql",
    "portraits/segment_releases.sql",
    "portraits/segment_portraits.sql",
    "portraits/segment_contrasts.sql",
    "portraits/segment_combinations.sql",
    "portraits/segment_numbers.sql",
    "portraits/segment_heat_map.sql",
    "portraits/segment_summary.sql",
    "audits/portraits_sum_up.sql",
];

/// What is published of segments, and how its rows are ordered. How many customers a segment has is no secret, as
/// `segment_membership` says who they are.
const PORTRAITS: &[(&str, &str)] = &[
    ("segment_portraits", "family, segment, trait, value"),
    ("segment_contrasts", "family, segment, other_segment, trait, value"),
    ("segment_combinations", "family, segment, trait, value, other_trait, other_value"),
    ("segment_numbers", "family, segment, number"),
    ("segment_heat_map", "family, segment, dow, hour"),
    ("segment_summary", "family, segment"),
];

/// The newcomer as one or the other: gender, consent, orders, spend and hours differ.
const ALICE: [&str; 2] = [
    "alice,0,f,true,9,9000,2025-01-01,2025-01-01,12582912\n",
    "alice,0,m,false,1,10,2025-01-01,2025-01-01,255\n",
];

/// Of segment 0 four in five, of segment 1 two in five.
fn is_woman(number: u32) -> bool {
    number % 5 < if number < 260 && number % 2 == 1 { 2 } else { 4 }
}

/// Customers of two segments; those from 260 on are all of segment 0 and bought in January.
fn customers(numbers: impl Iterator<Item = u32>) -> String {
    let mut lines = String::new();
    for number in numbers {
        let segment = if number < 260 { number % 2 } else { 0 };
        let gender = if is_woman(number) { "f" } else { "m" };
        let consent = if number % 7 == 0 { "" } else { ["true", "false"][(number % 3 / 2) as usize] };
        let (orders, spend) = (1 + number % 4, (1 + number % 4) * (40 + number % 11 * 13));
        let month = if number < 260 { "2024-12" } else { "2025-01" };
        let day = if number < 260 { 1 + number % 20 } else { 1 };
        let hours = 1 << (8 + number % 12);
        writeln!(lines, "c{number:03},{segment},{gender},{consent},{orders},{spend},{month}-{day:02},{month}-{day:02},{hours}")
            .unwrap();
    }
    lines
}

struct Planted {
    project: TempDir,
    lake: TempDir,
}

impl Planted {
    fn new() -> Self {
        let planted = Planted { project: tempfile::tempdir().unwrap(), lake: tempfile::tempdir().unwrap() };
        write(planted.project.path(), PLANTED);
        take(planted.project.path(), FAMILIES_OVER_TIME);
        take(planted.project.path(), TAKEN);
        planted
    }

    /// Runs for a day over these customers.
    fn run(&self, as_of: &str, lines: &str) {
        self.run_under(PSEUDONYM_KEY, as_of, lines);
    }

    /// The same with this key of pseudonyms, which may be a new one.
    fn run_under(&self, key: &str, as_of: &str, lines: &str) {
        let header = "customer_id,segment,gender,consent,orders,spend,bought,active,hours\n";
        write(self.lake.path(), &[("raw/planted/a.csv", &format!("{header}{lines}"))]);
        let (project, lake) = (text(self.project.path()), text(self.lake.path()));
        let args = ["run", "--project", project, "--lake", lake, "--as-of", as_of, "--new-pseudonyms"];
        let output = strata(&args).env("STRATA_PSEUDONYM_KEY", key).output().unwrap();
        assert!(output.status.success(), "{as_of}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn rows(&self, query: &str) -> Vec<Value> {
        rows(self.lake.path(), query)
    }

    /// All that portraits say of a run.
    fn said(&self, as_of: &str) -> Vec<String> {
        let mut said = Vec::new();
        for (table, order) in PORTRAITS {
            let but =
                if *table == "segment_summary" { "run_id, customers, customer_share" } else { "run_id" };
            let query =
                format!("select * exclude ({but}) from {table} where as_of = '{as_of}' order by {order}");
            let rows = self.rows(&query);
            assert!(!rows.is_empty(), "{table}");
            said.extend(rows.iter().map(|row| format!("{table} {row}")));
        }
        said
    }

    /// The runs whose counts stand in a run's portraits of a segment.
    fn counted(&self, as_of: &str, family: &str, segment: &str) -> BTreeSet<String> {
        let of_segment = format!("as_of = '{as_of}' and family = '{family}' and segment = '{segment}'");
        let all = PORTRAITS.iter().filter(|(table, _)| *table != "segment_contrasts").map(|(table, _)| {
            format!(
                "select cast(cast(counted_as_of as date) as varchar) as day from {table} where {of_segment}"
            )
        });
        let query = all.collect::<Vec<_>>().join(" union ");
        self.rows(&query).iter().map(|row| row["day"].as_str().unwrap_or("-").to_owned()).collect()
    }
}

/// Of two lakes that differ in the newcomer only, all that portraits say of each of these runs is the same.
fn tell_nothing(runs: &[(&str, String, bool)]) -> [Planted; 2] {
    let lakes = ALICE.map(|alice| {
        let planted = Planted::new();
        for (as_of, lines, with_alice) in runs {
            planted.run(as_of, &format!("{lines}{}", if *with_alice { alice } else { "" }));
        }
        planted
    });
    for (as_of, ..) in runs {
        let [one, other] = lakes.each_ref().map(|lake| lake.said(as_of));
        let differing: Vec<_> = one.iter().zip(&other).filter(|(one, other)| one != other).take(3).collect();
        assert!(one.len() == other.len() && differing.is_empty(), "{as_of}: {differing:#?}");
    }
    lakes
}

#[test]
fn two_runs_do_not_tell_of_who_came_between_them() {
    let [lake, _] =
        tell_nothing(&[("2025-01-01", customers(0..260), false), ("2025-01-02", customers(0..260), true)]);
    for (family, segment) in [("behaviour", "0"), ("behaviour", "1"), ("spending_level", "high")] {
        assert_eq!(
            lake.counted("2025-01-02", family, segment),
            ["2025-01-01".to_owned()].into(),
            "{segment}"
        );
    }
    // the same day again: the same rows
    let before = lake.said("2025-01-02");
    lake.run("2025-01-02", &format!("{}{}", customers(0..260), ALICE[0]));
    assert_eq!(lake.said("2025-01-02"), before);
}

#[test]
fn three_runs_do_not_tell_more_than_two() {
    let few = customers(0..260);
    // one after the other
    tell_nothing(&[
        ("2025-01-01", few.clone(), false),
        ("2025-01-02", few.clone(), true),
        ("2025-01-03", customers((0..260).chain(260..262)), true),
    ]);
    // forty come, which is told, and go again as the newcomer comes: the third run is near the first
    let [lake, _] = tell_nothing(&[
        ("2025-01-01", few.clone(), false),
        ("2025-01-02", customers(0..300), false),
        ("2025-01-03", few.clone(), true),
    ]);
    assert_eq!(lake.counted("2025-01-02", "behaviour", "0"), ["2025-01-02".to_owned()].into());
    assert_eq!(lake.counted("2025-01-03", "behaviour", "0"), ["2025-01-01".to_owned()].into());
}

#[test]
fn a_backfill_tells_nothing_either() {
    let few = customers(0..260);
    let [lake, _] = tell_nothing(&[
        ("2025-01-01", few.clone(), false),
        ("2025-01-04", few.clone(), true),
        ("2025-01-02", few, true),
    ]);
    assert_eq!(lake.counted("2025-01-02", "behaviour", "0"), ["2025-01-01".to_owned()].into());
}

#[test]
fn a_new_key_of_pseudonyms_tells_nothing_either() {
    let keys = ["the first key of three", "the second key of three", "the third key of three"];
    // of one customer other orders become known with each new key, and once more with the same one
    let corrected =
        |spend: u32| customers(0..260).replace("c000,0,f,,1,40,", &format!("c000,0,f,,1,{spend},"));
    let lake = Planted::new();
    let days = ["2025-01-01", "2025-01-02", "2025-01-03", "2025-01-04", "2025-01-05"];
    for ((as_of, key), spend) in days.into_iter().zip([0, 1, 2, 2, 0]).zip([40, 1040, 3040, 7040, 15040]) {
        assert!(spend == 40 || corrected(spend) != corrected(40));
        lake.run_under(keys[key], as_of, &corrected(spend));
    }
    let of_day = |table: &str, figures: &str, as_of: &str| {
        lake.rows(&format!(
            "select family, segment, {figures}, counted_as_of from {table} where as_of = '{as_of}' order by 1, 2, 3, 4"
        ))
    };
    for (table, figures) in [
        ("segment_summary", "spend, orders, mean_recency_days"),
        ("segment_numbers", "number, mean, q05, q25, q50, q75, q95, base_mean, base_q95, base_counted_as_of"),
        ("segment_heat_map", "dow, hour, customer_hours, share, base_share, base_counted_as_of"),
    ] {
        let first = of_day(table, figures, days[0]);
        assert!(!first.is_empty(), "{table}");
        for as_of in days.into_iter().skip(1) {
            assert_eq!(of_day(table, figures, as_of), first, "{table} as of {as_of}");
        }
    }
    // ids did change, and each became another
    let ids = lake.rows(
        "select count(distinct customer_id) as ids, count(distinct as_of) as days from customer_360
        union all select count(distinct former_id), count(distinct as_of) from person_aliases where change = 'renamed'
        order by days desc",
    );
    assert_eq!(ids[0]["ids"], 3 * 260, "{ids:?}");
    assert_eq!(ids[1]["ids"], 3 * 260, "{ids:?}");
    assert_eq!(ids[1]["days"], 3, "{ids:?}");
    // those who bought are known under new ids too: thirty of segment 0, which is counted again
    let bought: String = corrected(15040)
        .lines()
        .enumerate()
        .map(|(number, line)| match number {
            0..60 if number % 2 == 0 => {
                let fields: Vec<&str> = line.split(',').collect();
                format!("{},2025-01-05,2025-01-05,{}\n", fields[..6].join(","), fields[8])
            }
            _ => format!("{line}\n"),
        })
        .collect();
    lake.run_under(keys[1], "2025-01-06", &bought);
    let counted = lake.rows(
        "select segment, cast(cast(counted_as_of as date) as varchar) as day from segment_releases
        where as_of = '2025-01-06' and family in ('behaviour', 'everyone') order by segment",
    );
    let days: Vec<_> = counted.iter().map(|row| row["day"].as_str().unwrap()).collect();
    assert_eq!(days, ["2025-01-06", "2025-01-01", "2025-01-06"], "{counted:?}");
}

#[test]
fn what_many_changed_is_counted_again() {
    let lake = Planted::new();
    lake.run("2025-01-01", &customers(0..260));
    lake.run("2025-01-02", &customers(0..320));
    assert_eq!(lake.counted("2025-01-02", "behaviour", "0"), ["2025-01-02".to_owned()].into());
    assert_eq!(lake.counted("2025-01-02", "behaviour", "1"), ["2025-01-01".to_owned()].into());
    let found = lake.rows(
        "select value, n, base_n from segment_portraits
        where as_of = '2025-01-02' and family = 'behaviour' and segment = '0' and trait = 'gender' order by value",
    );
    let women = |numbers: std::ops::Range<u32>, own: bool| {
        numbers.filter(|number| (!own || *number >= 260 || number % 2 == 0) && is_woman(*number)).count()
    };
    assert_eq!(found[0]["n"], women(0..320, true), "{found:?}");
    assert_eq!(found[0]["base_n"], women(0..320, false), "{found:?}");
    let spend = lake.rows(
        "select s.spend = m.spend as same from segment_summary as s inner join (
            select segment, sum(monetary_total) as spend from customer_360 where as_of = '2025-01-02' group by segment
        ) as m on s.segment = cast(m.segment as varchar)
        where s.as_of = '2025-01-02' and s.family = 'behaviour' and s.segment = '0'",
    );
    assert_eq!(spend[0]["same"], true);
    // any two counts of a line that are published differ by nothing or by twenty at least
    let moved = lake.rows(
        "select a.family, a.segment, a.trait, sum(greatest(b.n - a.n, 0)) as more, sum(greatest(a.n - b.n, 0)) as fewer
        from segment_portraits as a inner join segment_portraits as b
            on a.family = b.family and a.segment = b.segment and a.trait = b.trait and a.value = b.value
        where a.as_of = '2025-01-01' and b.as_of = '2025-01-02' group by a.family, a.segment, a.trait",
    );
    let most = |row: &Value| row["more"].as_i64().max(row["fewer"].as_i64()).unwrap_or(0);
    assert!(moved.iter().all(|row| most(row) == 0 || most(row) >= 20), "{moved:?}");
    assert!(moved.iter().any(|row| most(row) >= 20), "{moved:?}");
}

#[test]
fn ways_of_few_customers_are_no_rows_of_migration() {
    let lake = Planted::new();
    lake.run("2025-01-01", &customers(0..260));
    // thirty of segment 0 go to 1, five go to 2, and thirty come to 2
    let moved: String = customers(0..290)
        .lines()
        .enumerate()
        .map(|(number, line)| {
            let to = match number {
                0..60 if number % 2 == 0 => "1",
                60..70 if number % 2 == 0 => "2",
                260.. => "2",
                _ => line.split(',').nth(1).unwrap(),
            };
            let fields: Vec<&str> = line.splitn(3, ',').collect();
            format!("{},{to},{}\n", fields[0], fields[2])
        })
        .collect();
    lake.run("2025-01-02", &moved);
    let found = lake.rows(
        "select change, from_segment, to_segment, customers from segment_migration where family = 'behaviour'
        order by from_segment nulls last, to_segment nulls last",
    );
    let shown: Vec<String> = found
        .iter()
        .map(|row| {
            let [change, from, to] =
                ["change", "from_segment", "to_segment"].map(|name| row[name].as_str().unwrap_or("-"));
            format!("{change} {from} {to} {}", row["customers"])
        })
        .collect();
    // 35 are in segment 2: with the thirty who came the five who moved there would be known; with the thirty who moved to
    // segment 1 what is missing of segment 0; and with those who stayed in segment 1 the thirty
    assert_eq!(shown, ["stayed 0 0 95"]);
    let lineage = lake.rows(
        "select segment, status, overlap from segment_lineage where family = 'behaviour' and segment = '2'",
    );
    assert_eq!(lineage[0]["overlap"], Value::Null, "{lineage:?}");
}
