-- The attributes of each product one below the other, each value under a number.
-- grain: product_id, dimension
-- store: table
-- why: apart from `features.tastes`, which groups customers by number in a fraction of the time that texts take
with
attributes as (
    select
        product_id,
        unnest(['category', 'subcategory', 'brand', 'price band']) as dimension,
        unnest([category, subcategory, brand, price_band]) as value
    from features.product_attributes
)

select
    product_id,
    dimension,
    value,
    dense_rank() over (order by dimension, value) as number
from attributes
where value is not null
