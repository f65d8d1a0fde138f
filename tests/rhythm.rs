//! Rhythm, life cycle and the flow of buyers of real households, as DuckDB finds them on the receipts.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::complete_journey::{AS_OF, data, journey_run};
use crate::support::world::export;
use crate::support::{python, text};

#[test]
fn rhythm_and_life_cycle_equal_duckdb_household_by_household() {
    let folder = tempfile::tempdir().unwrap();
    for relation in ["customer_360", "life_cycle_flow", "identity.account_person"] {
        export(journey_run(), relation, folder.path());
    }
    let said = python::script(COMPARE, &[text(&data("transactions")), text(folder.path()), AS_OF]);
    // of 2,469 households so many have a rhythm; the months from January to December have five changes each
    assert_eq!(said.trim(), "2469 households, 2365 with a rhythm, 60 flows, 0 differences");
}

/// Every figure again from the receipts; the regularity as the paper writes it, with a share for each gap.
const COMPARE: &str = r#"
import sys, math, bisect, datetime, duckdb
from collections import defaultdict
transactions, folder, as_of = sys.argv[1:]
as_of = datetime.date.fromisoformat(as_of)
days = duckdb.execute("""select household_id::varchar,
    (transaction_timestamp at time zone 'UTC' at time zone 'America/New_York')::date as day,
    sum(sales_value::decimal(18, 2)), count(distinct basket_id)
    from read_parquet(?) group by all order by all""", [transactions]).fetchall()
households = defaultdict(list)
for household, day, net, baskets in days:
    households[household].append((day, net, baskets))

def state(recency, first, since_return, dormant, churned):
    if first < 30: return "new"
    if recency >= churned: return "churned"
    if recency >= dormant: return "dormant"
    return "won back" if since_return is not None and since_return < dormant else "active"

expected, buyers = {}, defaultdict(set)
for household, bought in households.items():
    on = [day for day, _, _ in bought]
    gaps = [(later - earlier).days for earlier, later in zip(on, on[1:])]
    first, recency = (as_of - on[0]).days, (as_of - on[-1]).days
    def since_return(churned):
        found = [(as_of - day).days for day, gap in zip(on[1:], gaps) if gap >= churned]
        return min(found, default=None)
    median = sorted(gaps)[(len(gaps) + 1) // 2 - 1] if gaps else None
    cycle = max(median, 7) if len(on) >= 4 else None
    regularity = None
    if cycle:
        shares = [gap / first for gap in gaps + [recency]]
        regularity = -sum(share * math.log(share) for share in shares) / math.log(len(shares))
    life_cycle = state(recency, first, since_return(90), 60, 90)
    own = state(recency, first, since_return(cycle * 3), cycle * 2, cycle * 3) if cycle else life_cycle
    year = sum(net for day, net, _ in bought if (on[-1] - day).days < 365)
    orders = sum(baskets for day, _, baskets in bought if (as_of - day).days <= 365)
    expected[household] = (median, regularity, recency >= 60, None if not cycle else recency >= 1.5 * cycle,
        orders >= 12, life_cycle, own, life_cycle == "churned" and year >= 8000)
    for day in on:
        buyers[day.year * 12 + day.month].add(household)

got = duckdb.sql(f"""select account_id, median_gap_days, purchase_regularity, dormant, overdue, high_frequency, life_cycle,
    own_life_cycle, high_value_churned from '{folder}/customer_360.parquet'
    join '{folder}/identity.account_person.parquet' using (customer_id)""").fetchall()
def alike(left, right):
    return left == right or (isinstance(left, float) and isinstance(right, float) and abs(left - right) < 1e-8)
differences = [(row, expected[row[0]]) for row in got if not all(map(alike, row[1:], expected[row[0]]))]
assert len(got) == len(expected) and not differences, differences[:5]
assert {row[6] for row in got} == {"new", "active", "dormant", "churned", "won back"}

flows, known = set(), set()
for month in range(2017 * 12 + 1, 2018 * 12 + 1):
    before, now = buyers[month - 1], buyers[month]
    away, first = known - before, datetime.date((month - 1) // 12, (month - 1) % 12 + 1, 1)
    flows |= {(first, "new", len(now - known)), (first, "retained", len(now & before)), (first, "lost", len(before - now)),
        (first, "won back", len(now & away)), (first, "stayed away", len(away - now))}
    known |= now
published = duckdb.sql(f"select month, change, customers from '{folder}/life_cycle_flow.parquet'").fetchall()
assert set(published) == flows and len(published) == len(flows), set(published) ^ flows
rhythmic = sum(row[2] is not None for row in got)
print(f"{len(got)} households, {rhythmic} with a rhythm, {len(flows)} flows, {len(differences)} differences")
"#;
