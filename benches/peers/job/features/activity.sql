-- What each account did.
-- grain: account_id
-- store: table
select
    account_id,
    max(event_date) as last_active_on,
    count(*) as active_days,
    cast(sum(events) as bigint) as events,
    cast(sum(views) as bigint) as views,
    cast(sum(searches) as bigint) as searches,
    cast(sum(carts) as bigint) as carts,
    cast(sum(dwell_ms) as bigint) as dwell_ms,
    cardinality(value_set(products)) as viewed_products,
    -- bits 18 to 23: the local hours from 18:00 to midnight
    count(*) filter (where (hours & 16515072) > 0) as evening_days,
    count(*) filter (where date_part('isodow', event_date) in (6, 7)) as weekend_days,
    count(*) filter (where local_date($as_of, $time_zone) - event_date <= 90) as active_days_90
from facts.daily_activity
where account_id is not null
group by account_id
