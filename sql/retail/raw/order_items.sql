-- Order lines, in the folder of their order's day.
-- grain: order_id, line_no
-- ingested_at: ingested_at
-- redelivered_within: $redelivery_days
create external table raw.order_items (
    order_id bigint,
    line_no int,
    product_id bigint,
    quantity int,
    unit_price double,
    ingested_at timestamp(6),
    order_date date
)
stored as parquet
partitioned by (order_date)
location 'raw/order_items/'
