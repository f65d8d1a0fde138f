"""The job in DuckDB and scikit-learn: RAW OUT AS_OF THREADS MEMORY."""

import shutil
import sys
import time

started = time.perf_counter()

import duckdb  # noqa: E402
import pyarrow  # noqa: E402

from common import COUNTS_OR_ZERO, FEATURES_OF_COUNTS, day_of, segments  # noqa: E402
from phases import Phases  # noqa: E402

EVENTS = """
create temp view judged as
select
    event_id, account_id, event_type, product_id, dwell_ms, event_time, ingested_at, event_date,
    case
        when event_id is null or device_id is null or event_time is null then 'missing_key'
        when event_time > ingested_at then 'future_event'
        when epoch_us(ingested_at) - epoch_us(event_time) > 7 * 86400000000 then 'too_late_event'
        when event_type is null or event_type not in ('view', 'search', 'cart', 'dwell', 'login')
            then 'unknown_event_type'
    end as broken
from read_parquet('{raw}/events/*/*.parquet', hive_partitioning = true)
where ingested_at < timestamp '{as_of}' or ingested_at is null
"""

# Only keys that stand twice are numbered: a window over all events takes several times as long.
REPEATED = """
create temp table copies as
select event_date, event_id
from judged
group by event_date, event_id
having count(*) > 1
"""

FACTS = """
create temp view ruled as
select account_id, event_type, product_id, dwell_ms, event_time, event_date, broken as rule, event_id
from judged as j
anti join copies as c on j.event_date = c.event_date and j.event_id is not distinct from c.event_id
union all
select
    account_id, event_type, product_id, dwell_ms, event_time, event_date,
    case when broken is not null then broken when copy > 1 then 'duplicate_event' end as rule, event_id
from (
    select
        j.*,
        row_number() over (
            partition by j.event_date, j.event_id
            order by broken is not null, ingested_at, event_time, account_id, event_type, product_id, dwell_ms
        ) as copy
    from judged as j
    semi join copies as c on j.event_date = c.event_date and j.event_id is not distinct from c.event_id
)
"""

DAYS = """
create table days as
select
    event_date,
    nullif(trim(account_id), '') as account_id,
    case when rule is not null then event_id end as rejected_event_id,
    count(*) as events,
    count(*) filter (where event_type = 'view') as views,
    count(*) filter (where event_type = 'search') as searches,
    count(*) filter (where event_type = 'cart') as carts,
    coalesce(sum(dwell_ms) filter (where dwell_ms between 0 and 3600000), 0) as dwell_ms,
    bit_or(1::bigint << hour(event_time + interval 8 hour)) as hours,
    min(event_time) as first_event_at,
    max(event_time) as last_event_at,
    list(distinct product_id) filter (
        where event_type = 'view' and product_id is not null and account_id is not null and rule is null
    ) as products,
    rule
from ruled
group by all
"""

LINES = """
create temp table lines as
with
o as (
    select order_id, account_id, status, order_date
    from read_parquet('{raw}/orders/*/*.parquet', hive_partitioning = true)
    where (ingested_at < timestamp '{as_of}' or ingested_at is null) and order_id is not null and account_id is not null
    qualify row_number() over (partition by order_date, order_id order by ingested_at, account_id, status) = 1
),
l as (
    select order_id, line_no, product_id, quantity, round(unit_price, 2)::decimal(18, 2) as unit_price, order_date
    from read_parquet('{raw}/order_items/*/*.parquet', hive_partitioning = true)
    where (ingested_at < timestamp '{as_of}' or ingested_at is null) and order_id is not null and line_no is not null
        and quantity between 1 and 200 and unit_price between 0 and 1000000
    qualify row_number() over (
        partition by order_date, order_id, line_no order by ingested_at, product_id, quantity, unit_price
    ) = 1
)
select l.order_date, l.order_id, o.account_id, l.product_id, l.quantity, l.quantity * l.unit_price as amount
from l inner join o on l.order_date = o.order_date and l.order_id = o.order_id
where lower(trim(o.status)) <> 'cancelled'
"""

FEATURES = """
create table features as
with
d as (
    select
        account_id,
        max(event_date) as last_active_on,
        count(*) as active_days,
        sum(events)::bigint as events,
        sum(views)::bigint as views,
        sum(searches)::bigint as searches,
        sum(carts)::bigint as carts,
        sum(dwell_ms)::bigint as dwell_ms,
        count(*) filter (where (hours & 16515072) > 0) as evening_days,
        count(*) filter (where isodow(event_date) in (6, 7)) as weekend_days,
        count(*) filter (where date '{day}' - event_date <= 90) as active_days_90
    from days
    where rule is null and account_id is not null
    group by account_id
),
v as (
    select account_id, count(*) as viewed_products
    from (
        select distinct account_id, unnest(products) as product_id
        from days
        where rule is null and account_id is not null
    )
    group by account_id
),
p as (
    select
        account_id,
        count(distinct order_date || ' ' || order_id) as orders,
        count(distinct order_date) as purchase_days,
        max(order_date) as last_order_on,
        count(distinct product_id) as bought_products,
        sum(quantity)::bigint as items,
        sum(amount)::decimal(18, 2) as gross
    from lines
    group by account_id
),
j as (
    select
        coalesce(d.account_id, p.account_id) as account_id,
        last_active_on, last_order_on,
        {counts}
    from d
    left join v using (account_id)
    full join p on d.account_id = p.account_id
)
select
    account_id,
    coalesce(date '{day}' - greatest(last_active_on, last_order_on), 400) as recency_days,
    {features}
from j
"""


def main(raw, out, as_of, threads, memory):
    shutil.rmtree(out, ignore_errors=True)
    db = duckdb.connect(config={"threads": threads, "memory_limit": memory, "preserve_insertion_order": "false"})
    phases = Phases("DuckDB + scikit-learn", started)
    db.execute(EVENTS.format(raw=raw, as_of=as_of))
    db.execute(REPEATED)
    db.execute(FACTS)
    db.execute(DAYS)
    db.execute(f"copy days to '{out}.facts.parquet' (format parquet, compression zstd)")
    phases.done("facts")
    db.execute(LINES.format(raw=raw, as_of=as_of))
    db.execute(FEATURES.format(day=day_of(as_of), counts=COUNTS_OR_ZERO, features=FEATURES_OF_COUNTS))
    phases.done("features")
    table = db.sql("select * from features order by account_id").to_arrow_table()
    columns = {name: table[name].to_numpy() for name in table.column_names if name != "account_id"}
    labels = segments(columns)
    phases.done("k-means")
    labelled = table.append_column("segment", pyarrow.array(labels.astype("int32")))
    db.execute(f"copy labelled to '{out}' (format parquet, partition_by (segment), compression zstd)")
    phases.done("write")
    phases.report()


main(*sys.argv[1:])
