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
    group by trait
),

-- Every line, and once more where it is carried.
listed_lines as (
    select
        coalesce(g.family, '') as family,
        coalesce(g.segment, '') as segment,
        t.trait,
        g.customers,
        $as_of as counted_as_of,
        false as carried
    from portraits.groups as g
    cross join traits as t
    union all
    select
        c.family,
        c.segment,
        c.trait,
        g.customers,
        c.counted_as_of,
        true as carried
    from portraits.carried_traits as c
    inner join portraits.groups as g on c.family = coalesce(g.family, '') and c.segment = coalesce(g.segment, '')
),

lines as (
    select
        family,
        segment,
        trait,
        max(customers) as customers,
        case when bool_or(carried) then max(counted_as_of) filter (where carried) else $as_of end as counted_as_of
    from listed_lines
    group by family, segment, trait
),

-- What was counted now and by earlier runs.
counted as (
    select
        $as_of as as_of,
        family,
        segment,
        trait,
        value,
        customers as n,
        cast(sum(customers) over (partition by family, segment, trait) as bigint) as known,
        cast(null as bigint) as customers
    from counts
    union all
    select
        as_of,
        family,
        segment,
        trait,
        value,
        n,
        known,
        customers
    from portraits.trait_versions
),

held as (
    select
        l.family,
        l.segment,
        l.trait,
        c.value,
        c.n,
        c.known,
        c.customers
    from lines as l
    inner join counted as c
        on l.family = c.family and l.segment = c.segment and l.trait = c.trait and l.counted_as_of = c.as_of
),

listed as (
    select
        trait,
        value
    from held
    group by trait, value
),

-- The segments of each family and, as their totals, all customers.
families as (
    select family
    from portraits.groups
    where family is not null
    group by family
),

released as (
    select
        l.family,
        l.segment,
        l.trait,
        v.value,
        l.counted_as_of,
        case when l.counted_as_of = $as_of then coalesce(h.n, 0) else h.n end as n,
        coalesce(
            max(h.known) over (partition by l.family, l.segment, l.trait), case when l.counted_as_of = $as_of then 0 end
        ) as known,
        coalesce(
            max(h.customers) over (partition by l.family, l.segment, l.trait),
            case when l.counted_as_of = $as_of then l.customers end
        ) as customers
    from lines as l
    inner join listed as v on l.trait = v.trait
    left join held as h on l.family = h.family and l.segment = h.segment and l.trait = h.trait and v.value = h.value
),

cells as (
    select
        f.family,
        nullif(r.segment, '') as segment,
        r.trait,
        r.value,
        r.n,
        r.known,
        r.customers,
        r.counted_as_of
    from released as r
    inner join families as f on r.family in ('', f.family)
    left join portraits.left_out as o on f.family = o.family and r.trait = o.trait
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

compared as (
    select
        c.family,
        c.segment,
        c.trait,
        c.value,
        c.n,
        c.known,
        c.customers,
        c.counted_as_of,
        j.suppressed or c.n is null as suppressed,
        max(case when c.segment is null then c.n end) over of_all as base_n,
        max(case when c.segment is null then c.known end) over of_all as base_known,
        max(case when c.segment is null then c.customers end) over of_all as base_customers,
        max(case when c.segment is null then c.counted_as_of end) over of_all as base_counted_as_of,
        bool_or(c.segment is null and (j.suppressed or c.n is null)) over of_all as base_suppressed
    from cells as c
    inner join judged as j
        on
            c.family = j.family
            and coalesce(c.segment, '') = coalesce(j.segment, '')
            and c.trait = j.trait
            and c.value = j.value
    window of_all as (partition by c.family, c.trait, c.value)
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
    cast(k.base_n as bigint) as base_n,
    cast(k.base_known as bigint) as base_known,
    k.base_customers,
    k.suppressed,
    k.base_suppressed,
    -- of how many a share is one, by the setting
    case when $portrait_base = 'known' then cast(k.known as bigint) else k.customers end as whole,
    case when $portrait_base = 'known' then cast(k.base_known as bigint) else k.base_customers end as base_whole,
    k.counted_as_of,
    k.base_counted_as_of
from compared as k
inner join portraits.groups as g on k.family = g.family and k.segment = g.segment
