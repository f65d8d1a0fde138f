-- Logins: which account logged in on which device, and when.
-- grain: device_id, account_id, logged_in_at
-- event_time: logged_in_at
-- ingested_at: ingested_at
create external table raw.devices (
    device_id varchar,
    account_id varchar,
    platform varchar,
    logged_in_at timestamp(6),
    ingested_at timestamp(6),
    login_date date
)
stored as parquet
partitioned by (login_date)
location 'raw/devices/'
