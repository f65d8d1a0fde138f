-- The customers most like the seeds of each list, the nearest first; seeds are left out.
-- grain: as_of, list_id, rank
-- store: table
-- publish: as_of
-- why: `lookalike_rows` of each list at most; `percentile` is the share of all candidates, published or not, that rank no lower.
--    Who may be written to is for `marketing_consent` to say
with
candidates as (
    select
        list_id,
        sum(customers) as customers,
        min(step) filter (where customers_up_to >= $lookalike_rows) as last_step
    from segments.lookalike_steps
    where not is_seed
    group by list_id
),

-- Only who is within the step that holds the last row is put in order.
nearest as (
    select
        d.list_id,
        d.customer_id,
        d.distance,
        c.customers,
        row_number() over (
            partition by d.list_id
            order by d.distance, d.customer_id
        ) as rank
    from models.lookalike_distances as d
    inner join candidates as c on d.list_id = c.list_id
    where
        not d.is_seed
        and (c.last_step is null or cast(floor(d.distance * 1024) as bigint) <= c.last_step)
)

select
    $as_of as as_of,
    n.list_id,
    cast(n.rank as bigint) as rank,
    n.customer_id,
    n.distance,
    cast(n.rank as double) / n.customers as percentile,
    p.marketing as marketing_consent
from nearest as n
inner join tags.purposes as p on n.customer_id = p.customer_id
where n.rank <= $lookalike_rows
