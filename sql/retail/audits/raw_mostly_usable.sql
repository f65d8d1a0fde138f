-- Sources of which more rows than `max_rejected_share` were rejected: their shape has probably changed.
with
counts as (
    select 'raw.crm_customers' as source, 1 as kept, 0 as rejected
    from staging.customers
    union all
    select 'raw.crm_customers' as source, 0 as kept, 1 as rejected
    from quarantine.customers
    union all
    select 'raw.products' as source, 1 as kept, 0 as rejected
    from staging.products
    union all
    select 'raw.products' as source, 0 as kept, 1 as rejected
    from quarantine.products
    union all
    select 'raw.orders' as source, 1 as kept, 0 as rejected
    from staging.orders
    union all
    select 'raw.orders' as source, 0 as kept, 1 as rejected
    from quarantine.orders
    union all
    select 'raw.order_items' as source, 1 as kept, 0 as rejected
    from staging.order_lines
    union all
    select 'raw.order_items' as source, 0 as kept, 1 as rejected
    from quarantine.order_lines
    union all
    select 'raw.devices' as source, 1 as kept, 0 as rejected
    from staging.logins
    union all
    select 'raw.devices' as source, 0 as kept, 1 as rejected
    from quarantine.logins
    union all
    select 'raw.events' as source, events as kept, 0 as rejected
    from facts.daily_activity
    union all
    select 'raw.events' as source, 0 as kept, events as rejected
    from quarantine.daily_activity
    union all
    select 'raw.messages' as source, 1 as kept, 0 as rejected
    from staging.messages
    union all
    select 'raw.messages' as source, 0 as kept, 1 as rejected
    from quarantine.messages
    union all
    select 'raw.social' as source, 1 as kept, 0 as rejected
    from staging.social
    union all
    select 'raw.social' as source, 0 as kept, 1 as rejected
    from quarantine.social
    union all
    select 'raw.texts' as source, 1 as kept, 0 as rejected
    from staging.texts
    union all
    select 'raw.texts' as source, 0 as kept, 1 as rejected
    from quarantine.texts
    union all
    select 'raw.weather' as source, 1 as kept, 0 as rejected
    from staging.weather
    union all
    select 'raw.weather' as source, 0 as kept, 1 as rejected
    from quarantine.weather
),

totals as (
    select
        source,
        sum(kept) as kept,
        sum(rejected) as rejected
    from counts
    group by source
)

select
    source,
    kept,
    rejected
from totals
where cast(rejected as double) > $max_rejected_share * (kept + rejected)
