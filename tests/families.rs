//! Segments over time, family by family: who went where, what became of each segment, and stays that hold after a
//! backfill.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::project::{FAMILIES_OVER_TIME, take, write};
use crate::support::python::script;
use crate::support::world::{deliver, export, hashes, rows, small_lake};
use crate::support::{ok, repository, text};

/// A project whose customers and segments are planted day by day; what follows them over time is the built-in project's.
const PLANTED: &[(&str, &str)] = &[
    (
        "project.toml",
        "name = \"planted\"\ntime_zone = \"UTC\"\n\n[settings]\nmigration_runs = 3\nportrait_min_cell = 1\nearliest_date = \"1900-01-01\"\nlatest_date = \"2200-01-01\"\n",
    ),
    (
        "raw/planted.sql",
        "-- The segments of each customer on each day.\n\
         -- grain: day, customer_id\n\
         create external table raw.planted (\n    day date,\n    customer_id varchar,\n    segment int,\n    \
         life_cycle varchar\n)\n\
         stored as csv\n\
         location 'raw/planted/'\n",
    ),
    (
        "segments/customer_360.sql",
        "-- The segments planted for the day of the run.\n\
         -- grain: as_of, customer_id\n\
         -- store: table\n\
         select\n    customer_id,\n    $as_of as as_of,\n    segment,\n    concat('number ', segment) as segment_name,\n    \
         cast(null as varchar) as segment_name_zh,\n    cast(null as varchar) as rfm_type,\n    life_cycle,\n    \
         cast(null as varchar) as own_life_cycle,\n    \
         cast(null as varchar) as value_tier,\n    cast(null as varchar) as spending_level,\n    \
         cast(null as varchar) as buyer_grade,\n    cast(null as int) as recency_days,\n    \
         cast(0 as bigint) as frequency,\n    cast(0 as decimal(18, 2)) as monetary_total\n\
         from raw.planted\n\
         where day = local_date($as_of, $time_zone)\n",
    ),
];

/// Groups of customers, by number, and the behaviour segment of each.
type Groups<'a> = &'a [(u32, std::ops::Range<u32>)];

/// Segments 0 to 4.
const USUAL: Groups = &[(0, 0..100), (1, 100..160), (2, 160..200), (3, 200..220), (4, 220..250)];

/// Of 0 comes 5, of 2 most go to 1, of 3 most leave, to 6 come fifty new customers.
const CHANGED: Groups = &[
    (0, 0..60),
    (5, 60..100),
    (5, 300..305),
    (1, 100..160),
    (1, 160..195),
    (1, 215..220),
    (4, 220..244),
    (6, 244..250),
    (6, 400..450),
];

/// A planted project and its lake.
struct Planted {
    project: TempDir,
    lake: TempDir,
}

impl Planted {
    /// With these segments on the days of January given.
    fn new(days: &[(u32, Groups)]) -> Planted {
        let planted = Planted { project: tempfile::tempdir().unwrap(), lake: tempfile::tempdir().unwrap() };
        write(planted.project.path(), PLANTED);
        take(planted.project.path(), FAMILIES_OVER_TIME);
        let mut lines = "day,customer_id,segment,life_cycle\n".to_string();
        for (day, groups) in days {
            for (segment, customers) in *groups {
                for customer in customers.clone() {
                    let life_cycle = if (customer + day) % 3 == 0 { "new" } else { "active" };
                    writeln!(lines, "2025-01-{day:02},c{customer:03},{segment},{life_cycle}").unwrap();
                }
            }
        }
        write(planted.lake.path(), &[("raw/planted/a.csv", &lines)]);
        planted
    }

    fn run(&self, day: u32) {
        let as_of = format!("2025-01-{day:02}");
        let project = text(self.project.path());
        ok(&["run", "--project", project, "--lake", text(self.lake.path()), "--as-of", &as_of]);
    }

    fn rows(&self, query: &str) -> Vec<Value> {
        rows(self.lake.path(), query)
    }
}

fn field<'a>(row: &'a Value, column: &str) -> &'a str {
    row[column].as_str().unwrap_or("-")
}

#[test]
fn lineage_tells_what_became_of_each_segment() {
    let planted = Planted::new(&[(1, USUAL), (2, USUAL), (3, CHANGED)]);
    planted.run(1);
    assert!(planted.rows("select * from segment_lineage").is_empty(), "there is nothing to compare with");
    planted.run(2);
    let unchanged = planted.rows("select * from segment_lineage where family = 'behaviour'");
    assert_eq!(unchanged.len(), 5);
    for row in unchanged {
        assert_eq!((field(&row, "status"), row["jaccard"].as_f64()), ("continued", Some(1.0)), "{row}");
    }
    planted.run(3);
    let found = planted.rows(
        "select * from segment_lineage where family = 'behaviour' and as_of = (select max(as_of) from segment_lineage)
         order by segment",
    );
    let shown: Vec<String> = found
        .iter()
        .map(|row| {
            assert_eq!(field(row, "segment_name"), format!("number {}", field(row, "segment")));
            assert_eq!(field(row, "from_as_of"), "2025-01-02T00:00:00Z");
            let count = |column: &str| row[column].as_u64().map_or("-".into(), |count| count.to_string());
            format!(
                "{} {} {} {} {} {} {:.4} {:.4}",
                field(row, "segment"),
                field(row, "status"),
                field(row, "other_segment"),
                count("customers_before"),
                count("customers_now"),
                count("overlap"),
                row["overlap_share"].as_f64().unwrap(),
                row["jaccard"].as_f64().unwrap()
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "0 continued - 100 60 60 0.6000 0.6000",
            "1 continued - 60 100 60 1.0000 0.6000",
            // 35 of 40 + 100 - 35; the other five left
            "2 merged 1 40 - 35 1.0000 0.3333",
            // five of twenty are still there, and most of those who left went nowhere
            "3 died 1 20 - 5 1.0000 0.0435",
            "4 continued - 30 24 24 0.8000 0.8000",
            // 40 of 100 + 45 - 40; five are new customers
            "5 split 0 - 45 40 1.0000 0.3810",
            // six were there before, fifty were not
            "6 born 4 - 56 6 1.0000 0.0750",
        ]
    );
}

#[test]
fn migration_says_where_everyone_came_from_and_went() {
    let planted = Planted::new(&[(1, USUAL), (2, USUAL), (3, CHANGED), (4, CHANGED), (5, USUAL)]);
    (1..=3).for_each(|day| planted.run(day));
    let found = planted.rows(
        "select * from segment_migration where family = 'behaviour' and as_of = '2025-01-03' and from_as_of = '2025-01-01'
         order by from_segment nulls last, to_segment nulls last",
    );
    let shown: Vec<String> = found
        .iter()
        .map(|row| {
            let ends = [field(row, "from_segment"), field(row, "to_segment")];
            format!("{} {} {} {}", ends[0], ends[1], field(row, "change"), row["customers"])
        })
        .collect();
    let expected = [
        "0 0 stayed 60",
        "0 5 moved 40",
        "1 1 stayed 60",
        "2 1 moved 35",
        "2 - left 5",
        "3 1 moved 5",
        "3 - left 15",
        "4 4 stayed 24",
        "4 6 moved 6",
        "- 5 came 5",
        "- 6 came 50",
    ];
    assert_eq!(shown, expected);

    // as the README asks of any pair of runs, also of pairs that no run compared
    (4..=5).for_each(|day| planted.run(day));
    let compared = planted.rows(
        "select cast(from_as_of as date) as day from segment_migration where as_of = '2025-01-05' group by 1 order by 1",
    );
    let days: Vec<&str> = compared.iter().map(|row| field(row, "day")).collect();
    assert_eq!(days, ["2025-01-02", "2025-01-03", "2025-01-04"], "migration_runs = 3");
    for (from, to) in [(1, 3), (3, 4), (4, 5), (2, 5)] {
        let (from, to) = (format!("2025-01-{from:02}"), format!("2025-01-{to:02}"));
        let published = planted.rows(&format!(
            "select family, from_segment, to_segment, customers from segment_migration
             where from_as_of = '{from}' and as_of = '{to}' order by 1, 2, 3"
        ));
        assert!(published.len() > 5, "{from} to {to}");
        assert_eq!(planted.rows(&readme_query(&from, &to)), published, "{from} to {to}");
    }
    assert!(planted.rows(&readme_query("2025-01-01", "2025-01-05")).len() > 5);
}

/// The README's query of migration between any two runs, between these two.
fn readme_query(from: &str, to: &str) -> String {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let start = readme.find("    with moments as (").expect("the query of migration");
    let lines = readme[start..].lines().take_while(|line| line.starts_with("    "));
    let query: Vec<&str> = lines.collect();
    let query = query.join("\n").replace("2025-02-01", from).replace("2025-03-01", to);
    assert!(query.contains(from) && query.contains(to), "{query}");
    query
}

#[test]
fn a_backfill_leaves_what_runs_in_order_leave() {
    let other: Groups = &[(0, 0..90), (1, 90..170), (2, 170..190), (3, 200..230), (7, 230..260)];
    let days = [(1, USUAL), (2, other), (3, CHANGED), (4, USUAL)];
    let tables = [
        ("segment_membership", "customer_id, family, valid_from"),
        ("segment_migration", "as_of, from_as_of, family, from_segment, to_segment"),
        ("segment_lineage", "as_of, family, segment"),
    ];
    let in_order = Planted::new(&days);
    (1..=4).for_each(|day| in_order.run(day));
    let filled = Planted::new(&days);
    [1, 4, 3, 2].iter().for_each(|day| filled.run(*day));
    assert_eq!(hashes(filled.lake.path(), &tables[..1]), hashes(in_order.lake.path(), &tables[..1]));
    // what later runs say of earlier ones they say when they are run again
    assert_ne!(hashes(filled.lake.path(), &tables[1..]), hashes(in_order.lake.path(), &tables[1..]));
    [3, 4].iter().for_each(|day| filled.run(*day));
    assert_eq!(hashes(filled.lake.path(), &tables), hashes(in_order.lake.path(), &tables));

    let stays = in_order.rows(
        "select segment, segment_name, valid_from, valid_to, reason from segment_membership
         where customer_id = 'c230' and family = 'behaviour' order by valid_from",
    );
    let shown: Vec<String> = stays
        .iter()
        .map(|stay| {
            let day = |column| field(stay, column).split('T').next().unwrap().to_string();
            format!(
                "{} {} {} {}",
                field(stay, "segment"),
                day("valid_from"),
                day("valid_to"),
                field(stay, "reason")
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "4 2025-01-01 2025-01-02 first seen",
            "7 2025-01-02 2025-01-03 moved from: number 4",
            "4 2025-01-03 - moved from: number 7",
        ]
    );
}

#[test]
fn given_names_take_the_place_of_the_projects_own() {
    let planted = Planted::new(&[(1, USUAL), (2, CHANGED)]);
    let names = [
        "'behaviour', '0', 'loyal', '忠诚客户'",
        "' Behaviour', '0 ', 'regulars', '常客'",
        "'behaviour', '2', 'visitors', null",
        "'behaviour', '3', 'visitors', null",
        "'life_cycle', 'active', 'faithful', '忠实客户'",
        "'life_cycle', 'new', '', null",
        "'life_cycle', 'nowhere', 'x', 'x'",
        "'behaviour', 'first', 'y', 'y'",
        "'taste', '1', 'z', 'z'",
        "null, '1', 'w', 'w'",
    ];
    let delivered =
        |(day, name): (usize, &&str)| format!("({name}, timestamp '2024-12-{:02} 00:00:00')", day + 1);
    let names: Vec<String> = names.iter().enumerate().map(delivered).collect();
    deliver(planted.lake.path(), "segment_names", "family, segment, name_en, name_zh", &names);
    (1..=2).for_each(|day| planted.run(day));
    let named = planted.rows(
        "select distinct family, segment, segment_name from segment_membership
         where segment in ('0', '1', '2', 'active', 'new') order by family, segment",
    );
    let shown: Vec<&str> = named.iter().map(|row| field(row, "segment_name")).collect();
    assert_eq!(shown, ["regulars", "number 1", "visitors", "faithful", "new"]);
    let moved =
        planted.rows("select count(*) as n from segment_membership where reason = 'moved from: regulars'");
    assert_eq!(moved[0]["n"], 40);
    let flow = planted.rows(
        "select from_name, to_name from segment_migration where from_segment = '2' and to_segment = '1'",
    );
    assert_eq!((field(&flow[0], "from_name"), field(&flow[0], "to_name")), ("visitors", "number 1"));
    let rejected =
        planted.rows("select rule, count(*) as n from quarantine.segment_names group by rule order by rule");
    let shown: Vec<String> =
        rejected.iter().map(|row| format!("{} {}", field(row, "rule"), row["n"])).collect();
    assert_eq!(
        shown,
        ["ambiguous_name 1", "missing_key 1", "missing_name 1", "superseded_name 1", "unknown_segment 3"]
    );
}

/// The small world run at three instants, then at one between the first two.
#[test]
fn every_family_of_a_world_adds_up_after_a_backfill() {
    let lake = small_lake();
    for as_of in ["2025-02-01", "2025-02-15", "latest", "2025-02-08"] {
        ok(&["run", "--lake", text(lake.path()), "--as-of", as_of]);
    }
    let folder = tempfile::tempdir().unwrap();
    for table in
        ["customer_360", "segment_membership", "segment_migration", "segment_lineage", "segment_summary"]
    {
        export(lake.path(), table, folder.path());
    }
    let said = script(OVER_TIME, &[text(folder.path())]);
    let lines: Vec<&str> = said.lines().collect();
    // the backfill is compared with the run before it only
    assert_eq!(lines[0], "pairs of runs 4");
    for (line, least) in lines[1..].iter().zip([10, 5000, 60, 80]) {
        let (what, count) = line.rsplit_once(' ').unwrap();
        assert!(count.parse::<u64>().unwrap() >= least, "{what}: {count}");
    }
    assert_eq!(lines.len(), 5, "{said}");
}

/// Counts migration, stays and segments again from what each run published, and says how many of each agreed.
const OVER_TIME: &str = r#"
import sys, duckdb
folder = sys.argv[1]
for name in ("customer_360", "segment_membership", "segment_migration", "segment_lineage", "segment_summary"):
    duckdb.sql(f"create table {name} as from '{folder}/{name}.parquet'")
duckdb.sql("""create table history as
select as_of, customer_id, 'behaviour' as family, segment::varchar as segment from customer_360
union all select as_of, customer_id, 'rfm', rfm_type from customer_360 where rfm_type is not null
union all select as_of, customer_id, 'life_cycle', life_cycle from customer_360
union all select as_of, customer_id, 'own_life_cycle', own_life_cycle from customer_360
union all select as_of, customer_id, 'value_tier', value_tier from customer_360 where value_tier is not null
union all select as_of, customer_id, 'spending_level', spending_level from customer_360 where spending_level is not null
union all select as_of, customer_id, 'buyer_grade', buyer_grade from customer_360 where buyer_grade is not null""")
def same(left, right):
    for one, other in ((left, right), (right, left)):
        extra = duckdb.sql(f"({one}) except all ({other})").fetchall()
        assert not extra, extra[:5]
    return duckdb.sql(f"select count(*) from ({left})").fetchall()[0][0]
pairs = "select distinct as_of, from_as_of from segment_migration"
print("pairs of runs", duckdb.sql(f"select count(*) from ({pairs})").fetchall()[0][0])
recount = f"""with pairs as ({pairs}), families as (select distinct family from history),
before as (select p.as_of, p.from_as_of, h.customer_id, h.family, h.segment from pairs p join history h on h.as_of = p.from_as_of),
after as (select p.as_of, p.from_as_of, h.customer_id, h.family, h.segment from pairs p join history h on h.as_of = p.as_of)
select as_of, from_as_of, family, b.segment as from_segment, a.segment as to_segment, count(*)::bigint as customers
from before b full join after a using (as_of, from_as_of, customer_id, family) group by all"""
told = "select as_of, from_as_of, family, from_segment, to_segment, customers::bigint from segment_migration"
wrong = duckdb.sql(f"({told}) except all ({recount})").fetchall()
assert not wrong, wrong[:5]
few, parts = duckdb.sql("select count(*) filter (where customers < 20), count(*) from segment_migration").fetchall()[0]
assert few == 0, few
print("flows", parts)
stays = """select r.as_of, m.customer_id, m.family, m.segment from segment_membership m
join (select distinct as_of from history) r on m.valid_from <= r.as_of and (m.valid_to is null or r.as_of < m.valid_to)"""
print("stays", same(stays, "select as_of, customer_id, family, segment from history"))
needless = duckdb.sql("""select a.customer_id from segment_membership a join segment_membership b
on a.customer_id = b.customer_id and a.family = b.family and a.segment = b.segment and a.valid_to = b.valid_from""").fetchall()
assert not needless, needless[:5]
previous = "select as_of, lag(as_of) over (order by as_of) as from_as_of from (select distinct as_of from history)"
known = f"select l.as_of, l.family, l.segment from segment_lineage l"
print("segments", same(known, f"""select distinct r.as_of, h.family, h.segment
from (select distinct as_of, from_as_of from segment_lineage) r join history h on h.as_of in (r.as_of, r.from_as_of)"""))
print("summaries", same("select as_of, family, segment, customers::bigint from segment_summary",
    "select as_of, family, segment, count(*)::bigint from history group by all"))
"#;
