-- Each two segments of a family beside each other: the values of traits in which they differ most.
-- grain: as_of, family, segment, other_segment, trait, value
-- store: table
-- publish: as_of
-- why: by Newcombe's interval of the difference of two shares, which must leave out zero; `place` 1 is the largest difference that
--    there is for sure, that is by the bound nearer to zero, and only so many as the setting says are kept. Suppressed cells are
--    not compared
with
cells as (
    select
        family,
        segment,
        segment_name,
        trait,
        value,
        n,
        whole
    from portraits.trait_cells
    where not suppressed and whole > 0
),

pairs as (
    select
        a.family,
        a.segment,
        a.segment_name,
        b.segment as other_segment,
        b.segment_name as other_segment_name,
        a.trait,
        a.value,
        cast(a.n as double) / a.whole as share,
        cast(b.n as double) / b.whole as other_share,
        newcombe_interval(a.n, a.whole, b.n, b.whole, $portrait_z) as bounds,
        two_proportion_p(a.n, a.whole, b.n, b.whole) as p
    from cells as a
    inner join cells as b on a.family = b.family and a.trait = b.trait and a.value = b.value
    where a.segment < b.segment
),

ranked as (
    select
        family,
        segment,
        segment_name,
        other_segment,
        other_segment_name,
        trait,
        value,
        share,
        other_share,
        bounds['low'] as difference_low,
        bounds['high'] as difference_high,
        p,
        row_number() over (
            partition by family, segment, other_segment
            -- shares that mirror each other are equal but for the last bits
            order by round(greatest(bounds['low'], -bounds['high']), 9) desc, trait, value
        ) as place
    from pairs
    where bounds['low'] > 0 or bounds['high'] < 0
)

select
    $as_of as as_of,
    family,
    segment,
    segment_name,
    other_segment,
    other_segment_name,
    trait,
    value,
    place,
    share,
    other_share,
    share - other_share as difference,
    difference_low,
    difference_high,
    p,
    $run_id as run_id
from ranked
where place <= $portrait_contrasts
