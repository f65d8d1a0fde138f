-- What each customer did on the web and in the app before `as_of`.
-- grain: customer_id
-- store: table
-- quarantine: rule
-- weight: events
-- why: one rejected row sums what belongs to nobody known
with
days as (
    select
        customer_id,
        event_date,
        local_date($as_of, $time_zone) - event_date as days_ago,
        events,
        views,
        searches,
        carts,
        dwell_ms,
        hours
    from features.activity_days
),

months as (
    select
        customer_id,
        date_trunc('month', event_date) as event_month,
        sum(events) as events,
        sum(views) as views,
        sum(searches) as searches,
        sum(carts) as carts,
        sum(dwell_ms) as dwell_ms,
        count(*) as active_days,
        -- bits 18 to 23: the local hours from 18:00 to midnight
        count(*) filter (where (hours & 16515072) > 0) as evening_days,
        count(*) filter (where date_part('isodow', event_date) in (6, 7)) as weekend_days,
        count(*) filter (where days_ago <= 90) as active_days_90,
        count(*) filter (where days_ago <= 365) as active_days_365,
        coalesce(sum(views) filter (where days_ago <= 30), 0) as views_30,
        coalesce(sum(carts) filter (where days_ago <= 30), 0) as carts_30,
        max(event_date) as last_active_on
    from days
    group by customer_id, date_trunc('month', event_date)
)

select
    customer_id,
    cast(sum(events) as bigint) as events,
    cast(sum(views) as bigint) as views,
    cast(sum(searches) as bigint) as searches,
    cast(sum(carts) as bigint) as carts,
    cast(sum(dwell_ms) as bigint) as dwell_ms,
    cast(sum(active_days) as bigint) as active_days,
    cast(max(active_days) as bigint) as active_days_of_busiest_month,
    cast(sum(evening_days) as bigint) as evening_days,
    cast(sum(weekend_days) as bigint) as weekend_days,
    cast(sum(active_days_90) as bigint) as active_days_90,
    cast(sum(active_days_365) as bigint) as active_days_365,
    cast(sum(views_30) as bigint) as views_30,
    cast(sum(carts_30) as bigint) as carts_30,
    max(last_active_on) as last_active_on,
    case when customer_id is null then 'unknown_holder' end as rule
from months
group by customer_id
