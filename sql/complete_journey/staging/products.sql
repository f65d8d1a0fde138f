-- One row per product of the catalogue, which knows neither names, prices nor launches.
-- grain: product_id
-- store: table
-- quarantine: rule
-- accounts: raw.products
with
source as (
    select
        product_id,
        nullif(lower(fold_width(department)), '') as department,
        nullif(fold_width(brand), '') as brand,
        nullif(lower(fold_width(product_category)), '') as category,
        nullif(lower(fold_width(product_type)), '') as subcategory,
        nullif(fold_width(package_size), '') as package_size,
        manufacturer_id
    from raw.products
),

-- Nothing says which of two versions is the newer one, so the first by its values stays.
cleaned as (
    select
        product_id,
        department,
        brand,
        -- most petrol is booked among coupons and odds and ends
        case when subcategory like 'gasoline%' then 'fuel' else category end as category,
        subcategory,
        package_size,
        manufacturer_id,
        row_number() over (
            partition by product_id
            order by department, brand, category, subcategory, package_size, manufacturer_id
        ) as version
    from source
)

select
    product_id,
    cast(null as varchar) as name,
    brand,
    category,
    subcategory,
    cast(null as decimal(18, 2)) as list_price,
    cast(null as date) as launched_on,
    department,
    package_size,
    manufacturer_id,
    case
        when product_id is null then 'missing_key'
        when version > 1 then 'duplicate_product'
    end as rule
from cleaned
