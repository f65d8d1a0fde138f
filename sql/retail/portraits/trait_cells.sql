-- Each segment beside all customers, trait by trait and value by value: exact counts, and which must not be published.
-- grain: family, segment, trait, value
-- store: table
-- publish: none
-- why: a value that no member has is a cell too, else missing cells would tell who is not there; cells of one family and trait
--    are withheld together, so that neither a segment nor a value gives one away by subtraction
with
bases as (
    select
        trait,
        value,
        customers as base_n,
        sum(customers) over (partition by trait) as base_known
    from portraits.trait_counts
    where family is null and other_trait is null
),

families as (
    select family
    from portraits.groups
    where family is not null
    group by family
),

-- The segments of each family and, as their totals, all customers.
compared as (
    select
        family,
        segment
    from portraits.groups
    where family is not null
    union all
    select
        family,
        cast(null as varchar) as segment
    from families
),

counted as (
    select
        g.family,
        g.segment,
        b.trait,
        b.value,
        case when g.segment is null then b.base_n else coalesce(t.customers, 0) end as n,
        b.base_n,
        b.base_known
    from compared as g
    cross join bases as b
    left join portraits.left_out as o on g.family = o.family and b.trait = o.trait
    left join portraits.trait_counts as t
        on
            g.family = t.family
            and g.segment = t.segment
            and b.trait = t.trait
            and b.value = t.value
            and t.other_trait is null
    where o.trait is null
),

tables as (
    select
        family,
        trait,
        array_agg(segment order by segment nulls last, value) as segments,
        array_agg(value order by segment nulls last, value) as trait_values,
        array_agg(n order by segment nulls last, value) as counts,
        array_agg(base_n order by segment nulls last, value) as base_counts,
        max(base_known) as base_known,
        count(*) filter (where segment is null) as columns
    from counted
    group by family, trait
),

judged as (
    select
        family,
        trait,
        base_known,
        unnest(segments) as segment,
        unnest(trait_values) as value,
        unnest(counts) as n,
        unnest(base_counts) as base_n,
        unnest(suppressed_cells(counts, columns, $portrait_min_cell)) as suppressed
    from tables
),

known as (
    select
        family,
        trait,
        segment,
        value,
        n,
        sum(n) over (partition by family, trait, segment) as known,
        base_n,
        base_known,
        suppressed,
        bool_or(suppressed and segment is null) over (partition by family, trait, value) as base_suppressed
    from judged
)

select
    k.family,
    k.segment,
    g.segment_name,
    g.segment_name_zh,
    k.trait,
    k.value,
    cast(k.n as bigint) as n,
    cast(k.known as bigint) as known,
    g.customers,
    cast(k.base_n as bigint) as base_n,
    cast(k.base_known as bigint) as base_known,
    a.customers as base_customers,
    k.suppressed,
    k.base_suppressed,
    -- of how many a share is one, by the setting
    case when $portrait_base = 'known' then cast(k.known as bigint) else g.customers end as whole,
    case when $portrait_base = 'known' then cast(k.base_known as bigint) else a.customers end as base_whole
from known as k
inner join portraits.groups as g on k.family = g.family and k.segment = g.segment
cross join (select customers from portraits.groups where family is null) as a
