-- The catalogue; `brand` says whether it is the chain's own (Private) or not (National).
-- grain: product_id
create external table raw.products (
    product_id bigint,
    manufacturer_id bigint,
    department varchar,
    brand varchar,
    product_category varchar,
    product_type varchar,
    package_size varchar
)
stored as parquet
location 'raw/products/'
