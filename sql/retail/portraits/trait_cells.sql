-- Each segment beside all customers, trait by trait and value by value: counts that may be known, and which must be withheld.
-- grain: family, segment, trait, value
-- store: table
-- publish: none
-- why: a value that no member has is a cell too, else missing cells would tell who is not there; cells of one family and trait
--    are withheld together, so that neither a segment nor a value gives one away by subtraction. Lines that
--    `portraits.carried_traits` names are those of an earlier run, and what was withheld of them stays withheld: its `n` is NULL
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

traits as (
    select trait
    from counts
    where family = ''
    union
    select trait
    from portraits.carried_traits
    where family = ''
),

lines as (
    select
        coalesce(g.family, '') as family,
        coalesce(g.segment, '') as segment,
        t.trait,
        g.customers,
        case when c.trait is null then $as_of else c.counted_as_of end as counted_as_of
    from portraits.groups as g
    cross join traits as t
    left join portraits.carried_traits as c
        on coalesce(g.family, '') = c.family and coalesce(g.segment, '') = c.segment and t.trait = c.trait
),

held as (
    select
        l.family,
        l.segment,
        l.trait,
        c.value,
        c.customers as n,
        cast(sum(c.customers) over (partition by l.family, l.segment, l.trait) as bigint) as known,
        l.customers
    from lines as l
    inner join counts as c on l.family = c.family and l.segment = c.segment and l.trait = c.trait
    where l.counted_as_of = $as_of
    union all
    select
        l.family,
        l.segment,
        l.trait,
        v.value,
        v.n,
        v.known,
        v.customers
    from lines as l
    inner join portraits.trait_versions as v
        on l.family = v.family and l.segment = v.segment and l.trait = v.trait and l.counted_as_of = v.as_of
    where l.counted_as_of <> $as_of
),

listed as (
    select
        trait,
        value
    from held
    group by trait, value
),

wholes as (
    select
        l.family,
        l.segment,
        l.trait,
        l.counted_as_of,
        case when l.counted_as_of = $as_of then coalesce(max(h.known), 0) else max(h.known) end as known,
        case when l.counted_as_of = $as_of then max(l.customers) else max(h.customers) end as customers
    from lines as l
    left join held as h on l.family = h.family and l.segment = h.segment and l.trait = h.trait
    group by l.family, l.segment, l.trait, l.counted_as_of
),

-- The segments of each family and, as their totals, all customers.
families as (
    select family
    from portraits.groups
    where family is not null
    group by family
),

cells as (
    select
        f.family,
        nullif(w.segment, '') as segment,
        w.trait,
        v.value,
        case when w.counted_as_of = $as_of then coalesce(h.n, 0) else h.n end as n,
        w.known,
        w.customers,
        w.counted_as_of
    from wholes as w
    inner join families as f on w.family in ('', f.family)
    inner join listed as v on w.trait = v.trait
    left join portraits.left_out as o on f.family = o.family and w.trait = o.trait
    left join held as h on w.family = h.family and w.segment = h.segment and w.trait = h.trait and v.value = h.value
    where o.trait is null
),

tables as (
    select
        family,
        trait,
        array_agg(segment order by segment nulls last, value) as segments,
        array_agg(value order by segment nulls last, value) as trait_values,
        array_agg(coalesce(n, 0) order by segment nulls last, value) as counts,
        count(*) filter (where segment is null) as columns
    from cells
    group by family, trait
),

judged as (
    select
        family,
        trait,
        unnest(segments) as segment,
        unnest(trait_values) as value,
        unnest(suppressed_cells(counts, columns, $portrait_min_cell)) as suppressed
    from tables
),

released as (
    select
        c.family,
        c.segment,
        c.trait,
        c.value,
        c.n,
        c.known,
        c.customers,
        c.counted_as_of,
        j.suppressed or c.n is null as suppressed
    from cells as c
    inner join judged as j
        on
            c.family = j.family
            and coalesce(c.segment, '') = coalesce(j.segment, '')
            and c.trait = j.trait
            and c.value = j.value
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
    k.customers,
    cast(b.n as bigint) as base_n,
    cast(b.known as bigint) as base_known,
    b.customers as base_customers,
    k.suppressed,
    b.suppressed as base_suppressed,
    -- of how many a share is one, by the setting
    case when $portrait_base = 'known' then cast(k.known as bigint) else k.customers end as whole,
    case when $portrait_base = 'known' then cast(b.known as bigint) else b.customers end as base_whole,
    k.counted_as_of,
    b.counted_as_of as base_counted_as_of
from released as k
inner join released as b on k.family = b.family and k.trait = b.trait and k.value = b.value
inner join portraits.groups as g on k.family = g.family and k.segment = g.segment
where k.segment is not null and b.segment is null
