-- How many rows each rule rejected, and how many values it emptied, of all rows that came to the stage.
-- grain: as_of, stage, rule
-- store: table
-- publish: as_of
with
kept as (
    select 'staging.customers' as stage, count(*) as kept
    from staging.customers
    union all
    select 'staging.products' as stage, count(*) as kept
    from staging.products
    union all
    select 'staging.consents' as stage, count(*) as kept
    from staging.consents
    union all
    select 'staging.orders' as stage, count(*) as kept
    from staging.orders
    union all
    select 'staging.order_lines' as stage, count(*) as kept
    from staging.order_lines
    union all
    select 'staging.returns' as stage, count(*) as kept
    from staging.returns
    union all
    select 'staging.logins' as stage, count(*) as kept
    from staging.logins
    union all
    select 'staging.messages' as stage, count(*) as kept
    from staging.messages
    union all
    select 'staging.social' as stage, count(*) as kept
    from staging.social
    union all
    select 'staging.texts' as stage, count(*) as kept
    from staging.texts
    union all
    select 'staging.erasure_requests' as stage, count(*) as kept
    from staging.erasure_requests
    union all
    select 'staging.campaigns' as stage, count(*) as kept
    from staging.campaigns
    union all
    select 'staging.weather' as stage, count(*) as kept
    from staging.weather
    union all
    select 'staging.regions' as stage, count(*) as kept
    from staging.regions
    union all
    select 'staging.stores' as stage, count(*) as kept
    from staging.stores
    union all
    select 'facts.daily_activity' as stage, coalesce(sum(events), 0) as kept
    from facts.daily_activity
    union all
    select 'features.purchases' as stage, coalesce(sum(orders_read), 0) as kept
    from features.purchases
    union all
    select 'features.returned' as stage, coalesce(sum(returns), 0) as kept
    from features.returned
    union all
    select 'features.activity' as stage, coalesce(sum(events), 0) as kept
    from features.activity
),

rejected as (
    select 'staging.customers' as stage, rule, 1 as weight
    from quarantine.customers
    union all
    select 'staging.products' as stage, rule, 1 as weight
    from quarantine.products
    union all
    select 'staging.consents' as stage, rule, 1 as weight
    from quarantine.consents
    union all
    select 'staging.orders' as stage, rule, 1 as weight
    from quarantine.orders
    union all
    select 'staging.order_lines' as stage, rule, 1 as weight
    from quarantine.order_lines
    union all
    select 'staging.returns' as stage, rule, 1 as weight
    from quarantine.returns
    union all
    select 'staging.logins' as stage, rule, 1 as weight
    from quarantine.logins
    union all
    select 'staging.messages' as stage, rule, 1 as weight
    from quarantine.messages
    union all
    select 'staging.social' as stage, rule, 1 as weight
    from quarantine.social
    union all
    select 'staging.texts' as stage, rule, 1 as weight
    from quarantine.texts
    union all
    select 'staging.erasure_requests' as stage, rule, 1 as weight
    from quarantine.erasure_requests
    union all
    select 'staging.campaigns' as stage, rule, 1 as weight
    from quarantine.campaigns
    union all
    select 'staging.weather' as stage, rule, 1 as weight
    from quarantine.weather
    union all
    select 'staging.regions' as stage, rule, 1 as weight
    from quarantine.regions
    union all
    select 'staging.stores' as stage, rule, 1 as weight
    from quarantine.stores
    union all
    select 'facts.daily_activity' as stage, rule, events as weight
    from quarantine.daily_activity
    union all
    select 'features.purchases' as stage, rule, orders_read as weight
    from quarantine.purchases
    union all
    select 'features.returned' as stage, rule, returns as weight
    from quarantine.returned
    union all
    select 'features.activity' as stage, rule, events as weight
    from quarantine.activity
),

rejections as (
    select stage, rule, 'rejected' as action, sum(weight) as rows
    from rejected
    group by stage, rule
),

repairs as (
    select 'staging.customers' as stage, 'invalid_email' as rule, count(*) filter (where invalid_email) as rows
    from staging.customers
    union all
    select 'staging.customers' as stage, 'invalid_phone' as rule, count(*) filter (where invalid_phone) as rows
    from staging.customers
    union all
    select
        'staging.customers' as stage,
        'invalid_birth_date' as rule,
        count(*) filter (where invalid_birth_date) as rows
    from staging.customers
    union all
    select 'staging.customers' as stage, 'outlier_age' as rule, count(*) filter (where outlier_age) as rows
    from staging.customers
    union all
    select 'staging.orders' as stage, 'invalid_discount' as rule, count(*) filter (where invalid_discount) as rows
    from staging.orders
    union all
    select 'facts.daily_activity' as stage, 'outlier_dwell' as rule, coalesce(sum(outlier_dwells), 0) as rows
    from facts.daily_activity
    union all
    select 'staging.messages' as stage, 'invalid_outcome' as rule, count(*) filter (where invalid_outcome) as rows
    from staging.messages
    union all
    select 'staging.texts' as stage, 'invalid_rating' as rule, count(*) filter (where invalid_rating) as rows
    from staging.texts
    union all
    select 'staging.weather' as stage, 'invalid_rain' as rule, count(*) filter (where invalid_rain) as rows
    from staging.weather
    union all
    select
        'staging.weather' as stage,
        'invalid_temperature' as rule,
        count(*) filter (where invalid_temperature) as rows
    from staging.weather
),

counted as (
    select stage, rule, action, rows
    from rejections
    union all
    select stage, rule, 'emptied' as action, rows
    from repairs
    where rows > 0
),

totals as (
    select
        k.stage,
        k.kept + coalesce(sum(r.rows), 0) as total
    from kept as k
    left join rejections as r on k.stage = r.stage
    group by k.stage, k.kept
)

select
    $as_of as as_of,
    c.stage,
    c.rule,
    c.action,
    cast(c.rows as bigint) as rows,
    cast(c.rows as double) / nullif(t.total, 0) as share
from counted as c
inner join totals as t on c.stage = t.stage
