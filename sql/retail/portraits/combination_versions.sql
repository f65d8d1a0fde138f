-- Earlier counts of two traits together, a segment each: the latest `portrait_versions` that differ, as published.
-- grain: as_of, family, segment, trait, value, other_trait, other_value
-- store: table
-- publish: none
-- why: the base of all customers is the line of no family, written ''
with
published as (
    select
        as_of,
        family,
        segment,
        trait,
        value,
        other_trait,
        other_value,
        n,
        known,
        share,
        lift
    from segment_combinations
    where counted_as_of = as_of
    union all
    select
        as_of,
        '' as family,
        '' as segment,
        trait,
        value,
        other_trait,
        other_value,
        max(base_n) as n,
        max(base_known) as known,
        max(base_share) as share,
        max(base_lift) as lift
    from segment_combinations
    where base_counted_as_of = as_of
    group by as_of, trait, value, other_trait, other_value
),

ranked as (
    select
        as_of,
        family,
        segment,
        trait,
        value,
        other_trait,
        other_value,
        n,
        known,
        share,
        lift,
        dense_rank() over (partition by family, segment, trait, other_trait order by as_of desc) as place
    from published
)

select
    as_of,
    family,
    segment,
    trait,
    value,
    other_trait,
    other_value,
    n,
    known,
    share,
    lift
from ranked
where place <= $portrait_versions
