-- One row per purchase.
-- grain: order_date, order_id
-- store: daily
-- day: order_date
-- quarantine: rule
with
source as (
    select
        user_id,
        timestamp as ordered_at
    from raw.events
    where event = 'purchase'
)

select
    cast(row_number() over (order by user_id, ordered_at) as bigint) as order_id,
    user_id as account_id,
    -- the clicks tell when in a session it was
    cast(null as varchar) as device_id,
    'web' as channel,
    false as cancelled,
    ordered_at,
    cast(0 as decimal(18, 2)) as discount,
    false as invalid_discount,
    cast(1 as decimal(18, 2)) as amount,
    local_date(ordered_at, $time_zone) as order_date,
    case
        when user_id is null or ordered_at is null then 'missing_key'
        when out_of_range($earliest_date, $latest_date, ordered_at) then 'out_of_range'
    end as rule
from source
