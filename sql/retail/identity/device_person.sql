-- Who held a device, from one instant to the next.
-- grain: device_id, valid_from
-- store: table
-- why: who logs in has come before that, so holds the device from $login_lead_minutes before, but not from before the login of
--    somebody else; the first account of a day holds it from the start of that day, the first account ever from the
--    beginning of time; a login of an unknown account leaves a time without holder
with
logins as (
    select
        l.device_id,
        l.account_id,
        l.logged_in_at,
        l.login_date,
        p.customer_id
    from staging.logins as l
    left join identity.account_person as p on l.account_id = p.account_id
    where l.logged_in_at < $as_of
),

-- Devices are dealt to 64 lots, since a window for each would cost many times more.
followed as (
    select
        device_id,
        account_id,
        logged_in_at,
        login_date,
        customer_id,
        lag(device_id) over lot as device_before,
        lag(login_date) over lot as date_before,
        lag(logged_in_at) over lot as login_before,
        lag(customer_id) over lot as customer_before
    from logins
    window lot as (
        partition by row_hash(device_id) % 64
        order by device_id, logged_in_at, account_id
    )
),

changes as (
    select
        device_id,
        account_id,
        logged_in_at,
        customer_id,
        case
            when device_before is distinct from device_id then timestamp '1900-01-01T00:00:00'
            when date_before is distinct from login_date then day_start(login_date, $time_zone)
            else to_timestamp_micros(
                greatest(cast(logged_in_at as bigint) - $login_lead_minutes * 60000000, cast(login_before as bigint))
            )
        end as valid_from
    from followed
    where (device_before is distinct from device_id) or (customer_before is distinct from customer_id)
),

intervals as (
    select
        device_id,
        customer_id,
        valid_from,
        lead(device_id) over lot as device_after,
        lead(valid_from) over lot as valid_to
    from changes
    window lot as (
        partition by row_hash(device_id) % 64
        order by device_id, logged_in_at, account_id
    )
)

select
    device_id,
    cast(valid_from as timestamp(6)) as valid_from,
    cast(
        case when device_after = device_id then valid_to else timestamp '2200-01-01T00:00:00' end as timestamp(6)
    ) as valid_to,
    customer_id
from intervals
where (device_after is distinct from device_id) or valid_to > valid_from
