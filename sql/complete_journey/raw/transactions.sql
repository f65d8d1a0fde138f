-- Till receipts, one row per product of a basket.
-- grain: basket_id, product_id
-- event_time: transaction_timestamp
-- why: the files keep time as INT96, which is read as nanoseconds and cannot be a clock, which counts microseconds;
--    they say nothing of when a row became known
create external table raw.transactions (
    household_id bigint,
    store_id bigint,
    basket_id bigint,
    product_id bigint,
    quantity bigint,
    sales_value double,
    retail_disc double,
    coupon_disc double,
    coupon_match_disc double,
    week bigint,
    transaction_timestamp timestamp(9)
)
stored as parquet
location 'raw/transactions/'
