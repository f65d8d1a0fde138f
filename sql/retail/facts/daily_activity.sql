-- What one device did on one day under one account, or anonymously between two switches of its holder.
-- grain: event_date, device_id, account_id, login_segment, rejected_event_id
-- store: daily
-- day: event_date
-- quarantine: rule
-- accounts: raw.events
-- weight: events
-- why: one pass over raw events; every measure can be merged, so persons may be joined or split later without
--    reading events again; a rejected event is a group of its own
with
source as (
    select
        e.event_date,
        e.device_id,
        e.account_id,
        -- rows without the instant have no place among the switches
        interval_index(s.switched_at, case when e.account_id is null then e.event_time end) as login_segment,
        e.event_id,
        e.event_type,
        e.product_id,
        e.place,
        e.event_time,
        e.ingested_at,
        case when e.dwell_ms between 0 and $max_dwell_ms then e.dwell_ms end as dwell_ms,
        coalesce(e.dwell_ms not between 0 and $max_dwell_ms, false) as outlier_dwell,
        local_hour(e.event_time, $time_zone) as local_hour,
        e.rule
    from staging.events as e
    left join staging.login_switches as s on e.device_id = s.device_id and e.event_date = s.login_date
)

select
    event_date,
    device_id,
    account_id,
    cast(coalesce(login_segment, 0) as bigint) as login_segment,
    case when rule is not null then event_id end as rejected_event_id,
    -- instants out of range have no text but their microseconds
    max(
        case
            when rule is null then null
            when out_of_range($earliest_date, $latest_date, event_time, ingested_at)
                then concat_ws('|', event_type, cast(event_time as bigint), cast(ingested_at as bigint))
            else concat_ws('|', event_type, cast(event_time as varchar), cast(ingested_at as varchar))
        end
    ) as rejected_event,
    count(*) as events,
    count(*) filter (where event_type = 'view') as views,
    count(*) filter (where event_type = 'search') as searches,
    count(*) filter (where event_type = 'cart') as carts,
    count(*) filter (where event_type = 'dwell') as stays,
    count(*) filter (where event_type = 'login') as logins,
    cast(coalesce(sum(dwell_ms), 0) as bigint) as dwell_ms,
    count(*) filter (where outlier_dwell) as outlier_dwells,
    -- bit h is set when something happened in the local hour from h
    bit_or(cast(1 as bigint) << cast(local_hour as bigint)) as hours,
    min(event_time) as first_event_at,
    max(event_time) as last_event_at,
    first_seen(product_id, event_time) filter (where event_type = 'view') as products,
    hours_seen(place, local_hour) as places,
    -- v for what is looked at, s for a search, c for the cart, l for a login, o for an order where events tell of it
    session_paths(
        case event_type
            when 'search' then 's'
            when 'cart' then 'c'
            when 'login' then 'l'
            when 'order' then 'o'
            else 'v'
        end,
        event_time,
        interval '30 minutes',
        $step_order
    ) as sessions,
    rule
from source
group by
    event_date,
    device_id,
    account_id,
    coalesce(login_segment, 0),
    case when rule is not null then event_id end,
    rule
