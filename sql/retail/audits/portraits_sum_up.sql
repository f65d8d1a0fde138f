-- Segments that together are not what they are taken from: all members of their family, all their spend, all customers with a trait.
with
members as (
    select
        family,
        segment,
        count(*) as customers,
        sum(monetary_total) as spend
    from segments.family_members
    group by family, segment
),

-- Whether everyone is in a segment of the family.
families as (
    select
        m.family,
        sum(m.customers) as customers,
        max(a.customers) as everyone
    from members as m
    cross join (select customers from portraits.groups where family is null) as a
    group by m.family
),

traits as (
    select
        family,
        trait,
        value,
        sum(n) as n,
        max(base_n) as base_n,
        max(known - customers) as more_than_all,
        -- lines of different runs do not add up
        bool_and(coalesce(counted_as_of = $as_of and base_counted_as_of = $as_of, false)) as of_this_run
    from portraits.trait_cells
    group by family, trait, value
),

shares as (
    select
        family,
        segment,
        trait,
        fixed_sum(share) as total,
        bool_or(suppressed) as suppressed
    from portraits.segment_portraits
    where base = 'known'
    group by family, segment, trait
),

hours as (
    select
        family,
        segment,
        fixed_sum(share) as total
    from portraits.segment_heat_map
    group by family, segment
)

select
    m.family,
    m.segment,
    'customers and spend of segment_summary' as what,
    cast(s.customers as double) as found,
    cast(m.customers as double) as expected
from members as m
full outer join portraits.segment_summary as s on m.family = s.family and m.segment = s.segment
where
    (m.customers is distinct from s.customers)
    or (s.counted_as_of = $as_of and not s.suppressed and m.spend is distinct from s.spend)
union all
select
    m.family,
    m.segment,
    'customers of portraits' as what,
    cast(g.customers as double) as found,
    cast(m.customers as double) as expected
from members as m
full outer join portraits.groups as g on m.family = g.family and m.segment = g.segment
where (m.customers is distinct from g.customers) and (g.family is not null or m.family is not null)
union all
select
    t.family,
    cast(null as varchar) as segment,
    concat(t.trait, ': ', t.value) as what,
    cast(t.n as double) as found,
    cast(t.base_n as double) as expected
from traits as t
inner join families as f on t.family = f.family
where t.more_than_all > 0 or (t.of_this_run and (t.n > t.base_n or (f.customers = f.everyone and t.n <> t.base_n)))
union all
select
    family,
    segment,
    concat('shares of ', trait) as what,
    total as found,
    cast(1 as double) as expected
from shares
where not suppressed and abs(total - 1.0) > 0.000001
union all
select
    family,
    segment,
    'shares of the heat map' as what,
    total as found,
    cast(1 as double) as expected
from hours
where abs(total - 1.0) > 0.000001
