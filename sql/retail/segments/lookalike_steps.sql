-- How many seeds and others of each list lie in each step of distance, and how many up to it.
-- store: view
-- why: a step is 1/1024, so that what runs over all customers in order is a few thousand rows, however many customers
with
steps as (
    select
        list_id,
        is_seed,
        cast(floor(distance * 1024) as bigint) as step,
        count(*) as customers
    from models.lookalike_distances
    group by list_id, is_seed, cast(floor(distance * 1024) as bigint)
)

select
    list_id,
    is_seed,
    step,
    customers,
    sum(customers) over (
        partition by list_id, is_seed
        order by step
        rows between unbounded preceding and current row
    ) as customers_up_to
from steps
