-- Every click; pages of any kind are views.
-- store: view
with
numbered as (
    select
        user_id,
        event,
        timestamp as event_time,
        row_number() over (order by user_id, timestamp, event) as event_id
    from raw.events
)

select
    cast(event_id as bigint) as event_id,
    user_id as device_id,
    user_id as account_id,
    case event
        when 'search' then 'search'
        when 'add_to_cart' then 'cart'
        when 'purchase' then 'order'
        else 'view'
    end as event_type,
    cast(null as bigint) as product_id,
    cast(null as varchar) as place,
    cast(null as int) as dwell_ms,
    event_time,
    event_time as ingested_at,
    local_date(event_time, $time_zone) as event_date,
    case
        when user_id is null or event_time is null then 'missing_key'
        when out_of_range($earliest_date, $latest_date, event_time) then 'out_of_range'
    end as rule
from numbered
