-- Messages of campaigns and what became of them. In the arm `control` nothing was sent: `sent_at` is when it would
--    have been.
-- grain: message_id
-- event_time: sent_at
-- ingested_at: ingested_at
-- redelivered_within: $redelivery_days
-- may_be_empty: true
create external table raw.messages (
    message_id bigint,
    campaign_id varchar,
    account_id varchar,
    channel varchar,
    arm varchar,
    sent_at timestamp(6),
    opened_at timestamp(6),
    clicked_at timestamp(6),
    joined_at timestamp(6),
    ingested_at timestamp(6),
    sent_date date
)
stored as parquet
partitioned by (sent_date)
location 'raw/messages/'
