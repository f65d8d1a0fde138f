-- What each customer did on the web and in the app on each day before `as_of`; NULL stands for who is known to nobody.
-- grain: customer_id, event_date
-- store: table
select
    customer_id,
    event_date,
    cast(sum(events) as bigint) as events,
    cast(sum(views) as bigint) as views,
    cast(sum(searches) as bigint) as searches,
    cast(sum(carts) as bigint) as carts,
    cast(sum(stays) as bigint) as stays,
    cast(sum(dwell_ms) as bigint) as dwell_ms,
    bit_or(hours) as hours
from features.visits
group by customer_id, event_date
