-- Lines of combinations, a segment and two traits each, that are not counted again, and the run whose counts stand in for theirs.
-- grain: family, segment, trait, other_trait
-- store: table
-- publish: none
-- why: as `portraits.carried_traits`, with counts that were rounded: as many customers as must have come or gone at least. What
--    was not published were fewer than `portrait_min_cell`; a line of which nothing was, and of which still few can have
--    come, is withheld: `counted_as_of` is NULL. Numbers are doubled, as a rounded count is off by half of the rounding at most
with
counts as (
    select
        coalesce(family, '') as family,
        coalesce(segment, '') as segment,
        trait,
        value,
        other_trait,
        other_value,
        customers
    from portraits.trait_counts
    where other_trait is not null
),

lines as (
    select
        family,
        segment,
        trait,
        other_trait
    from counts
    group by family, segment, trait, other_trait
),

segments as (
    select
        family,
        segment
    from portraits.trait_versions
    group by family, segment
),

versions as (
    select
        as_of,
        family,
        segment,
        trait,
        other_trait,
        max(known) as known
    from portraits.combination_versions
    group by as_of, family, segment, trait, other_trait
),

-- Earlier counts of each line, or none that was published.
earlier as (
    select
        v.as_of,
        l.family,
        l.segment,
        l.trait,
        l.other_trait,
        v.known
    from lines as l
    inner join segments as s on l.family = s.family and l.segment = s.segment
    left join versions as v
        on l.family = v.family and l.segment = v.segment and l.trait = v.trait and l.other_trait = v.other_trait
),

sides as (
    select
        e.as_of,
        c.family,
        c.segment,
        c.trait,
        c.value,
        c.other_trait,
        c.other_value,
        c.customers as n_now,
        0 as n_then,
        e.known
    from earlier as e
    inner join counts as c
        on e.family = c.family and e.segment = c.segment and e.trait = c.trait and e.other_trait = c.other_trait
    union all
    select
        as_of,
        family,
        segment,
        trait,
        value,
        other_trait,
        other_value,
        0 as n_now,
        n as n_then,
        known
    from portraits.combination_versions
),

cells as (
    select
        as_of,
        family,
        segment,
        trait,
        value,
        other_trait,
        other_value,
        sum(n_now) as n_now,
        sum(n_then) as n_then,
        max(known) as known
    from sides
    group by as_of, family, segment, trait, value, other_trait, other_value
),

moved as (
    select
        as_of,
        family,
        segment,
        trait,
        other_trait,
        sum(
            greatest(
                2 * n_now
                - case when n_then > 0 then 2 * n_then + $portrait_rounding else 2 * $portrait_min_cell - 2 end, 0
            )
        ) as rises,
        sum(greatest(2 * n_then - $portrait_rounding - 2 * n_now, 0)) as falls,
        abs(2 * sum(n_now) - 2 * coalesce(max(known), sum(n_now))) - $portrait_rounding as known_more
    from cells
    group by as_of, family, segment, trait, other_trait
)

select
    family,
    segment,
    trait,
    other_trait,
    max(as_of) filter (where as_of < $as_of) as counted_as_of
from moved
where greatest(rises, falls, known_more) < 2 * $portrait_min_cell
group by family, segment, trait, other_trait
