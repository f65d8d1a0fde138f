-- Segments of this run or the one before that are not exactly once in the lineage, with all their customers.
with
latest as (
    select max(as_of) as as_of
    from customer_360
    where as_of < $as_of
),

parts as (
    select
        family,
        segment,
        1 as lineage_rows,
        coalesce(customers_before, 0) as customers_before,
        coalesce(customers_now, 0) as customers_now
    from segments.segment_lineage
    union all
    select h.family, h.segment, 0 as lineage_rows, -count(*) as customers_before, 0 as customers_now
    from segments.family_history as h
    inner join latest as l on h.as_of = l.as_of
    where h.as_of < $as_of
    group by h.family, h.segment
    union all
    select m.family, m.segment, 0 as lineage_rows, 0 as customers_before, -count(*) as customers_now
    from segments.family_members as m
    cross join latest as l
    where l.as_of is not null
    group by m.family, m.segment
)

select
    family,
    segment,
    sum(lineage_rows) as lineage_rows,
    sum(customers_before) as customers_before,
    sum(customers_now) as customers_now
from parts
group by family, segment
having sum(lineage_rows) <> 1 or sum(customers_before) <> 0 or sum(customers_now) <> 0
