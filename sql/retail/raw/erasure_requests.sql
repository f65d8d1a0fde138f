-- Requests of account holders to be erased.
-- grain: request_id
-- event_time: requested_at
-- ingested_at: ingested_at
-- may_be_empty: true
create external table raw.erasure_requests (
    request_id bigint,
    account_id varchar,
    requested_at timestamp(6),
    ingested_at timestamp(6)
)
stored as parquet
location 'raw/erasure_requests/'
