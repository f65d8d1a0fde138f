-- Every raw event, with the rule it breaks, if any.
-- store: view
-- why: inlined into the facts, so that raw events are read once and no copy of them is written; only the columns
--    that facts need come along, since rows are sorted to find copies
with
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
        event_date
    from raw.events
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
        case
            when event_id is null or device_id is null or event_time is null then 'missing_key'
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
)

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
    case
        when broken is not null then broken
        when copy > 1 then 'duplicate_event'
    end as rule
from ranked
