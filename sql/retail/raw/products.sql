-- The catalogue.
-- grain: product_id
-- ingested_at: ingested_at
create external table raw.products (
    product_id bigint,
    name varchar,
    brand varchar,
    category varchar,
    subcategory varchar,
    list_price double,
    launched_on date,
    ingested_at timestamp(6)
)
stored as parquet
location 'raw/products/'
