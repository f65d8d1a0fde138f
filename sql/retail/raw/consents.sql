-- Decisions of account holders: may their data serve a purpose or not.
-- grain: account_id, purpose, decided_at
-- event_time: decided_at
-- ingested_at: ingested_at
-- may_be_empty: true
create external table raw.consents (
    account_id varchar,
    purpose varchar,
    status varchar,
    legal_basis varchar,
    policy_version varchar,
    decided_at timestamp(6),
    ingested_at timestamp(6)
)
stored as parquet
location 'raw/consents/'
