-- The stores: in which zone, and where in their city, in kilometres as in `raw.regions`.
-- grain: store_id
-- ingested_at: ingested_at
-- may_be_empty: true
create external table raw.stores (
    store_id varchar,
    name varchar,
    city varchar,
    region_id varchar,
    x_km double,
    y_km double,
    opened_on date,
    ingested_at timestamp(6)
)
stored as parquet
location 'raw/stores/'
