-- What people have decided of two customer records: `same` ties them together, `different` keeps them apart.
-- grain: left_id, right_id
-- ingested_at: ingested_at
-- may_be_empty: true
create external table raw.identity_overrides (
    left_id varchar,
    right_id varchar,
    verdict varchar,
    reason varchar,
    decided_at timestamp(6),
    ingested_at timestamp(6)
)
stored as parquet
location 'raw/identity_overrides/'
