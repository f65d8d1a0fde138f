-- Earlier runs and families whose flows between segments are not all customers of that run and of this one, or are fewer than
-- what `segment_migration` publishes.
with
earlier_runs as (
    select distinct as_of
    from customer_360
    where as_of < $as_of
),

ranked_runs as (
    select
        as_of,
        row_number() over (order by as_of desc) as place
    from earlier_runs
),

compared_runs as (
    select as_of
    from ranked_runs
    where place <= $migration_runs
),

now as (
    select family, count(*) as customers
    from segments.family_members
    group by family
),

parts as (
    select
        from_as_of,
        family,
        case when change <> 'came' then customers else 0 end as customers_before,
        case when change <> 'left' then customers else 0 end as customers_now
    from segments.segment_flows
    union all
    select h.as_of as from_as_of, h.family, -count(*) as customers_before, 0 as customers_now
    from segments.family_history as h
    inner join compared_runs as r on h.as_of = r.as_of
    where h.as_of < $as_of
    group by h.as_of, h.family
    union all
    select r.as_of as from_as_of, n.family, 0 as customers_before, -n.customers as customers_now
    from compared_runs as r
    cross join now as n
)

select
    from_as_of,
    family,
    sum(customers_before) as customers_before,
    sum(customers_now) as customers_now
from parts
group by from_as_of, family
having sum(customers_before) <> 0 or sum(customers_now) <> 0
union all
select
    m.from_as_of,
    m.family,
    f.customers as customers_before,
    m.customers as customers_now
from segments.segment_migration as m
left join segments.segment_flows as f
    on
        m.from_as_of = f.from_as_of
        and m.family = f.family
        and (m.from_segment is not distinct from f.from_segment)
        and (m.to_segment is not distinct from f.to_segment)
where m.customers is distinct from f.customers
