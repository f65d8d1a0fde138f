-- Every raw event, with the rule it breaks, if any.
-- store: view
with
judged as (
    select
        event_id,
        account_id,
        event_type,
        product_id,
        dwell_ms,
        event_time,
        ingested_at,
        event_date,
        case
            when event_id is null or device_id is null or event_time is null then 'missing_key'
            when event_time > ingested_at then 'future_event'
            when cast(ingested_at as bigint) - cast(event_time as bigint) > $look_back_days * 86400000000
                then 'too_late_event'
            when event_type is null or event_type not in ('view', 'search', 'cart', 'dwell', 'login')
                then 'unknown_event_type'
        end as broken
    from raw.events
),

ranked as (
    select
        event_id,
        account_id,
        event_type,
        product_id,
        dwell_ms,
        event_time,
        event_date,
        broken,
        row_number() over (
            partition by event_date, event_id
            order by broken is not null, ingested_at, event_time, account_id, event_type, product_id, dwell_ms
        ) as copy
    from judged
)

select
    event_id,
    account_id,
    event_type,
    product_id,
    dwell_ms,
    event_time,
    event_date,
    case
        when broken is not null then broken
        when copy > 1 then 'duplicate_event'
    end as rule
from ranked
