-- Per device and day with more than one account: the instants from which another account holds the device.
-- grain: login_date, device_id
-- store: daily
-- day: login_date
-- why: anonymous events of such a day must be kept apart by holder; the first login of a day is no switch, since
--    its account also holds what went before it that day
with
logins as (
    select
        device_id,
        account_id,
        logged_in_at,
        login_date,
        lag(device_id) over day as device_before,
        lag(account_id) over day as account_before
    from staging.logins
    window day as (
        partition by login_date
        order by device_id, logged_in_at, account_id
    )
)

select
    device_id,
    login_date,
    array_agg(logged_in_at order by logged_in_at) as switched_at
from logins
where device_before = device_id and account_before <> account_id
group by device_id, login_date
