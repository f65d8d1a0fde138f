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
        other_trait,
        row_number() over (partition by family, segment, trait, other_trait order by as_of desc) as place
    from published
    group by as_of, family, segment, trait, other_trait
)

select
    p.as_of,
    p.family,
    p.segment,
    p.trait,
    p.value,
    p.other_trait,
    p.other_value,
    p.n,
    p.known,
    p.share,
    p.lift
from published as p
inner join ranked as r
    on
        p.as_of = r.as_of
        and p.family = r.family
        and p.segment = r.segment
        and p.trait = r.trait
        and p.other_trait = r.other_trait
where r.place <= $portrait_versions
