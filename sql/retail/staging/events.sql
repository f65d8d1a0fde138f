-- Every raw event, with the rule it breaks, if any.
-- store: view
-- why: inlined into the facts, so that raw events are read once and no copy of them is written; only the columns
--    that facts need come along, since rows are sorted to find copies
with
-- Rows of each day, and all rows of keys that lie on several days, which say which of these counts.
source as (
    select
        event_id,
        device_id,
        account_id,
        event_type,
        product_id,
        place,
        dwell_ms,
        event_time,
        ingested_at,
        event_date,
        event_date as for_day,
        false as again
    from raw.events
    union all
    select
        event_id,
        device_id,
        account_id,
        event_type,
        product_id,
        place,
        dwell_ms,
        event_time,
        ingested_at,
        event_date,
        for_day,
        true as again
    from redelivered.events
),

judged as (
    select
        event_id,
        device_id,
        account_id,
        event_type,
        product_id,
        place,
        dwell_ms,
        event_time,
        ingested_at,
        event_date,
        for_day,
        again,
        case
            when event_id is null or device_id is null or event_time is null then 'missing_key'
            when out_of_range($earliest_date, $latest_date, event_time, ingested_at, event_date) then 'out_of_range'
            when event_time > ingested_at then 'future_event'
            when cast(ingested_at as bigint) - cast(event_time as bigint) > $look_back_days * 86400000000
                then 'too_late_event'
            when event_date is distinct from local_date(event_time, $time_zone) then 'wrong_day'
            when event_type is null or event_type not in ('view', 'search', 'cart', 'dwell', 'login', 'order')
                then 'unknown_event_type'
        end as broken
    from source
),

-- A copy is judged among the rows that break no other rule, which sort first. Rows equal in all these columns are
-- interchangeable.
ranked as (
    select
        event_id,
        device_id,
        account_id,
        event_type,
        product_id,
        place,
        dwell_ms,
        event_time,
        ingested_at,
        event_date,
        broken,
        row_number() over (
            partition by event_date, event_id
            order by
                broken is not null,
                ingested_at,
                event_time,
                device_id,
                account_id,
                event_type,
                dwell_ms,
                product_id,
                place
        ) as copy
    from judged
    where not again
),

-- Per key the day under which it was delivered last, of two at once the later day.
last_days as (
    select
        for_day,
        event_id,
        event_date,
        row_number() over (
            partition by for_day, event_id order by max(coalesce(ingested_at, event_time)) desc, event_date desc
        ) as place
    from judged
    where again and broken is null
    group by for_day, event_id, event_date
)

select
    r.event_id,
    r.device_id,
    r.account_id,
    r.event_type,
    r.product_id,
    r.place,
    r.dwell_ms,
    r.event_time,
    r.ingested_at,
    r.event_date,
    case
        when r.broken is not null then r.broken
        when r.copy > 1 then 'duplicate_event'
        when l.event_date <> r.event_date then 'superseded_event'
    end as rule
from ranked as r
left join last_days as l on r.event_date = l.for_day and r.event_id = l.event_id and l.place = 1
