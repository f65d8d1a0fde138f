-- One row per product of the catalogue.
-- grain: product_id
-- store: table
-- quarantine: rule
-- accounts: raw.products
with
source as (
    select
        product_id,
        nullif(fold_width(name), '') as name,
        nullif(fold_width(brand), '') as brand,
        nullif(lower(fold_width(category)), '') as category,
        nullif(lower(fold_width(subcategory)), '') as subcategory,
        to_money(list_price) as list_price,
        launched_on,
        ingested_at,
        out_of_range($earliest_date, $latest_date, launched_on, ingested_at) as out_of_range
    from raw.products
),

-- The version known last sorts first.
cleaned as (
    select
        product_id,
        name,
        brand,
        category,
        subcategory,
        case when list_price >= 0 then list_price end as list_price,
        launched_on,
        out_of_range,
        row_number() over (
            partition by product_id
            order by out_of_range, ingested_at desc nulls last, name, brand, category, subcategory, list_price, launched_on
        ) as version
    from source
)

select
    product_id,
    name,
    brand,
    category,
    subcategory,
    cast(list_price as decimal(18, 2)) as list_price,
    launched_on,
    case
        when product_id is null then 'missing_key'
        when out_of_range then 'out_of_range'
        when version > 1 then 'superseded_product'
    end as rule
from cleaned
