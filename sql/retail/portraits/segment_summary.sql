-- One row per segment of each family: its size, its share of customers and spend, and the features that decide it.
-- grain: as_of, family, segment
-- store: table
-- publish: as_of
-- why: spend is all-time and net; the deciding features are those that most often stand among the first three of a
--    member
with
sizes as (
    select
        family,
        segment,
        segment_name,
        segment_name_zh,
        count(*) as customers,
        sum(monetary_total) as spend,
        sum(frequency) as orders,
        avg(cast(recency_days as decimal(18, 4))) as mean_recency_days
    from segments.family_members
    group by family, segment, segment_name, segment_name_zh
),

totals as (
    select
        family,
        sum(customers) as customers,
        sum(spend) as spend
    from sizes
    group by family
),

explained as (
    select
        family,
        cast(segment as varchar) as segment,
        deciding_features
    from segments.assigned
),

decided as (
    select
        family,
        segment,
        unnest(deciding_features) as feature
    from explained
),

counted as (
    select
        family,
        segment,
        feature,
        count(*) as members
    from decided
    group by family, segment, feature
),

ranked as (
    select
        family,
        segment,
        feature,
        row_number() over (
            partition by family, segment
            order by members desc, feature
        ) as place
    from counted
),

deciding as (
    select
        family,
        segment,
        array_agg(feature order by place) as deciding_features
    from ranked
    where place <= 3
    group by family, segment
)

select
    $as_of as as_of,
    s.family,
    s.segment,
    s.segment_name,
    s.segment_name_zh,
    s.customers,
    cast(s.customers as double) / nullif(t.customers, 0) as customer_share,
    cast(s.spend as decimal(18, 2)) as spend,
    cast(s.spend as double) / nullif(cast(t.spend as double), 0) as spend_share,
    cast(s.orders as bigint) as orders,
    cast(s.mean_recency_days as decimal(18, 1)) as mean_recency_days,
    d.deciding_features,
    $run_id as run_id
from sizes as s
inner join totals as t on s.family = t.family
left join deciding as d on s.family = d.family and s.segment = d.segment
