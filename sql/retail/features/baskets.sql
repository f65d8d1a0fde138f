-- What each customer buys: the breadth of categories, the favourite one, and products new on the market.
-- grain: customer_id
-- store: table
with
categories as (
    select
        b.customer_id,
        coalesce(g.category, 'unknown') as category,
        sum(b.amount) as amount,
        count(*) filter (where b.new_in_30_days) as new_products_30
    from features.purchased_products as b
    left join staging.products as g on b.product_id = g.product_id
    group by b.customer_id, coalesce(g.category, 'unknown')
),

-- The favourite is the known category of the largest amount; of several the first by name.
ranked as (
    select
        customer_id,
        category,
        new_products_30,
        row_number() over (partition by customer_id order by category = 'unknown', amount desc, category) as place
    from categories
)

select
    customer_id,
    count(*) filter (where category <> 'unknown') as categories,
    max(category) filter (where place = 1 and category <> 'unknown') as favourite_category,
    cast(sum(new_products_30) as bigint) as new_products_30
from ranked
group by customer_id
