-- The attributes by which products are preferred; the price band tells cheap from dear within a category.
-- grain: product_id
-- store: table
-- why: prices of a catalogue without prices are the mean ones paid before discounts; equal prices are in one band
with
paid as (
    select
        product_id,
        sum(amount) as amount,
        sum(items) as items
    from features.purchased_products
    group by product_id
),

priced as (
    select
        g.product_id,
        g.category,
        g.subcategory,
        g.brand,
        coalesce(g.list_price, to_money(cast(p.amount as double) / nullif(cast(p.items as double), 0))) as price
    from staging.products as g
    left join paid as p on g.product_id = p.product_id
),

placed as (
    select
        product_id,
        category,
        subcategory,
        brand,
        price,
        rank() over (partition by category order by price) - 1 as cheaper,
        count(price) over (partition by category) as priced_products
    from priced
)

select
    product_id,
    category,
    subcategory,
    brand,
    case
        when price is null then null
        when cast(cheaper as double) < $low_price_share * priced_products then 'low'
        when cast(cheaper as double) < (1 - $high_price_share) * priced_products then 'middle'
        else 'high'
    end as price_band
from placed
