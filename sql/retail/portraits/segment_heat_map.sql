-- When in the week each segment of each family is active on the web and in the app, hour by hour, beside all customers.
-- grain: as_of, family, segment, dow, hour
-- store: table
-- publish: as_of
-- why: an hour is one of a customer, on however many devices; day 1 is Monday. Segments of which few were active in the last
--    `heat_map_days` are suppressed, and with them another of the family if they could be computed from it
with
clock as (
    select cast(unnest(range(0, 24)) as int) as hour
),

week as (
    select cast(unnest(range(1, 8)) as int) as dow
),

-- The segments of each family and, as their total, all customers.
tables as (
    select
        g.family,
        array_agg(g.segment order by g.segment) as segments,
        suppressed_cells(
            array_append(array_agg(g.active_customers order by g.segment), max(a.active_customers)),
            1,
            $portrait_min_cell
        ) as suppressed
    from portraits.groups as g
    cross join (select active_customers from portraits.groups where family is null) as a
    where g.family is not null
    group by g.family
),

judged as (
    select
        family,
        unnest(segments) as segment,
        unnest(suppressed) as suppressed
    from tables
),

cells as (
    select
        g.family,
        g.segment,
        g.segment_name,
        g.segment_name_zh,
        w.dow,
        c.hour,
        coalesce(j.suppressed, g.active_customers < $portrait_min_cell) as suppressed,
        coalesce(a.customer_hours, 0) as customer_hours
    from portraits.groups as g
    cross join week as w
    cross join clock as c
    left join judged as j on g.family = j.family and g.segment = j.segment
    left join portraits.hour_cells as a
        on
            (g.family is not distinct from a.family)
            and (g.segment is not distinct from a.segment)
            and w.dow = a.dow
            and c.hour = a.hour
),

shares as (
    select
        family,
        segment,
        segment_name,
        segment_name_zh,
        dow,
        hour,
        suppressed,
        customer_hours,
        cast(customer_hours as double)
        / nullif(sum(customer_hours) over (partition by family, segment), 0) as share
    from cells
)

select
    $as_of as as_of,
    s.family,
    s.segment,
    s.segment_name,
    s.segment_name_zh,
    s.dow,
    s.hour,
    case when not s.suppressed then s.customer_hours end as customer_hours,
    case when not s.suppressed then s.share end as share,
    case when not b.suppressed then b.share end as base_share,
    case when not s.suppressed and not b.suppressed then s.share / nullif(b.share, 0.0) * 100 end as index,
    s.suppressed,
    $run_id as run_id
from shares as s
inner join shares as b on s.dow = b.dow and s.hour = b.hour
where s.family is not null and b.family is null
