-- Goods given back, with the amount paid back.
-- grain: return_id
-- event_time: returned_at
-- ingested_at: ingested_at
-- redelivered_within: $redelivery_days
-- may_be_empty: true
create external table raw.returns (
    return_id bigint,
    order_id bigint,
    line_no int,
    account_id varchar,
    quantity int,
    amount double,
    reason varchar,
    returned_at timestamp(6),
    ingested_at timestamp(6),
    return_date date
)
stored as parquet
partitioned by (return_date)
location 'raw/returns/'
