-- Each segment of each family by every value of every trait, beside all customers: shares, TGI, and how sure they are.
-- grain: as_of, family, segment, trait, value
-- store: table
-- publish: as_of
-- columns: as_of timestamp(6), family varchar, segment varchar, segment_name varchar, segment_name_zh varchar, trait varchar,
--    value varchar, place bigint, n bigint, known bigint, customers bigint, share double, share_low double, share_high double,
--    base_n bigint, base_known bigint, base_customers bigint, base_share double, base varchar, tgi double, p double,
--    p_corrected double, suppressed boolean, counted_as_of timestamp(6), base_counted_as_of timestamp(6), run_id varchar
-- why: TGI is the share of the segment over that of the base, times 100; the base is all customers of whom the trait is known,
--    or all there are (`base`, by setting). p-values are of the segment against the rest of the base, corrected for all cells
--    of the family (Benjamini and Hochberg 1995, step-up). Cells of few customers, and further ones by which they could be
--    computed, are suppressed. A line of which few customers have changed stands as an earlier run counted it: `counted_as_of`,
--    NULL where nothing may be known. `place` 1 is what tells most: differences that are no chance first, then by the ratio
with
tested as (
    select
        family,
        segment,
        segment_name,
        segment_name_zh,
        trait,
        value,
        n,
        known,
        customers,
        whole,
        base_n,
        base_known,
        base_customers,
        base_whole,
        suppressed,
        base_suppressed,
        counted_as_of,
        base_counted_as_of,
        cast(n as double) / nullif(whole, 0) as share,
        cast(base_n as double) / nullif(base_whole, 0) as base_share,
        -- counts of different runs may not fit into each other
        case
            when suppressed or base_suppressed or base_n < n or base_whole - whole < base_n - n then null
            else two_proportion_p(n, whole, base_n - n, base_whole - whole)
        end as p
    from portraits.trait_cells
),

ranked as (
    select
        family,
        segment,
        trait,
        value,
        p,
        p * count(*) over (partition by family)
        / row_number() over (partition by family order by p, segment, trait, value) as scaled
    from tested
    where p is not null
),

corrected as (
    select
        family,
        segment,
        trait,
        value,
        -- the least of this and of all larger ones
        least(
            min(scaled) over (
                partition by family
                order by p desc, segment desc, trait desc, value desc
                rows between unbounded preceding and current row
            ),
            1.0
        ) as p_corrected
    from ranked
),

measured as (
    select
        t.family,
        t.segment,
        t.segment_name,
        t.segment_name_zh,
        t.trait,
        t.value,
        t.customers,
        t.known,
        t.base_customers,
        t.base_known,
        t.suppressed,
        t.counted_as_of,
        t.base_counted_as_of,
        case when not t.suppressed then t.n end as n,
        case when not t.suppressed then t.share end as share,
        case when not t.suppressed then wilson_interval(t.n, t.whole, $portrait_z) end as bounds,
        case when not t.base_suppressed then t.base_n end as base_n,
        case when not t.base_suppressed then t.base_share end as base_share,
        case when not t.suppressed and not t.base_suppressed then t.share / t.base_share * 100 end as tgi,
        t.p,
        c.p_corrected
    from tested as t
    left join corrected as c
        on t.family = c.family and t.segment = c.segment and t.trait = c.trait and t.value = c.value
)

select
    $as_of as as_of,
    family,
    segment,
    segment_name,
    segment_name_zh,
    trait,
    value,
    cast(row_number() over (
        partition by family, segment
        order by
            tgi is null,
            coalesce(p_corrected < $portrait_significance, false) desc,
            round(abs(ln(tgi / 100)), 9) desc,
            trait,
            value
    ) as bigint) as place,
    n,
    known,
    customers,
    share,
    bounds['low'] as share_low,
    bounds['high'] as share_high,
    base_n,
    base_known,
    base_customers,
    base_share,
    $portrait_base as base,
    tgi,
    p,
    p_corrected,
    suppressed,
    counted_as_of,
    base_counted_as_of,
    $run_id as run_id
from measured
