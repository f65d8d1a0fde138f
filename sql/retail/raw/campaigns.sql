-- Campaigns of the company: what is sent over which channel, when, and what for.
-- grain: campaign_id
-- ingested_at: ingested_at
-- may_be_empty: true
create external table raw.campaigns (
    campaign_id varchar,
    name varchar,
    channel varchar,
    goal varchar,
    starts_on date,
    ends_on date,
    ingested_at timestamp(6)
)
stored as parquet
location 'raw/campaigns/'
