-- The attributes by which products are preferred; the price band tells cheap from dear within a category.
-- grain: product_id
-- store: table
-- why: prices of a catalogue without prices are the mean ones paid before discounts; equal prices are in one band, and what is
--    both among the cheapest and the dearest is in the middle; a product that is yet to be launched has no price to compare with
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
        case
            when g.launched_on is null or day_start(g.launched_on, $time_zone) < $as_of
                then
                    coalesce(
                        g.list_price, to_money(cast(p.amount as double) / nullif(cast(p.items as double), 0))
                    )
        end as price
    from staging.products as g
    left join paid as p on g.product_id = p.product_id
),

-- How many products of the category are cheaper, and how many dearer.
placed as (
    select
        product_id,
        category,
        subcategory,
        brand,
        price,
        rank() over (partition by category order by price nulls last) - 1 as cheaper,
        rank() over (partition by category order by price desc nulls last) - 1 as dearer,
        count(price) over (partition by category) as priced
    from priced
),

bounded as (
    select
        product_id,
        category,
        subcategory,
        brand,
        price,
        cast(cheaper as double) < $low_price_share * priced as low,
        cast(dearer as double) < $high_price_share * priced as high
    from placed
)

select
    product_id,
    category,
    subcategory,
    brand,
    case
        when price is null then null
        when low and not high then 'low'
        when high and not low then 'high'
        else 'middle'
    end as price_band
from bounded
