-- Customers for whom others like them are wanted, by list; ids as published.
-- grain: list_id, customer_id
-- ingested_at: ingested_at
-- may_be_empty: true
create external table raw.lookalike_seeds (
    list_id varchar,
    customer_id varchar,
    ingested_at timestamp(6)
)
stored as parquet
location 'raw/lookalike_seeds/'
