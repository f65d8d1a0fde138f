-- How distances to the seeds of each list are distributed: deciles for the seeds themselves and for all others.
-- grain: as_of, list_id, population, decile
-- store: table
-- publish: as_of
-- why: decile 0 is the nearest, 10 the farthest; each is the smallest distance that so many tenths do not exceed, rounded down
--    to 1/1024
with
tenths as (
    select unnest(range(0, 11)) as decile
),

totals as (
    select
        list_id,
        is_seed,
        sum(customers) as customers
    from segments.lookalike_steps
    group by list_id, is_seed
)

select
    $as_of as as_of,
    t.list_id,
    case when t.is_seed then 'seeds' else 'others' end as population,
    cast(q.decile as int) as decile,
    cast(min(s.step) as double) / 1024 as distance,
    t.customers
from totals as t
cross join tenths as q
inner join segments.lookalike_steps as s on t.list_id = s.list_id and t.is_seed = s.is_seed
where s.customers_up_to * 10 >= greatest(q.decile * t.customers, 1)
group by t.list_id, t.is_seed, q.decile, t.customers
