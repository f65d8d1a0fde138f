-- Who held a device, from one instant to the next.
-- grain: device_id, valid_from
-- store: table
-- why: the first account of a day holds the device from the start of that day, the first account ever from the
--    beginning of time; a login of an unknown account leaves a time without holder
with
logins as (
    select
        device_id,
        account_id,
        logged_in_at,
        login_date,
        row_number() over (
            partition by login_date, device_id
            order by logged_in_at, account_id
        ) as login_of_day
    from staging.logins
    where logged_in_at < $as_of
),

holders as (
    select
        l.device_id,
        l.account_id,
        l.logged_in_at,
        case
            when l.login_of_day = 1 then day_start(l.login_date, $time_zone) else l.logged_in_at
        end as holds_from,
        p.customer_id
    from logins as l
    left join identity.account_person as p on l.account_id = p.account_id
),

changes as (
    select
        device_id,
        customer_id,
        holds_from,
        logged_in_at,
        account_id,
        lag(customer_id) over (
            partition by device_id
            order by holds_from, logged_in_at, account_id
        ) as customer_before,
        row_number() over (
            partition by device_id
            order by holds_from, logged_in_at, account_id
        ) as login
    from holders
),

intervals as (
    select
        device_id,
        customer_id,
        case when login = 1 then timestamp '1900-01-01T00:00:00' else holds_from end as valid_from,
        lead(holds_from) over (
            partition by device_id
            order by holds_from, logged_in_at, account_id
        ) as valid_to
    from changes
    where login = 1 or customer_id is distinct from customer_before
)

select
    device_id,
    cast(valid_from as timestamp(6)) as valid_from,
    cast(coalesce(valid_to, timestamp '2200-01-01T00:00:00') as timestamp(6)) as valid_to,
    customer_id
from intervals
where valid_to is null or valid_to > valid_from
