-- Reviews of products and dialogues with the service desk, in Chinese and English.
-- grain: text_id
-- event_time: written_at
-- ingested_at: ingested_at
-- redelivered_within: $redelivery_days
-- may_be_empty: true
create external table raw.texts (
    text_id bigint,
    kind varchar,
    account_id varchar,
    product_id bigint,
    rating int,
    body varchar,
    written_at timestamp(6),
    ingested_at timestamp(6),
    written_date date
)
stored as parquet
partitioned by (written_date)
location 'raw/texts/'
