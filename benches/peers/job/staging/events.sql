-- Every raw event, with the rule it breaks, if any.
-- store: view
-- why: a type is looked up once and a number afterwards
with
coded as (
    select
        event_id,
        device_id,
        account_id,
        case event_type
            when 'view' then 1
            when 'search' then 2
            when 'cart' then 3
            when 'dwell' then 4
            when 'login' then 5
        end as kind,
        product_id,
        dwell_ms,
        event_time,
        ingested_at,
        event_date
    from raw.events
),

judged as (
    select
        event_id,
        account_id,
        kind,
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
            when kind is null then 'unknown_event_type'
        end as broken
    from coded
),

ranked as (
    select
        event_id,
        account_id,
        kind,
        product_id,
        dwell_ms,
        event_time,
        event_date,
        broken,
        row_number() over (
            partition by event_date, event_id
            order by broken is not null, ingested_at, event_time, account_id, kind, product_id, dwell_ms
        ) as copy
    from judged
)

select
    event_id,
    account_id,
    kind,
    product_id,
    dwell_ms,
    event_time,
    event_date,
    case
        when broken is not null then broken
        when copy > 1 then 'duplicate_event'
    end as rule
from ranked
