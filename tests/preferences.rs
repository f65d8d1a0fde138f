//! What customers prefer and how they care for prices: computed again by DuckDB, and found as well as it could be.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::support::python::script;
use crate::support::world::{export, generate, small_run};
use crate::support::{ok, text};

/// How many preferences there are, and those that DuckDB gets otherwise: from lines, orders and messages as they were
/// cleaned, of customers who consent, by the sums that the headers of the stages state.
const AGAIN: &str = r#"
import sys, duckdb
folder, = sys.argv[1:]
for name in ["staging.order_lines", "staging.orders", "staging.returns", "staging.products", "staging.messages",
        "staging.campaigns", "identity.account_person", "identity.person_consents", "customer_preferences"]:
    duckdb.sql(f"create table {name.split('.')[-1]} as from '{folder}/{name}.parquet'")
duckdb.sql("""delete from account_person where customer_id not in
(select customer_id from person_consents where purpose = 'marketing' and granted)""")
day = duckdb.sql("select max((as_of + interval 8 hours)::date) from customer_preferences").fetchall()[0][0]
decay = lambda column: f"power(0.5, ('{day}'::date - {column}) / 365)"
duckdb.sql(f"""create table lines as
select customer_id, product_id, coalesce(r.given_back < l.quantity, true) as kept, {decay('order_date')} as weight, order_date
from order_lines l join account_person using (account_id)
left join (select order_id, line_no, sum(quantity) as given_back from returns group by all) r using (order_id, line_no)
where not cancelled""")
duckdb.sql(f"""create table products_with_band as
select product_id, category, subcategory, brand,
    case when low and not high then 'low' when high and not low then 'high' else 'middle' end as "price band"
from (select p.product_id, category, p.subcategory, p.brand, count(*) filter (where o.list_price < p.list_price) < 0.33 * count(*) as low,
        count(*) filter (where o.list_price > p.list_price) < 0.33 * count(*) as high
    from products p join products o using (category) group by all)""")
tastes = [f"""select customer_id, '{dimension}' as dimension, "{dimension}" as value, count(*) as evidence, sum(weight) as weight,
    null as out_of, max(order_date) as last_on, 3 as least
    from lines join products_with_band using (product_id) where kept and "{dimension}" is not null group by all"""
    for dimension in ["category", "subcategory", "brand", "price band"]]
tastes.append(f"""select customer_id, 'shop channel', channel, count(*), sum({decay('order_date')}),
    null, max(order_date), 3
    from orders join account_person using (account_id) where not cancelled group by all""")
tastes += [f"""select customer_id, '{dimension}', {value}, count(*), sum(if({at} is null, 0, {decay('sent_date')})),
    sum({decay('sent_date')}), max(sent_date) filter (where {at} is not null), 2
    from messages m join account_person using (account_id) left join campaigns c on m.campaign_id = c.campaign_id
    where treated group by all""" for dimension, value, at in [("message channel", "m.channel", "opened_at"),
        ("joined channel", "m.channel", "joined_at"), ("content", "c.goal", "opened_at")]]
duckdb.sql("create table tastes as " + " union all ".join(tastes))
# a share of what was bought is out of everything, one of messages out of those of the value
duckdb.sql("""create table bases as
select dimension, value, sum(weight) / coalesce(sum(out_of),
    (select sum(weight) from tastes a where a.dimension = t.dimension)) as base_share
from tastes t group by dimension, value""")
duckdb.sql("""create table wholes as
select * replace (coalesce(out_of, sum(weight) over (partition by customer_id, dimension)) as out_of) from tastes""")
duckdb.sql("""create table expected as
select customer_id, dimension, value, (weight + 4 * base_share) / (out_of + 4) as strength, weight / out_of as share,
    base_share, evidence, last_on
from wholes join bases using (dimension, value)
where evidence >= least and weight > 0
qualify row_number() over (partition by customer_id, dimension order by strength desc, evidence desc, last_on desc, value) <= 3""")
near = lambda column: f"abs(e.{column} - p.{column}) < 1e-6"
print(*duckdb.sql(f"""select count(*) filter (where p.customer_id is not null), count(*) filter (where not coalesce(
    {near('strength')} and {near('share')} and {near('base_share')} and abs(e.strength / e.base_share - p.lift) < 1e-4
    and e.evidence = p.evidence and e.last_on = p.last_on, false)), count(distinct dimension)
from expected e full join customer_preferences p using (customer_id, dimension, value)""").fetchall()[0])
"#;

#[test]
fn preferences_are_what_duckdb_makes_of_the_cleaned_sources() {
    let folder = tempfile::tempdir().unwrap();
    for relation in [
        "staging.order_lines",
        "staging.orders",
        "staging.returns",
        "staging.products",
        "staging.messages",
        "staging.campaigns",
        "identity.account_person",
        "identity.person_consents",
        "customer_preferences",
    ] {
        export(small_run(), relation, folder.path());
    }
    let said = script(AGAIN, &[text(folder.path())]);
    let counts: Vec<u64> = said.split_whitespace().map(|count| count.parse().unwrap()).collect();
    assert!(counts[0] > 300, "{said}");
    assert_eq!(counts[1..], [0, 8], "differences, dimensions: {said}");
}

/// Prints how well tags agree with the truth, beside how well they could: F1 of price sensitivity over all persons and its
/// ceiling; accuracy of the preferred channel of who has one, that of the best observer of the same persons, its ceiling for
/// all who were sent anything, and the share of those who have one.
///
/// A person is the customer who holds most of their accounts, a customer the person of most of its accounts. Who has no tag
/// counts as not price sensitive. The best observer of channels sees all messages of a person, and knows the laws of rates.
const FOUND: &str = r#"
import math, sys, duckdb
lake, folder = sys.argv[1:]
truth = lambda name: f"'{lake}/truth/{name}.parquet'"
rows = lambda query: duckdb.sql(query).fetchall()
duckdb.sql(f"""create table held as select customer_id, person_id, count(*) as n
from '{folder}/identity.account_person.parquet' join {truth('accounts')} using (account_id) group by all""")
duckdb.sql(f"create view tags as from '{folder}/customer_360.parquet'")
most = lambda of, held: f"""select {of}, {held} from held
qualify row_number() over (partition by {of} order by n desc, {held}) = 1"""
ceiling = {(trait, measure): value for trait, measure, value in rows(f"select trait, measure, value from {truth('ceilings')}")}

f1 = rows(f"""select 2 * count(*) filter (where tagged and p.price_sensitive)
    / (count(*) filter (where tagged) + count(*) filter (where p.price_sensitive))
from (select t.price_sensitive, coalesce(g.price_sensitive, false) as tagged from {truth('traits')} t
    left join ({most('person_id', 'customer_id')}) using (person_id) left join tags g using (customer_id)) p""")[0][0]
print(f1, ceiling["price_sensitive", "f1"])

channels = ["sms", "email", "push", "community"]
traits = rows(f"select person_id, channel, {', '.join('open_rate_' + c for c in channels)} from {truth('traits')}")
reads = {row[0]: row[1] for row in traits}
def levels(rates):
    rates = sorted(rates)
    return [rates[(2 * level + 1) * len(rates) // 48] for level in range(24)]
favourite = levels(row[2 + channels.index(row[1])] for row in traits)
others = levels(row[2 + at] for row in traits for at in range(4) if channels[at] != row[1])
likelihood = lambda rates, opened, n: math.log(sum(p ** opened * (1 - p) ** (n - opened) for p in rates))
scores = {}
for person, channel, n, opened in rows(f"""select person_id, channel, count(distinct message_id),
        count(distinct message_id) filter (where opened_at is not null)
        from read_parquet('{lake}/raw/messages/**/*.parquet') join {truth('accounts')} using (account_id)
        where arm = 'treatment' group by all order by all"""):
    scores.setdefault(person, dict.fromkeys(channels, 0.0))[channel] = likelihood(favourite, opened, n) - likelihood(others, opened, n)
def best(person):
    given = scores.get(person, dict.fromkeys(channels, 0.0))
    first = [c for c in channels if given[c] == max(given.values())]
    return (reads[person] in first) / len(first)
tagged = rows(f"""select person_id, preferred_channel from tags join ({most('customer_id', 'person_id')}) using (customer_id)
where preferred_channel is not null order by all""")
print(sum(reads[person] == channel for person, channel in tagged) / len(tagged),
    sum(best(person) for person, _ in tagged) / len(tagged), ceiling["channel", "accuracy_of_reached"], len(tagged) / len(scores))
"#;

#[test]
fn planted_price_sensitivity_and_channels_are_found_nearly_as_well_as_can_be() {
    let (lake, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    generate(lake.path(), &["--scale", "0.02", "--days", "365", "--seed", "31"]);
    ok(&["run", "--lake", text(lake.path()), "--as-of", "latest"]);
    for relation in ["identity.account_person", "customer_360"] {
        export(lake.path(), relation, folder.path());
    }
    let said = script(FOUND, &[text(lake.path()), text(folder.path())]);
    eprintln!(
        "F1 and its ceiling; accuracy of channels, of the best observer, ceiling of the reached, share tagged\n{said}"
    );
    let found: Vec<f64> = said.split_whitespace().map(|number| number.parse().unwrap()).collect();
    assert!(found[0] >= 0.95 * found[1], "price sensitivity: {} of at best {}", found[0], found[1]);
    assert!(found[2] >= 0.95 * found[3], "channels: {} of at best {}", found[2], found[3]);
    assert!(found[2] >= 0.95 * found[4], "channels: {} of all at best {}", found[2], found[4]);
    assert!(found[5] > 0.4, "a channel is told of {} of the reached", found[5]);
}
