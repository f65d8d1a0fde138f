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
        nullif(trim(account_id), '') as account_id,
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
            when logged_in_at > ingested_at then 'future_login'
            when cast(ingested_at as bigint) - cast(logged_in_at as bigint) > $look_back_days * 86400000000
                then 'too_late_login'
            when login_date is distinct from local_date(logged_in_at, $time_zone) then 'wrong_day'
        end as broken
    from source
),

-- Good rows of one login sort first, the one known first before its copies. One window a day, not one a login, which
-- would cost many times more.
ordered as (
    select
        device_id,
        account_id,
        platform,
        logged_in_at,
        login_date,
        broken,
        lag(device_id) over day as device_before,
        lag(account_id) over day as account_before,
        lag(logged_in_at) over day as logged_in_before
    from judged
    window day as (
        partition by login_date
        order by device_id, logged_in_at, account_id, broken is not null, ingested_at, platform
    )
)

select
    device_id,
    account_id,
    platform,
    logged_in_at,
    login_date,
    case
        when broken is not null then broken
        when device_before = device_id and account_before = account_id and logged_in_before = logged_in_at
            then 'duplicate_login'
    end as rule
from ordered
