-- Orders of all channels; their lines are `raw.order_items`.
-- grain: order_id
-- event_time: ordered_at
-- ingested_at: ingested_at
-- redelivered_within: $redelivery_days
-- clock: true
create external table raw.orders (
    order_id bigint,
    account_id varchar,
    device_id varchar,
    channel varchar,
    status varchar,
    ordered_at timestamp(6),
    discount double,
    ingested_at timestamp(6),
    order_date date
)
stored as parquet
partitioned by (order_date)
location 'raw/orders/'
