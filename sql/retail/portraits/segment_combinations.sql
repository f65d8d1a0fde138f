-- Two traits together within each segment: how common a combination is beside all customers, and beyond what both alone say.
-- grain: as_of, family, segment, trait, value, other_trait, other_value
-- store: table
-- publish: as_of
-- columns: as_of timestamp(6), family varchar, segment varchar, segment_name varchar, segment_name_zh varchar, trait varchar,
--    value varchar, other_trait varchar, other_value varchar, n bigint, known bigint, share double, base_n bigint,
--    base_known bigint, base_share double, tgi double, lift double, base_lift double, counted_as_of timestamp(6),
--    base_counted_as_of timestamp(6), run_id varchar
-- why: shares are of the members of whom both traits are known. `lift` is the share over the product of what each value has
--    alone, 1 where they go together by chance. Combinations of few customers, in the segment or in all, are left out, and all
--    counts are rounded before anything is computed of them, so that those left out cannot be had by subtraction. Lines of which
--    few customers have changed stand as an earlier run counted them: `counted_as_of`
with
counted as (
    select
        coalesce(c.family, '') as family,
        coalesce(c.segment, '') as segment,
        c.trait,
        c.value,
        c.other_trait,
        c.other_value,
        c.customers as n,
        sum(c.customers) over (partition by c.family, c.segment, c.trait, c.other_trait) as known,
        sum(c.customers) over (partition by c.family, c.segment, c.trait, c.other_trait, c.value) as n_value,
        sum(c.customers) over (partition by c.family, c.segment, c.trait, c.other_trait, c.other_value) as n_other
    from portraits.trait_counts as c
    left join portraits.left_out as a on c.family = a.family and c.trait = a.trait
    left join portraits.left_out as b on c.family = b.family and c.other_trait = b.trait
    left join portraits.carried_combinations as k
        on
            coalesce(c.family, '') = k.family
            and coalesce(c.segment, '') = k.segment
            and c.trait = k.trait
            and c.other_trait = k.other_trait
    where c.other_trait is not null and a.trait is null and b.trait is null and k.trait is null
),

rounded as (
    select
        family,
        segment,
        trait,
        value,
        other_trait,
        other_value,
        cast(round(cast(n as double) / $portrait_rounding) as bigint) * $portrait_rounding as n,
        cast(round(cast(known as double) / $portrait_rounding) as bigint) * $portrait_rounding as known,
        cast(round(cast(n_value as double) / $portrait_rounding) as bigint) * $portrait_rounding as n_value,
        cast(round(cast(n_other as double) / $portrait_rounding) as bigint) * $portrait_rounding as n_other
    from counted
    where n >= $portrait_min_cell
),

measured as (
    select
        family,
        segment,
        trait,
        value,
        other_trait,
        other_value,
        n,
        known,
        cast(n as double) / nullif(known, 0) as share,
        cast(n as double) * known / nullif(n_value * n_other, 0) as lift,
        $as_of as counted_as_of
    from rounded
    union all
    select
        v.family,
        v.segment,
        v.trait,
        v.value,
        v.other_trait,
        v.other_value,
        v.n,
        v.known,
        v.share,
        v.lift,
        v.as_of as counted_as_of
    from portraits.carried_combinations as k
    inner join portraits.combination_versions as v
        on
            k.counted_as_of = v.as_of
            and k.family = v.family
            and k.segment = v.segment
            and k.trait = v.trait
            and k.other_trait = v.other_trait
)

select
    $as_of as as_of,
    s.family,
    s.segment,
    g.segment_name,
    g.segment_name_zh,
    s.trait,
    s.value,
    s.other_trait,
    s.other_value,
    s.n,
    s.known,
    s.share,
    b.n as base_n,
    b.known as base_known,
    b.share as base_share,
    s.share / b.share * 100 as tgi,
    s.lift,
    b.lift as base_lift,
    s.counted_as_of,
    b.counted_as_of as base_counted_as_of,
    $run_id as run_id
from measured as s
inner join measured as b
    on
        s.trait = b.trait
        and s.value = b.value
        and s.other_trait = b.other_trait
        and s.other_value = b.other_value
inner join portraits.groups as g on s.family = g.family and s.segment = g.segment
where s.family <> '' and b.family = ''
