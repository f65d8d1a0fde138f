-- Per device and day with more than one account: the instants from which another account holds the device.
-- grain: login_date, device_id
-- store: daily
-- day: login_date
-- why: anonymous events of such a day must be kept apart by holder. Who logs in has come before that, so holds the device
--    from $login_lead_minutes before, but not from before the login of somebody else; the first login of a day is no
--    switch, since its account also holds what went before it that day
with
logins as (
    select
        device_id,
        account_id,
        logged_in_at,
        login_date,
        lag(device_id) over day as device_before,
        lag(account_id) over day as account_before,
        lag(logged_in_at) over day as login_before
    from staging.logins
    window day as (
        partition by login_date
        order by device_id, logged_in_at, account_id
    )
),

switches as (
    select
        device_id,
        login_date,
        to_timestamp_micros(
            greatest(cast(logged_in_at as bigint) - $login_lead_minutes * 60000000, cast(login_before as bigint))
        ) as switched_at
    from logins
    where device_before = device_id and account_before <> account_id
)

select
    device_id,
    login_date,
    array_agg(switched_at order by switched_at) as switched_at
from switches
group by device_id, login_date
