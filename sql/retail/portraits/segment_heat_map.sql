-- When in the week each segment of each family is active on the web and in the app, hour by hour, beside all customers.
-- grain: as_of, family, segment, dow, hour
-- store: table
-- publish: as_of
-- columns: as_of timestamp(6), family varchar, segment varchar, segment_name varchar, segment_name_zh varchar, dow int, hour int,
--    customer_hours bigint, share double, base_share double, "index" double, suppressed boolean, counted_as_of timestamp(6),
--    base_counted_as_of timestamp(6), run_id varchar
-- why: an hour is one of a customer, on however many devices; day 1 is Monday. Segments of which few were active in the last
--    `heat_map_days` are suppressed, and with them another of the family if they could be computed from it. Figures are those of
--    `counted_as_of`, by `portraits.segment_releases`; what was withheld then stays withheld
with
clock as (
    select cast(unnest(range(0, 24)) as int) as hour
),

week as (
    select cast(unnest(range(1, 8)) as int) as dow
),

totals as (
    select
        coalesce(family, 'everyone') as family,
        coalesce(segment, 'everyone') as segment,
        sum(customer_hours) as customer_hours
    from portraits.hour_cells
    group by coalesce(family, 'everyone'), coalesce(segment, 'everyone')
),

-- Hours of each segment and of everyone, counted now or by an earlier run, of which only shares of everyone are published.
figures as (
    select
        r.family,
        r.segment,
        r.counted_as_of,
        w.dow,
        c.hour,
        g.active_customers,
        coalesce(a.customer_hours, 0) as customer_hours,
        cast(coalesce(a.customer_hours, 0) as double) / nullif(t.customer_hours, 0) as share
    from portraits.segment_releases as r
    inner join portraits.groups as g
        on r.family = coalesce(g.family, 'everyone') and r.segment = coalesce(g.segment, 'everyone')
    cross join week as w
    cross join clock as c
    left join totals as t on r.family = t.family and r.segment = t.segment
    left join portraits.hour_cells as a
        on
            r.family = coalesce(a.family, 'everyone')
            and r.segment = coalesce(a.segment, 'everyone')
            and w.dow = a.dow
            and c.hour = a.hour
    where r.counted_as_of = $as_of
    union all
    select
        r.family,
        r.segment,
        r.counted_as_of,
        h.dow,
        h.hour,
        case when h.suppressed then 0 else $portrait_min_cell end as active_customers,
        h.customer_hours,
        h.share
    from segment_heat_map as h
    inner join portraits.segment_releases as r
        on h.family = r.family and h.segment = r.segment and h.as_of = r.counted_as_of
    where h.counted_as_of = h.as_of
    union all
    select
        r.family,
        r.segment,
        r.counted_as_of,
        h.dow,
        h.hour,
        case when bool_or(h.base_share is not null) then $portrait_min_cell else 0 end as active_customers,
        cast(null as bigint) as customer_hours,
        max(h.base_share) as share
    from segment_heat_map as h
    inner join portraits.segment_releases as r on h.as_of = r.counted_as_of
    where r.family = 'everyone' and h.base_counted_as_of = h.as_of
    group by r.family, r.segment, r.counted_as_of, h.dow, h.hour
),

active as (
    select
        family,
        segment,
        max(active_customers) as active_customers
    from figures
    group by family, segment
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
    from active as g
    cross join (select active_customers from active where family = 'everyone') as a
    where g.family <> 'everyone'
    group by g.family
),

judged as (
    select
        family,
        unnest(segments) as segment,
        unnest(suppressed) as suppressed
    from tables
    union all
    select
        family,
        segment,
        active_customers < $portrait_min_cell as suppressed
    from active
    where family = 'everyone'
),

shares as (
    select
        f.family,
        f.segment,
        f.counted_as_of,
        f.dow,
        f.hour,
        j.suppressed,
        f.customer_hours,
        f.share
    from figures as f
    inner join judged as j on f.family = j.family and f.segment = j.segment
)

select
    $as_of as as_of,
    s.family,
    s.segment,
    g.segment_name,
    g.segment_name_zh,
    s.dow,
    s.hour,
    case when not s.suppressed then s.customer_hours end as customer_hours,
    case when not s.suppressed then s.share end as share,
    case when not b.suppressed then b.share end as base_share,
    case when not s.suppressed and not b.suppressed then s.share / nullif(b.share, 0.0) * 100 end as index,
    s.suppressed,
    s.counted_as_of,
    b.counted_as_of as base_counted_as_of,
    $run_id as run_id
from shares as s
inner join shares as b on s.dow = b.dow and s.hour = b.hour
inner join portraits.groups as g on s.family = g.family and s.segment = g.segment
where s.family <> 'everyone' and b.family = 'everyone'
