-- How many customers went from which segment to which between an earlier run and this one, family by family.
-- grain: as_of, from_as_of, family, from_segment, to_segment
-- store: table
-- publish: as_of
-- why: who came has no segment before, who left none after. Ways of fewer than `portrait_min_cell` customers are left out, and
--    further ones with them, so that none can be had by subtraction from what segments held before or hold now: what is
--    missing to these went a way that is left out
with
flows as (
    select
        from_as_of,
        family,
        coalesce(from_segment, '') as from_segment,
        from_name,
        coalesce(to_segment, '') as to_segment,
        to_name,
        customers
    from segments.segment_flows
),

origins as (
    select
        from_as_of,
        family,
        from_segment,
        max(from_name) as from_name
    from flows
    group by from_as_of, family, from_segment
),

targets as (
    select
        from_as_of,
        family,
        to_segment,
        max(to_name) as to_name
    from flows
    group by from_as_of, family, to_segment
),

cells as (
    select
        o.from_as_of,
        o.family,
        o.from_segment,
        t.to_segment,
        coalesce(f.customers, 0) as customers
    from origins as o
    inner join targets as t on o.from_as_of = t.from_as_of and o.family = t.family
    left join flows as f
        on
            o.from_as_of = f.from_as_of
            and o.family = f.family
            and o.from_segment = f.from_segment
            and t.to_segment = f.to_segment
),

-- What segments hold now, the totals, is the last row.
totalled as (
    select
        from_as_of,
        family,
        from_segment,
        to_segment,
        customers
    from cells
    union all
    select
        from_as_of,
        family,
        cast(null as varchar) as from_segment,
        to_segment,
        cast(sum(customers) as bigint) as customers
    from cells
    group by from_as_of, family, to_segment
),

tables as (
    select
        from_as_of,
        family,
        array_agg(from_segment order by from_segment nulls last, to_segment) as from_segments,
        array_agg(to_segment order by from_segment nulls last, to_segment) as to_segments,
        array_agg(customers order by from_segment nulls last, to_segment) as counts,
        count(*) filter (where from_segment is null) as columns
    from totalled
    group by from_as_of, family
),

judged as (
    select
        from_as_of,
        family,
        unnest(from_segments) as from_segment,
        unnest(to_segments) as to_segment,
        unnest(counts) as customers,
        unnest(suppressed_cells(counts, columns, $portrait_min_cell)) as suppressed
    from tables
)

select
    $as_of as as_of,
    j.from_as_of,
    j.family,
    case
        when j.from_segment = '' then 'came'
        when j.to_segment = '' then 'left'
        when j.from_segment = j.to_segment then 'stayed'
        else 'moved'
    end as change,
    nullif(j.from_segment, '') as from_segment,
    o.from_name,
    nullif(j.to_segment, '') as to_segment,
    t.to_name,
    j.customers
from judged as j
inner join origins as o
    on j.from_as_of = o.from_as_of and j.family = o.family and j.from_segment = o.from_segment
inner join targets as t on j.from_as_of = t.from_as_of and j.family = t.family and j.to_segment = t.to_segment
where not j.suppressed and j.customers > 0
