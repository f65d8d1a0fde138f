-- One row per segment of each family: its size, its share of customers and spend, and the features that decide it.
-- grain: as_of, family, segment
-- store: table
-- publish: as_of
-- columns: as_of timestamp(6), family varchar, segment varchar, segment_name varchar, segment_name_zh varchar, customers bigint,
--    customer_share double, spend decimal(18, 2), spend_share double, orders bigint, mean_recency_days decimal(18, 1),
--    deciding_features array<varchar>, suppressed boolean, counted_as_of timestamp(6), run_id varchar
-- why: spend is all-time and net; the deciding features are those that most often stand among the first three of a
--    member. Spend, orders and recency are those of `counted_as_of`, and withheld (`suppressed`) of segments of few customers
--    and of another by which they could be computed; shares of spend are of all that is shown of the family
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
        sum(customers) as customers
    from sizes
    group by family
),

earlier as (
    select
        s.family,
        s.segment,
        s.spend,
        s.orders,
        s.mean_recency_days,
        s.suppressed
    from segment_summary as s
    inner join portraits.segment_releases as r
        on s.family = r.family and s.segment = r.segment and s.as_of = r.counted_as_of
    where s.counted_as_of = s.as_of
),

-- What was withheld stays withheld, and protects no other.
released as (
    select
        s.family,
        s.segment,
        r.counted_as_of,
        case when r.counted_as_of = $as_of then s.spend else e.spend end as spend,
        case when r.counted_as_of = $as_of then s.orders else e.orders end as orders,
        case when r.counted_as_of = $as_of then s.mean_recency_days else e.mean_recency_days end as mean_recency_days,
        case
            when r.counted_as_of = $as_of then s.customers
            when e.suppressed = false then $portrait_min_cell
            else 0
        end as customers
    from sizes as s
    inner join portraits.segment_releases as r on s.family = r.family and s.segment = r.segment
    left join earlier as e on s.family = e.family and s.segment = e.segment
),

tables as (
    select
        family,
        array_agg(segment order by segment) as segments,
        suppressed_cells(
            array_append(array_agg(customers order by segment), sum(customers)), 1, $portrait_min_cell
        ) as suppressed
    from released
    group by family
),

judged as (
    select
        family,
        unnest(segments) as segment,
        unnest(suppressed) as suppressed
    from tables
),

shown as (
    select
        r.family,
        r.segment,
        r.counted_as_of,
        j.suppressed,
        case when not j.suppressed then r.spend end as spend,
        case when not j.suppressed then r.orders end as orders,
        case when not j.suppressed then r.mean_recency_days end as mean_recency_days,
        sum(case when not j.suppressed then r.spend end) over (partition by r.family) as family_spend
    from released as r
    inner join judged as j on r.family = j.family and r.segment = j.segment
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
    cast(w.spend as decimal(18, 2)) as spend,
    cast(w.spend as double) / nullif(cast(w.family_spend as double), 0) as spend_share,
    cast(w.orders as bigint) as orders,
    cast(w.mean_recency_days as decimal(18, 1)) as mean_recency_days,
    d.deciding_features,
    w.suppressed,
    w.counted_as_of,
    $run_id as run_id
from sizes as s
inner join totals as t on s.family = t.family
inner join shown as w on s.family = w.family and s.segment = w.segment
left join deciding as d on s.family = d.family and s.segment = d.segment
