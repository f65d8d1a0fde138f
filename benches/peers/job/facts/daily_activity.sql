-- What an account did on a day; what nobody's account did is one row a day.
-- grain: event_date, account_id, rejected_event_id
-- store: daily
-- day: event_date
-- quarantine: rule
-- accounts: raw.events
-- weight: events
with
source as (
    select
        event_date,
        trim_to_null(account_id) as account_id,
        event_id,
        kind,
        event_time,
        case when dwell_ms between 0 and $max_dwell_ms then dwell_ms end as dwell_ms,
        case when kind = 1 then product_id end as viewed,
        local_hour(event_time, $time_zone) as local_hour,
        rule
    from staging.events
)

select
    event_date,
    account_id,
    case when rule is not null then event_id end as rejected_event_id,
    count(*) as events,
    count(*) filter (where kind = 1) as views,
    count(*) filter (where kind = 2) as searches,
    count(*) filter (where kind = 3) as carts,
    cast(coalesce(sum(dwell_ms), 0) as bigint) as dwell_ms,
    bit_or(cast(1 as bigint) << cast(local_hour as bigint)) as hours,
    min(event_time) as first_event_at,
    max(event_time) as last_event_at,
    value_set(viewed) filter (
        where viewed is not null and account_id is not null and rule is null
    ) as products,
    rule
from source
group by event_date, account_id, case when rule is not null then event_id end, rule
