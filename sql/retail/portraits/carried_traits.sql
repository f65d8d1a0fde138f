-- Lines of portraits, a segment and a trait each, that are not counted again, and the run whose counts stand in for theirs.
-- grain: family, segment, trait
-- store: table
-- publish: none
-- why: from two counts of a line somebody could subtract what is true of those who came between. So each two that are published
--    differ by nothing, or by `portrait_min_cell` customers at least: by as many as must have come or gone, since each adds one to
--    a value, takes one from another, or both. Values that were withheld count together, as what is known tells their sum. A line
--    without earlier counts of which few are known in a later run, or that is nearer only to counts of a later day, is withheld:
--    `counted_as_of` is NULL
with
counts as (
    select
        coalesce(family, '') as family,
        coalesce(segment, '') as segment,
        trait,
        value,
        customers
    from portraits.trait_counts
    where other_trait is null
),

totals as (
    select
        family,
        segment,
        trait,
        sum(customers) as known
    from counts
    group by family, segment, trait
),

compared as (
    select
        v.as_of,
        v.family,
        v.segment,
        v.trait,
        sum(case when v.n is not null then greatest(coalesce(c.customers, 0) - v.n, 0) else 0 end) as rises,
        sum(case when v.n is not null then greatest(v.n - coalesce(c.customers, 0), 0) else 0 end) as falls,
        max(v.known) - coalesce(sum(v.n), 0) as withheld_then,
        coalesce(sum(case when v.n is not null then c.customers end), 0) as seen_now
    from portraits.trait_versions as v
    left join counts as c
        on v.family = c.family and v.segment = c.segment and v.trait = c.trait and v.value = c.value
    group by v.as_of, v.family, v.segment, v.trait
),

-- Lines that have no earlier counts stand with the totals of this run alone.
moved as (
    select
        m.as_of,
        coalesce(m.family, t.family) as family,
        coalesce(m.segment, t.segment) as segment,
        coalesce(m.trait, t.trait) as trait,
        m.rises,
        m.falls,
        coalesce(t.known, 0) as known,
        coalesce(t.known, 0) - m.seen_now - m.withheld_then as withheld_more,
        max(m.as_of) over () as latest
    from compared as m
    full outer join totals as t on m.family = t.family and m.segment = t.segment and m.trait = t.trait
)

select
    family,
    segment,
    trait,
    max(as_of) filter (where as_of < $as_of) as counted_as_of
from moved
where
    greatest(rises + greatest(withheld_more, 0), falls + greatest(-withheld_more, 0)) < $portrait_min_cell and as_of is not null
    -- the first of whom a trait is known would be told by its line
    or as_of is null and latest is not null and known < $portrait_min_cell
group by family, segment, trait
