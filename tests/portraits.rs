//! Portraits of segments: by hand on planted customers, and figure by figure as DuckDB and SciPy find them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::project::write;
use crate::support::python::script;
use crate::support::world::{export, rows, small_run};
use crate::support::{fails, ok, repository, run, text};

/// A project whose customers, segments and traits are planted; the portraits are the built-in project's.
const PLANTED: &[(&str, &str)] = &[
    (
        "project.toml",
        "name = \"planted\"\ntime_zone = \"UTC\"\n\n[settings]\nportrait_base = \"known\"\nportrait_min_cell = 20\nportrait_versions = 4\n\
         portrait_rounding = 5\nportrait_z = 1.959963984540054\nportrait_significance = 0.05\n\
         portrait_crossed = \"colour, taste\"\nportrait_contrasts = 5\nheat_map_days = 90\n",
    ),
    (
        "raw/planted.sql",
        "-- Alike customers and how many there are of them.\n\
         -- grain: kind\n\
         create external table raw.planted (\n    kind bigint,\n    customers bigint,\n    segment varchar,\n    \
         colour varchar,\n    taste varchar\n)\nstored as csv\nlocation 'raw/planted/'\n",
    ),
    (
        "segments/customer_360.sql",
        "-- The planted customers.\n\
         -- grain: as_of, customer_id\n\
         -- store: table\n\
         with each as (\n    select\n        kind,\n        segment,\n        colour,\n        taste,\n        \
         unnest(range(1, customers + 1)) as number\n    from raw.planted\n)\n\
         select\n    $as_of as as_of,\n    concat(kind, '-', number) as customer_id,\n    segment,\n    colour,\n    \
         taste,\n    cast(1 as int) as last_active_days\nfrom each\n",
    ),
    (
        "segments/family_members.sql",
        "-- The planted segments.\n-- store: view\n\
         select\n    customer_id,\n    'planted' as family,\n    segment,\n    segment as segment_name,\n    \
         cast(null as varchar) as segment_name_zh\nfrom segments.customer_360\nwhere segment is not null\n",
    ),
    (
        "portraits/traits.sql",
        "-- The planted traits.\n-- store: view\n\
         select\n    customer_id,\n    named_struct('colour', colour, 'taste', taste) as traits\n\
         from segments.customer_360\n",
    ),
];

/// The files of the built-in project that the planted one takes as they are.
const TAKEN: &[&str] = &[
    "portraits/left_out.sql",
    "portraits/profiles.sql",
    "portraits/profile_segments.sql",
    "portraits/groups.sql",
    "portraits/trait_counts.sql",
    "portraits/trait_versions.sql",
    "portraits/carried_traits.sql",
    "portraits/trait_cells.sql",
    "portraits/segment_portraits.sql",
    "portraits/segment_contrasts.sql",
    "portraits/combination_versions.sql",
    "portraits/carried_combinations.sql",
    "portraits/segment_combinations.sql",
];

/// Runs the portraits of groups of customers: how many, segment, colour, taste; `-` is unknown.
fn planted(groups: &[(u32, &str, &str, &str)], settings: &[(&str, &str)]) -> (TempDir, TempDir) {
    let (project, lake) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(project.path(), PLANTED);
    let mut toml = PLANTED[0].1.to_string();
    for (from, to) in settings {
        assert!(toml.contains(from), "{from}");
        toml = toml.replace(from, to);
    }
    write(project.path(), &[("project.toml", &toml)]);
    for path in TAKEN {
        let content = std::fs::read_to_string(repository().join("sql/retail").join(path)).unwrap();
        write(project.path(), &[(path, &content)]);
    }
    let mut lines = "kind,customers,segment,colour,taste\n".to_string();
    for (kind, (customers, segment, colour, taste)) in groups.iter().enumerate() {
        let line = format!("{kind},{customers},{segment},{colour},{taste}").replace('-', "");
        writeln!(lines, "{line}").unwrap();
    }
    write(lake.path(), &[("raw/planted/a.csv", &lines)]);
    ok(&["run", "--project", text(project.path()), "--lake", text(lake.path()), "--as-of", "2025-01-01"]);
    (project, lake)
}

fn number(row: &Value, column: &str) -> f64 {
    row[column].as_f64().unwrap_or_else(|| panic!("{column} of {row}"))
}

fn portrait(lake: &TempDir, segment: &str, trait_name: &str, value: &str) -> Value {
    let query = format!(
        "select * from segment_portraits where segment = '{segment}' and trait = '{trait_name}' and value = '{value}'"
    );
    let mut found = rows(lake.path(), &query);
    assert_eq!(found.len(), 1, "{segment} {trait_name} {value}");
    found.remove(0)
}

/// 8.9 % against 6.6 % is 134.848 and 60 % against 24 % is 250, as the formula is published.
const EXAMPLES: &[(u32, &str, &str, &str)] = &[
    (89, "one", "red", "sweet"),
    (511, "one", "red", "sour"),
    (400, "one", "blue", "sour"),
    (571, "two", "red", "sweet"),
    (1229, "two", "red", "sour"),
    (7200, "two", "blue", "sour"),
];

#[test]
fn tgi_as_published() {
    let (_project, lake) = planted(EXAMPLES, &[]);
    let sweet = portrait(&lake, "one", "taste", "sweet");
    assert!((number(&sweet, "tgi") - 134.848).abs() < 5e-4, "{sweet}");
    assert_eq!(number(&sweet, "share"), 0.089);
    assert_eq!((&sweet["n"], &sweet["known"], &sweet["base_n"]), (&89.into(), &1000.into(), &660.into()));
    let red = portrait(&lake, "one", "colour", "red");
    assert!((number(&red, "tgi") - 250.0).abs() < 1e-9, "{red}");

    // what portraits share is not published: `publish: none`
    let refused = run(&["sql", "--lake", text(lake.path()), "select * from trait_cells"]);
    assert!(!refused.status.success());

    // by hand: 4 cells a trait; the p-values of a trait of two values are equal, and so are those of two segments
    let cells = rows(lake.path(), "select * from segment_portraits");
    assert_eq!(cells.len(), 8);
    // sweet: 89 of 1000 against 571 of 9000; pooled 660 of 10000
    let z = (0.089 - 571.0 / 9000.0) / (0.066 * 0.934 * (1.0 / 1000.0 + 1.0 / 9000.0_f64)).sqrt();
    assert!((3.0..4.0).contains(&z));
    // 2 (1 - Phi(3.0901)) = .0020009
    assert!((number(&sweet, "p") - 0.002_0).abs() < 2e-4 && number(&red, "p") < 1e-60, "{sweet}");
    // the largest of 8 is not raised, and the four equal ones take the factor of the last: 8 / 8
    assert!((number(&sweet, "p_corrected") / number(&sweet, "p") - 1.0).abs() < 1e-9, "8 / 8: {sweet}");
    assert!((number(&red, "p_corrected") / number(&red, "p") - 2.0).abs() < 1e-9, "8 / 4: {red}");
    // red is told first, by ratio: 250 before 400 / 7600
    let places =
        rows(lake.path(), "select trait, value from segment_portraits where segment = 'one' order by place");
    let places: Vec<&str> = places.iter().map(|row| row["value"].as_str().unwrap()).collect();
    assert_eq!(places, ["red", "blue", "sweet", "sour"]);

    // one row for each two segments and value, the surest difference first
    let contrasts = rows(lake.path(), "select * from segment_contrasts order by place");
    assert_eq!(contrasts.len(), 4);
    assert!((number(&contrasts[0], "difference").abs() - 0.4).abs() < 1e-12, "{}", contrasts[0]);
    assert_eq!(contrasts[0]["value"], "blue");
    assert_eq!((&contrasts[2]["value"], &contrasts[2]["other_segment"]), (&"sour".into(), &"two".into()));

    // 89 becomes 90 and 600 stays; 90 of 1000, times 1000, by 600 and 90; all: 660 of 10000, 2400 and 660
    let both = rows(
        lake.path(),
        "select * from segment_combinations where segment = 'one' and value = 'red' and other_value = 'sweet'",
    );
    assert_eq!(both.len(), 1);
    assert_eq!((&both[0]["n"], &both[0]["base_n"]), (&90.into(), &660.into()));
    assert!((number(&both[0], "lift") - 1.0 / 0.6).abs() < 1e-12, "{}", both[0]);
    assert!((number(&both[0], "base_lift") - 1.0 / 0.24).abs() < 1e-12, "{}", both[0]);
    assert!((number(&both[0], "tgi") - 0.09 / 0.066 * 100.0).abs() < 1e-9, "{}", both[0]);
}

#[test]
fn the_base_is_who_is_known_or_everyone() {
    let groups = &[
        (30, "one", "red", "sweet"),
        (30, "one", "blue", "sweet"),
        (40, "one", "-", "sweet"),
        (50, "two", "red", "sweet"),
        (150, "two", "blue", "sweet"),
        (200, "-", "blue", "sweet"),
        (500, "-", "-", "sweet"),
    ];
    let (_project, lake) = planted(groups, &[]);
    let known = portrait(&lake, "one", "colour", "red");
    // 30 of 60 against 80 of 460, those in no segment too
    assert_eq!((number(&known, "share"), &known["base"]), (0.5, &"known".into()));
    assert!((number(&known, "tgi") - 0.5 / (80.0 / 460.0) * 100.0).abs() < 1e-9, "{known}");
    let (_project, lake) = planted(groups, &[("\"known\"", "\"everyone\"")]);
    let everyone = portrait(&lake, "one", "colour", "red");
    assert_eq!((number(&everyone, "share"), &everyone["base"]), (0.3, &"everyone".into()));
    assert!((number(&everyone, "tgi") - 0.3 / 0.08 * 100.0).abs() < 1e-9, "{everyone}");
    assert_eq!((&everyone["known"], &everyone["customers"]), (&60.into(), &100.into()));
    assert_eq!((&everyone["base_known"], &everyone["base_customers"]), (&460.into(), &1000.into()));
}

#[test]
fn cells_of_few_are_suppressed_with_what_would_give_them_away() {
    let values = |one: [u32; 4]| {
        let groups = [
            (one[0], "one", "red", "-"),
            (one[1], "one", "blue", "-"),
            (one[2], "one", "green", "-"),
            (one[3], "one", "white", "-"),
            (70, "two", "red", "-"),
            (60, "two", "blue", "-"),
            (50, "two", "green", "-"),
            (90, "three", "red", "-"),
            (40, "three", "blue", "-"),
            (80, "three", "green", "-"),
        ];
        let groups: Vec<_> = groups.into_iter().filter(|(customers, ..)| *customers > 0).collect();
        let (_project, lake) = planted(&groups, &[]);
        let query =
            "select segment, value, n, share, share_low, share_high, tgi, p, p_corrected, base_n, suppressed
                     from segment_portraits order by segment, value";
        let cells = rows(lake.path(), query);
        for cell in &cells {
            let suppressed = cell["suppressed"].as_bool().unwrap();
            let told = |columns: &[&str], told: bool| {
                assert!(columns.iter().all(|column| cell[column].is_null() != told), "{cell}");
            };
            told(&["n", "share", "share_low", "share_high"], !suppressed);
            // what compares with the base is known where both are
            told(&["tgi", "p", "p_corrected"], !suppressed && !cell["base_n"].is_null());
        }
        let hidden = cells.iter().filter(|cell| cell["suppressed"] == true);
        let name = |cell: &Value| {
            format!("{} {}", cell["segment"].as_str().unwrap(), cell["value"].as_str().unwrap())
        };
        hidden.map(name).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(values([20, 100, 100, 0]), "");
    // 19 red: another of the segment, another segment of each of the two
    let hidden = values([19, 100, 110, 0]);
    assert_eq!(hidden, "one blue, one red, three blue, three red");
    // of white there are 5 in all, and of one segment: nobody may know it of all either
    let hidden = values([100, 110, 120, 5]);
    assert!(
        hidden.contains("one white") && hidden.contains("three white") && hidden.contains("two white"),
        "{hidden}"
    );
    assert_eq!(hidden.matches("one").count(), 2, "{hidden}");
}

#[test]
fn a_crossed_trait_must_be_one() {
    let project = tempfile::tempdir().unwrap();
    write(project.path(), PLANTED);
    let toml = PLANTED[0].1.replace("colour, taste", "colour, smell");
    write(project.path(), &[("project.toml", &toml)]);
    for path in TAKEN {
        let content = std::fs::read_to_string(repository().join("sql/retail").join(path)).unwrap();
        write(project.path(), &[(path, &content)]);
    }
    let lake = tempfile::tempdir().unwrap();
    write(lake.path(), &[("raw/planted/a.csv", "kind,customers,segment,colour,taste\n1,5,one,red,sweet\n")]);
    let arguments =
        ["run", "--project", text(project.path()), "--lake", text(lake.path()), "--as-of", "2025-01-01"];
    let said = fails(1, &arguments);
    assert!(said.contains("crossed names smell, but the fields are colour, taste"), "{said}");
}

#[test]
fn figures_are_those_of_duckdb_and_scipy() {
    let lake = small_run();
    let folder = tempfile::tempdir().unwrap();
    for relation in [
        "segments.customer_360",
        "identity.persons",
        "identity.account_person",
        "identity.device_person",
        "facts.daily_activity",
        "portraits.segment_portraits",
        "portraits.segment_contrasts",
        "portraits.segment_combinations",
        "portraits.segment_numbers",
        "portraits.segment_heat_map",
    ] {
        export(lake, relation, folder.path());
    }
    let said = script(FIGURES, &[text(folder.path())]);
    let counts: Vec<u64> = said.split_whitespace().map(|count| count.parse().unwrap()).collect();
    assert!(counts.len() == 5 && counts.iter().all(|rows| *rows > 10), "{said}");
}

/// Computes every published figure again from customers and events.
const FIGURES: &str = r#"
import sys, duckdb, math
from scipy.stats import norm, false_discovery_control
folder, = sys.argv[1:]
def table(name): return f"'{folder}/{name}.parquet'"
as_of = duckdb.sql(f"select max(as_of)::timestamp::varchar from {table('segments.customer_360')}").fetchall()[0][0]
duckdb.sql(f"""create table people as
select c.*, p.gender, p.region, day,
    date_diff('year', p.birth_date, day) - (strftime(day, '%m%d') < strftime(p.birth_date, '%m%d'))::int as age
from {table('segments.customer_360')} c join {table('identity.persons')} p using (customer_id),
    (select ('{as_of}'::timestamp + interval 8 hours)::date as day)""")
families = {"behaviour": "segment", "rfm": "rfm_type", **{name: name for name in ("life_cycle", "own_life_cycle", "value_tier", "spending_level", "buyer_grade")}}
duckdb.sql("create table members as " + " union all ".join(
    f"select customer_id, '{name}' as family, {column}::varchar as segment from people where {column} is not null" for name, column in families.items()))
regions = dict(zip("华北 东北 华东 华中 华南 西南 西北 海外".split(), ["North China", "Northeast China", "East China",
    "Central China", "South China", "Southwest China", "Northwest China", "Overseas"]))
duckdb.sql("create table regions as select * from (values " + ", ".join(f"('{a}', '{b}')" for a, b in regions.items()) + ") t(zh, en)")
traits = {
    **{name: name for name in """gender rfm_type rfm_segment life_cycle own_life_cycle value_tier spending_level buyer_grade
    favourite_category channels dormant overdue high_frequency high_value_churned novelty_seeker discount_seeker hesitant impulse_buyer
    online_to_offline commuter near_store rainy_day marketing_consent
    favourite_brand favourite_price_band favourite_content preferred_shop_channel preferred_channel text_language
    mood most_praised_aspect most_blamed_aspect community_responder price_sensitive unhappy""".split()},
    "behaviour": "segment_name",
    "peak_day": "peak_hour[:3]",
    "peak_time": "['0-6', '6-12', '12-18', '18-24'][1 + peak_hour[5:6]::int // 6]",
    "region": "coalesce((select en from regions where zh = region), region)",
    "age_group": "case when age between 0 and 120 then ['under 18', '18-24', '25-34', '35-44', '45-54', '55-64', '65 and over'][1 + (age >= 18)::int + (age >= 25)::int + (age >= 35)::int + (age >= 45)::int + (age >= 55)::int + (age >= 65)::int] end",
    "purchase_count": "['0', '1', '2-3', '4-6', '7-12', '13 and more'][1 + (frequency > 0)::int + (frequency > 1)::int + (frequency > 3)::int + (frequency > 6)::int + (frequency > 12)::int]",
    "order_value": "['low', 'middle', 'high'][1 + (avg_order_value >= 200)::int + (avg_order_value >= 800)::int]",
    "tenure": "['under 3 months', '3 to 12 months', '1 to 3 years', '3 years and more'][1 + (tenure_days >= 90)::int + (tenure_days >= 365)::int + (tenure_days >= 1095)::int]",
}
duckdb.sql("create table held as " + " union all ".join(
    f"select customer_id, '{name}' as trait, ({value})::varchar as value from people where ({value}) is not null" for name, value in traits.items()))
own = {"behaviour": {"behaviour"}, "rfm": {"rfm_type", "rfm_segment"},
    "life_cycle": {"life_cycle", "own_life_cycle", "dormant", "high_value_churned"},
    "own_life_cycle": {"own_life_cycle", "life_cycle", "overdue", "high_value_churned"},
    "value_tier": {"value_tier", "spending_level"}, "spending_level": {"spending_level", "value_tier"},
    "buyer_grade": {"buyer_grade", "purchase_count"}}
base = {(t, v): n for t, v, n in duckdb.sql("select trait, value, count(*) from held group by all").fetchall()}
base_known = {t: n for t, n in duckdb.sql("select trait, count(*) from held group by all").fetchall()}
cell = {(f, s, t, v): n for f, s, t, v, n in duckdb.sql("select family, segment, trait, value, count(*) from held join members using (customer_id) group by all").fetchall()}
known = {(f, s, t): n for f, s, t, n in duckdb.sql("select family, segment, trait, count(*) from held join members using (customer_id) group by all").fetchall()}
size = {(f, s): n for f, s, n in duckdb.sql("select family, segment, count(*) from members group by all").fetchall()}
z = norm.ppf(.975)
def near(a, b, what): assert a is not None and (abs(a - b) <= 1e-9 * max(1, abs(b))), (what, a, b)
def wilson(x, n):
    p, centre = x / n, (x / n + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return centre - half, centre + half
def p_value(x, n, y, m):
    pooled = (x + y) / (n + m)
    if n == 0 or m == 0: return None
    variance = pooled * (1 - pooled) * (1 / n + 1 / m)
    return 1.0 if variance <= 0 else 2 * norm.sf(abs(x / n - y / m) / math.sqrt(variance))
def rows(name):
    found = duckdb.sql(f"select * exclude (as_of, run_id) from {table('portraits.' + name)}")
    return [dict(zip(found.columns, row)) for row in found.fetchall()]
def missing(value): return value is None

found = rows("segment_portraits")
expected = {(f, s, t, v) for f, s in size for t, v in base if t not in own[f]}
assert {(r["family"], r["segment"], r["trait"], r["value"]) for r in found} == expected and len(found) == len(expected)
tested, seen = {}, {}
for r in found:
    f, s, t, v = key = r["family"], r["segment"], r["trait"], r["value"]
    n, whole = cell.get(key, 0), known.get(key[:3], 0)
    assert (r["known"], r["customers"], r["base_known"]) == (whole, size[f, s], base_known[t]), r
    seen[key] = r["suppressed"]
    if r["suppressed"]:
        assert all(missing(r[c]) for c in ("n", "share", "share_low", "share_high", "tgi", "p", "p_corrected")), r
        continue
    assert n >= 20 and r["n"] == n, r
    near(r["share"], n / whole, r)
    low, high = wilson(n, whole)
    near(r["share_low"], low, r), near(r["share_high"], high, r)
    if missing(r["base_n"]): continue
    assert r["base_n"] == base[t, v]
    near(r["tgi"], n / whole / (base[t, v] / base_known[t]) * 100, r)
    p = p_value(n, whole, base[t, v] - n, base_known[t] - whole)
    if p is not None:
        near(r["p"], p, r)
        tested.setdefault(f, []).append((r["p"], r["p_corrected"]))
for family, pairs in tested.items():
    for (_, ours), theirs in zip(pairs, false_discovery_control([p for p, _ in pairs])):
        near(ours, theirs, family)
# a withheld cell never stands alone, nor with so few that they tell of each other
for f, s in size:
    for t in base_known:
        if t in own[f]: continue
        hidden = [cell[f, s, t, v] for (tt, v) in base if tt == t and seen[f, s, t, v] and (f, s, t, v) in cell]
        free = [v for (tt, v) in base if tt == t and not seen[f, s, t, v]]
        assert not hidden or not free or (len(hidden) > 1 and sum(hidden) >= 20), (f, s, t, hidden)

contrasts = rows("segment_contrasts")
for f in own:
    segments = sorted(s for ff, s in size if ff == f)
    for i, a in enumerate(segments):
        for b in segments[i + 1:]:
            told = []
            for t, v in base:
                if t in own[f] or seen[f, a, t, v] or seen[f, b, t, v]: continue
                x, n, y, m = cell[f, a, t, v], known[f, a, t], cell[f, b, t, v], known[f, b, t]
                (l1, u1), (l2, u2), d = wilson(x, n), wilson(y, m), x / n - y / m
                low, high = d - math.hypot(x / n - l1, u2 - y / m), d + math.hypot(u1 - x / n, y / m - l2)
                if low <= 0 <= high: continue
                told.append((-max(low, -high), t, v, low, high, p_value(x, n, y, m)))
            told = sorted(told, key=lambda row: (round(row[0], 9), row[1:3]))[:5]
            ours = sorted((r for r in contrasts if (r["family"], r["segment"], r["other_segment"]) == (f, a, b)), key=lambda r: r["place"])
            assert [(r["trait"], r["value"]) for r in ours] == [row[1:3] for row in told], (f, a, b, ours, told)
            for r, row in zip(ours, told):
                near(r["difference_low"], row[3], r), near(r["difference_high"], row[4], r), near(r["p"], row[5], r)

crossed = ["gender", "age_group", "region", "spending_level", "buyer_grade", "order_value"]
combinations = {(r["family"], r["segment"], r["trait"], r["value"], r["other_trait"], r["other_value"]): r for r in rows("segment_combinations")}
duckdb.sql("create table both_held as select a.customer_id, a.trait, a.value, b.trait as other_trait, b.value as other_value from held a join held b using (customer_id)")
def counted(source, keys):
    return duckdb.sql(f"select {keys}, trait, value, other_trait, other_value, count(*) from {source} group by all").fetchall()
all_pairs = {row[:4]: row[4] for row in duckdb.sql("select trait, value, other_trait, other_value, count(*) from both_held group by all").fetchall()}
number = 0
rounded = lambda n: 5 * math.floor(n / 5 + .5)
for i, t in enumerate(crossed):
    for o in crossed[i + 1:]:
        n_all = sum(n for (a, _, b, _), n in all_pairs.items() if (a, b) == (t, o))
        parts = duckdb.sql(f"select family, segment, value, other_value, count(*) from both_held join members using (customer_id) where trait = '{t}' and other_trait = '{o}' group by all").fetchall()
        whole, first, second = {}, {}, {}
        for f, s, v, w, n in parts:
            whole[f, s] = whole.get((f, s), 0) + n
            first[f, s, v] = first.get((f, s, v), 0) + n
            second[f, s, w] = second.get((f, s, w), 0) + n
        for f, s, v, w, n in parts:
            row = combinations.get((f, s, t, v, o, w))
            if n < 20 or t in own[f] or o in own[f]:
                assert row is None, row
                continue
            number += 1
            share = rounded(n) / rounded(whole[f, s])
            near(row["share"], share, row)
            near(row["tgi"], share / (rounded(all_pairs[t, v, o, w]) / rounded(n_all)) * 100, row)
            near(row["lift"], rounded(n) * rounded(whole[f, s]) / (rounded(first[f, s, v]) * rounded(second[f, s, w])), row)
assert number == len(combinations), (number, len(combinations))

# of one number for each segment of a family: which are withheld
def withheld(counts):
    hidden = {s for s, n in counts.items() if n < 20}
    while (told := [counts[s] for s in hidden if counts[s]]) and (len(told) < 2 or sum(told) < 20) and len(hidden) < len(counts):
        hidden.add(min((n, s) for s, n in counts.items() if s not in hidden)[1])
    return hidden

numbers = rows("segment_numbers")
columns = {"monetary_total": "round(monetary_total, 0)", "avg_order_value": "round(avg_order_value, 0)", "purchase_cycle_days": "round(purchase_cycle_days, 0)",
    "items_per_order": "round(items_per_order, 1)", **{name: f"round({name}, 3)" for name in ("discounted_share", "return_rate", "evening_share", "weekend_share")}}
wanted = ("q05", "q25", "q50", "q75", "q95")
for name in sorted({r["number"] for r in numbers}):
    value = f"({columns.get(name, name)})::double"
    figures = f"count(v), avg(v), quantile_disc(v, [.05, .25, .5, .75, .95])"
    everyone = duckdb.sql(f"select {figures} from (select {value} as v from people)").fetchall()[0]
    each = {row[:2]: row[2:] for row in duckdb.sql(f"select family, segment, {figures} from (select family, m.segment as segment, {value} as v from people join members m using (customer_id)) group by all").fetchall()}
    for f in own:
        assert {r["segment"] for r in numbers if r["number"] == name and r["family"] == f and r["suppressed"]} \
            == withheld({s: row[0] for (ff, s), row in each.items() if ff == f}), (name, f)
    for r in (r for r in numbers if r["number"] == name):
        n, mean, quantiles = each[r["family"], r["segment"]]
        near(r["base_mean"], everyone[1], r)
        assert [r["base_" + q] for q in wanted] == everyone[2] and r["base_n"] == everyone[0], r
        if r["suppressed"]:
            assert all(missing(r[c]) for c in ("n", "mean", *wanted)), r
            continue
        assert n >= 20 and r["n"] == n and [r[q] for q in wanted] == quantiles, (r, quantiles)
        near(r["mean"], mean, r)
assert {(r["family"], r["segment"]) for r in numbers} == set(size)

duckdb.sql(f"""create table hours as
with visits as (
    select customer_id, event_date, hours, first_event_at from {table('facts.daily_activity')} join {table('identity.account_person')} using (account_id)
    union all
    select d.customer_id, event_date, hours, first_event_at from {table('facts.daily_activity')} a join {table('identity.device_person')} d
        on a.account_id is null and a.device_id = d.device_id and a.first_event_at >= d.valid_from and a.first_event_at < d.valid_to)
select distinct customer_id, event_date, isodow(event_date) as dow, h as hour
from visits, range(24) r(h), (select max(day) as day from people) where (hours >> h) & 1 = 1 and day - event_date <= 90
    and first_event_at::timestamp < '{as_of}'::timestamp""")
everyone = dict(((d, h), n) for d, h, n in duckdb.sql("select dow, hour, count(*) from hours group by all").fetchall())
each = {row[:4]: row[4] for row in duckdb.sql("select family, segment, dow, hour, count(*) from hours join members using (customer_id) group by all").fetchall()}
total, sums = sum(everyone.values()), {}
for (f, s, _, _), n in each.items(): sums[f, s] = sums.get((f, s), 0) + n
active = {row[:2]: row[2] for row in duckdb.sql("select family, segment, count(distinct customer_id) from hours join members using (customer_id) group by all").fetchall()}
heat = rows("segment_heat_map")
assert len(heat) == 168 * len(size)
for f in own:
    hidden = withheld({s: active.get((f, s), 0) for ff, s in size if ff == f})
    assert {r["segment"] for r in heat if r["family"] == f and r["suppressed"]} == hidden, (f, hidden)
for r in heat:
    f, s, d, h = r["family"], r["segment"], r["dow"], r["hour"]
    near(r["base_share"], everyone.get((d, h), 0) / total, r)
    if r["suppressed"]:
        assert missing(r["share"]) and missing(r["customer_hours"]), r
        continue
    n = each.get((f, s, d, h), 0)
    assert active[f, s] >= 20 and r["customer_hours"] == n, (r, n)
    near(r["share"], n / sums[f, s], r)
    if everyone.get((d, h)): near(r["index"], n / sums[f, s] / (everyone[d, h] / total) * 100, r)
print(len(found), len(contrasts), len(combinations), len(numbers), len(heat))
"#;
