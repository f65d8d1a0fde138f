-- Purchases as CSV files with a line of column names; for Parquet write `stored as parquet`. A file that names baskets has a
-- column more, such as `basket_id varchar`.
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
