"""The job in PySpark and MLlib: RAW OUT AS_OF THREADS MEMORY."""

import sys
import time

started = time.perf_counter()

from pyspark.ml.clustering import KMeans  # noqa: E402
from pyspark.ml.feature import StandardScaler, VectorAssembler  # noqa: E402
from pyspark.sql import SparkSession  # noqa: E402
from pyspark.sql import functions as F  # noqa: E402

from common import (  # noqa: E402
    COUNTS_OR_ZERO,
    FEATURES_OF_COUNTS,
    LOGGED,
    SAMPLE,
    SEGMENTS,
    VECTOR,
    day_of,
)
from phases import Phases  # noqa: E402

# Each start is several jobs to Spark; the others take sixteen.
SPARK_STARTS = 4

JUDGED = """
select
    event_id, account_id, event_type, product_id, dwell_ms, event_time, ingested_at, event_date,
    case
        when event_id is null or device_id is null or event_time is null then 'missing_key'
        when event_time > ingested_at then 'future_event'
        when unix_micros(ingested_at) - unix_micros(event_time) > 7 * 86400000000 then 'too_late_event'
        when event_type is null or event_type not in ('view', 'search', 'cart', 'dwell', 'login')
            then 'unknown_event_type'
    end as broken
from events
where ingested_at < timestamp '{as_of}' or ingested_at is null
"""

# Only keys that stand twice are numbered: a window over all events sorts them all.
RULED = """
with
copies as (
    select event_date, event_id
    from judged
    group by event_date, event_id
    having count(*) > 1
)

select account_id, event_type, product_id, dwell_ms, event_time, event_date, broken as rule, event_id
from judged as j
left anti join copies as c on j.event_date = c.event_date and j.event_id <=> c.event_id
union all
select
    account_id, event_type, product_id, dwell_ms, event_time, event_date,
    case when broken is not null then broken when copy > 1 then 'duplicate_event' end as rule, event_id
from (
    select
        j.*,
        row_number() over (
            partition by j.event_date, j.event_id
            order by
                broken is not null, ingested_at nulls last, event_time nulls last, account_id nulls last,
                event_type nulls last, product_id nulls last, dwell_ms nulls last
        ) as copy
    from judged as j
    left semi join copies as c on j.event_date = c.event_date and j.event_id <=> c.event_id
)
"""

DAYS = """
select
    event_date,
    nullif(trim(account_id), '') as account_id,
    case when rule is not null then event_id end as rejected_event_id,
    count(*) as events,
    count_if(event_type = 'view') as views,
    count_if(event_type = 'search') as searches,
    count_if(event_type = 'cart') as carts,
    coalesce(sum(dwell_ms) filter (where dwell_ms between 0 and 3600000), 0) as dwell_ms,
    bit_or(shiftleft(1L, hour(event_time + interval 8 hours))) as hours,
    min(event_time) as first_event_at,
    max(event_time) as last_event_at,
    collect_set(product_id) filter (
        where event_type = 'view' and account_id is not null and rule is null
    ) as products,
    rule
from ruled
group by event_date, nullif(trim(account_id), ''), case when rule is not null then event_id end, rule
"""

LINES = """
with
o as (
    select order_id, account_id, status, order_date, row_number() over (
        partition by order_date, order_id
        order by ingested_at nulls last, account_id nulls last, status nulls last
    ) as copy
    from orders
    where (ingested_at < timestamp '{as_of}' or ingested_at is null) and order_id is not null and account_id is not null
),
l as (
    select
        order_id, line_no, product_id, quantity, cast(unit_price as decimal(18, 2)) as unit_price, order_date,
        row_number() over (
            partition by order_date, order_id, line_no
            order by ingested_at nulls last, product_id nulls last, quantity nulls last, unit_price nulls last
        ) as copy
    from order_items
    where (ingested_at < timestamp '{as_of}' or ingested_at is null) and order_id is not null and line_no is not null
        and quantity between 1 and 200 and unit_price between 0 and 1000000
)

select
    l.order_date, l.order_id, o.account_id, l.product_id, l.quantity,
    cast(l.quantity * l.unit_price as decimal(18, 2)) as amount
from l inner join o on l.order_date = o.order_date and l.order_id = o.order_id
where l.copy = 1 and o.copy = 1 and lower(trim(o.status)) <> 'cancelled'
"""

# Distinct things are counted by two groupings: counted side by side, Spark copies every row once for each of them.
FEATURES = """
with
d as (
    select
        account_id,
        max(event_date) as last_active_on,
        count(*) as active_days,
        sum(events) as events,
        sum(views) as views,
        sum(searches) as searches,
        sum(carts) as carts,
        sum(dwell_ms) as dwell_ms,
        count_if((hours & 16515072) > 0) as evening_days,
        count_if(weekday(event_date) >= 5) as weekend_days,
        count_if(datediff(date '{day}', event_date) <= 90) as active_days_90
    from days
    where rule is null and account_id is not null
    group by account_id
),
v as (
    select account_id, count(*) as viewed_products
    from (
        select distinct account_id, explode(products) as product_id
        from days
        where rule is null and account_id is not null
    )
    group by account_id
),
s as (
    select account_id, count(*) as bought_products, sum(items) as items, sum(gross) as gross
    from (
        select account_id, product_id, sum(quantity) as items, sum(amount) as gross
        from lines
        group by account_id, product_id
    )
    group by account_id
),
c as (
    select account_id, sum(orders) as orders, count(*) as purchase_days, max(order_date) as last_order_on
    from (
        select account_id, order_date, count(*) as orders
        from (select distinct account_id, order_date, order_id from lines)
        group by account_id, order_date
    )
    group by account_id
),
p as (select * from s inner join c using (account_id)),
j as (
    select
        coalesce(d.account_id, p.account_id) as account_id,
        last_active_on, last_order_on,
        {counts}
    from d
    left join v on d.account_id = v.account_id
    full join p on d.account_id = p.account_id
)

select
    account_id,
    coalesce(datediff(date '{day}', greatest(last_active_on, last_order_on)), 400) as recency_days,
    {features}
from j
"""


def segments(features):
    """Labels by MLlib's k-means, which knows one start only: learned on a sample, the best of several."""
    vectors = features.select(
        "*", *[(F.log1p(name) if name in LOGGED else F.col(name).cast("double")).alias("x_" + name) for name in VECTOR]
    )
    names = ["x_" + name for name in VECTOR]
    vectors = VectorAssembler(inputCols=names, outputCol="raw_vector").transform(vectors).drop(*names)
    scaler = StandardScaler(inputCol="raw_vector", outputCol="features", withMean=True).fit(vectors)
    vectors = scaler.transform(vectors).drop("raw_vector").cache()
    sample = vectors.select("features").sample(min(1.0, SAMPLE / vectors.count()), seed=7).cache()
    models = [KMeans(k=SEGMENTS, seed=seed, maxIter=100).fit(sample) for seed in range(SPARK_STARTS)]
    model = min(models, key=lambda model: model.summary.trainingCost)
    return model.transform(vectors).drop("features").withColumnRenamed("prediction", "segment")


def main(raw, out, as_of, threads, memory):
    spark = (
        SparkSession.builder.master(f"local[{threads}]")
        .config("spark.driver.memory", memory.lower().replace("ib", ""))
        .config("spark.sql.shuffle.partitions", 4 * int(threads))
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    phases = Phases("PySpark + MLlib", started)
    for name in ["events", "orders", "order_items"]:
        spark.read.parquet(f"{raw}/{name}").createOrReplaceTempView(name)
    for name, query in [("judged", JUDGED), ("ruled", RULED), ("days", DAYS)]:
        spark.sql(query.format(as_of=as_of)).createOrReplaceTempView(name)
    spark.table("days").write.mode("overwrite").option("compression", "zstd").parquet(out + ".facts.parquet")
    spark.read.parquet(out + ".facts.parquet").createOrReplaceTempView("days")
    phases.done("facts")
    spark.sql(LINES.format(as_of=as_of)).cache().createOrReplaceTempView("lines")
    features = spark.sql(FEATURES.format(day=day_of(as_of), counts=COUNTS_OR_ZERO, features=FEATURES_OF_COUNTS)).cache()
    features.count()
    phases.done("features")
    labelled = segments(features)
    phases.done("k-means")
    labelled.write.mode("overwrite").partitionBy("segment").option("compression", "zstd").parquet(out)
    phases.done("write")
    phases.report()
    spark.stop()


main(*sys.argv[1:])
