-- How many products each account looked at.
-- grain: account_id
-- store: table
with
viewed as (
    select account_id, unnest(products) as product_id
    from facts.daily_activity
    where account_id is not null
),

once as (
    select account_id, product_id
    from viewed
    group by account_id, product_id
)

select account_id, count(*) as viewed_products
from once
group by account_id
