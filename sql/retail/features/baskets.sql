-- How many categories each customer buys, and products new on the market.
-- grain: customer_id
-- store: table
with
categories as (
    select
        b.customer_id,
        g.category,
        count(*) filter (where b.new_in_30_days) as new_products_30
    from features.purchased_products as b
    left join staging.products as g on b.product_id = g.product_id
    group by b.customer_id, g.category
)

select
    customer_id,
    count(category) as categories,
    cast(sum(new_products_30) as bigint) as new_products_30
from categories
group by customer_id
