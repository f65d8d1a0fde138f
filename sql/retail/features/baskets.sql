-- What each customer buys: the breadth of categories, the favourite one, and products new on the market.
-- grain: customer_id
-- store: table
-- why: of orders whose account is unknown `features.purchases` keeps account
with
lines as (
    select
        p.customer_id,
        l.product_id,
        coalesce(g.category, 'unknown') as category,
        l.quantity,
        l.amount,
        local_date($as_of, $time_zone) - l.order_date as days_ago,
        l.order_date - g.launched_on as days_after_launch
    from staging.order_lines as l
    inner join identity.account_person as p on l.account_id = p.account_id
    left join staging.products as g on l.product_id = g.product_id
    where not l.cancelled and day_start(l.order_date, $time_zone) < $as_of
),

categories as (
    select
        customer_id,
        category,
        sum(amount) as amount
    from lines
    group by customer_id, category
),

-- One row a customer and product bought in the last 30 days while new on the market.
novelties as (
    select
        customer_id,
        product_id
    from lines
    where days_ago <= 30 and days_after_launch between 0 and $new_product_days
    group by customer_id, product_id
),

new_products as (
    select
        customer_id,
        count(*) as new_products_30
    from novelties
    group by customer_id
),

-- The favourite is the known category of the largest amount; of several the first by name.
ranked as (
    select
        customer_id,
        category,
        row_number() over (partition by customer_id order by category = 'unknown', amount desc, category) as place
    from categories
),

favourites as (
    select
        customer_id,
        count(*) filter (where category <> 'unknown') as categories,
        max(category) filter (where place = 1 and category <> 'unknown') as favourite_category
    from ranked
    group by customer_id
)

select
    f.customer_id,
    f.categories,
    f.favourite_category,
    coalesce(n.new_products_30, 0) as new_products_30
from favourites as f
left join new_products as n on f.customer_id = n.customer_id
