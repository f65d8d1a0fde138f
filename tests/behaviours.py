"""Tags of a generated world against its truth: for each planted behaviour the F1 of the tag among persons whose tag is known, and
the best F1 that an observer could reach who sees what raw tables give to persons (`truth/ceilings`).

Arguments: the lake, a folder with identity.account_person.parquet and customer_360.parquet."""
import json
import sys

import duckdb

lake, tables = sys.argv[1:]
duckdb.sql(f"""create view owners as
with shares as (
    select p.customer_id, t.person_id, count(*) as accounts
    from '{tables}/identity.account_person.parquet' as p join '{lake}/truth/accounts.parquet' as t using (account_id)
    group by all
)
select customer_id, arg_max(person_id, (accounts, -person_id)) as person_id from shares group by all""")
tags = {"hesitant": "hesitant", "impulsive": "impulse_buyer", "commuter": "commuter", "rain_lover": "rainy_day"}
found = {}
for trait, tag in tags.items():
    # the ceiling is that of the first persons; the tags are compared on the same ones
    ceiling, persons = duckdb.sql(f"""select value, n from '{lake}/truth/ceilings.parquet'
    where trait = '{trait}' and measure = 'f1_by_logins'""").fetchall()[0]
    duckdb.sql(f"""create or replace view judged as
    select o.person_id, bool_or(c.{tag}) as tagged, any_value(t.{trait}) as bearer
    from '{tables}/customer_360.parquet' as c join owners as o using (customer_id) join '{lake}/truth/traits.parquet' as t using (person_id)
    where c.{tag} is not null and o.person_id < {persons}
    group by all""")
    right, tagged, bearers, persons = duckdb.sql(
        "select sum((tagged and bearer)::int), sum(tagged::int), sum(bearer::int), count(*) from judged"
    ).fetchall()[0]
    found[trait] = {"f1": 2 * right / (tagged + bearers), "ceiling": ceiling, "persons": persons, "tagged": tagged}
print(json.dumps(found))
