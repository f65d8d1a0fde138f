-- One row per login of an account on a device.
-- grain: login_date, device_id, logged_in_at, account_id
-- store: daily
-- day: login_date
-- quarantine: rule
-- accounts: raw.devices
with
source as (
    select
        nullif(device_id, '') as device_id,
        trim_to_null(account_id) as account_id,
        lower(trim(platform)) as platform,
        logged_in_at,
        ingested_at,
        login_date
    from raw.devices
),

judged as (
    select
        device_id,
        account_id,
        platform,
        logged_in_at,
        ingested_at,
        login_date,
        case
            when device_id is null or account_id is null or logged_in_at is null then 'missing_key'
            when out_of_range($earliest_date, $latest_date, logged_in_at, ingested_at, login_date) then 'out_of_range'
            when logged_in_at > ingested_at then 'future_login'
            when cast(ingested_at as bigint) - cast(logged_in_at as bigint) > $look_back_days * 86400000000
                then 'too_late_login'
            when login_date is distinct from local_date(logged_in_at, $time_zone) then 'wrong_day'
        end as broken
    from source
),

-- A copy is judged among the rows that break no other rule, which sort first.
ranked as (
    select
        device_id,
        account_id,
        platform,
        logged_in_at,
        login_date,
        broken,
        row_number() over (
            partition by login_date, device_id, logged_in_at, account_id
            order by broken is not null, ingested_at, platform
        ) as copy
    from judged
)

select
    device_id,
    account_id,
    platform,
    logged_in_at,
    login_date,
    case
        when broken is not null then broken
        when copy > 1 then 'duplicate_login'
    end as rule
from ranked
