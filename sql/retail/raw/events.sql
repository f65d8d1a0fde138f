-- What people do on the web and in the app; `account_id` is NULL until they log in.
-- grain: event_id
-- event_time: event_time
-- ingested_at: ingested_at
-- redelivered_within: $redelivery_days
-- clock: true
create external table raw.events (
    event_id bigint,
    device_id varchar,
    account_id varchar,
    event_type varchar,
    product_id bigint,
    query varchar,
    dwell_ms int,
    place varchar,
    event_time timestamp(6),
    ingested_at timestamp(6),
    event_date date
)
stored as parquet
partitioned by (event_date)
location 'raw/events/'
