-- Purchases as CSV files with a line of column names; for Parquet write `stored as parquet`.
-- grain: customer_id
-- event_time: purchased_at
-- clock: true
create external table raw.purchases (
    customer_id varchar,
    purchased_at timestamp(6),
    amount double
)
stored as csv
location 'raw/purchases/'
