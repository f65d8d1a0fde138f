-- What account holders did on a social platform on a day; `follows`, `mentions` and `engagements` concern the
--    company.
-- grain: account_id, platform, social_date
-- ingested_at: ingested_at
-- may_be_empty: true
create external table raw.social (
    account_id varchar,
    platform varchar,
    follows int,
    mentions int,
    engagements int,
    ingested_at timestamp(6),
    social_date date
)
stored as parquet
partitioned by (social_date)
location 'raw/social/'
