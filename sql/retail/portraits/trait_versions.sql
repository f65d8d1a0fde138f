-- Earlier counts of the lines of portraits, a segment and a trait each: the latest `portrait_versions` that differ, as published.
-- grain: as_of, family, segment, trait, value
-- store: table
-- publish: none
-- why: the base of all customers is the line of no family, written ''. A count that was withheld is NULL
with
published as (
    select
        as_of,
        family,
        segment,
        trait,
        value,
        n,
        known,
        customers
    from segment_portraits
    where counted_as_of = as_of
    union all
    select
        as_of,
        '' as family,
        '' as segment,
        trait,
        value,
        max(base_n) as n,
        max(base_known) as known,
        max(base_customers) as customers
    from segment_portraits
    where base_counted_as_of = as_of
    group by as_of, trait, value
),

ranked as (
    select
        as_of,
        family,
        segment,
        trait,
        value,
        n,
        known,
        customers,
        dense_rank() over (partition by family, segment, trait order by as_of desc) as place
    from published
)

select
    as_of,
    family,
    segment,
    trait,
    value,
    n,
    known,
    customers
from ranked
where place <= $portrait_versions
