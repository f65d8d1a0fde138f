-- How many rows each cleaning stage kept, how many each of its rules rejected, and how many values it emptied.
-- grain: stage, action, rule
-- store: table
-- why: kept rows have the rule `kept`, so that one table holds both sides of every share
with
kept as (
    select 'staging.customers' as stage, count(*) as rows
    from staging.customers
    union all
    select 'staging.products' as stage, count(*) as rows
    from staging.products
    union all
    select 'staging.consents' as stage, count(*) as rows
    from staging.consents
    union all
    select 'staging.orders' as stage, count(*) as rows
    from staging.orders
    union all
    select 'staging.order_lines' as stage, count(*) as rows
    from staging.order_lines
    union all
    select 'staging.returns' as stage, count(*) as rows
    from staging.returns
    union all
    select 'staging.logins' as stage, count(*) as rows
    from staging.logins
    union all
    select 'staging.messages' as stage, count(*) as rows
    from staging.messages
    union all
    select 'staging.social' as stage, count(*) as rows
    from staging.social
    union all
    select 'staging.texts' as stage, count(*) as rows
    from staging.texts
    union all
    select 'staging.erasure_requests' as stage, count(*) as rows
    from staging.erasure_requests
    union all
    select 'staging.campaigns' as stage, count(*) as rows
    from staging.campaigns
    union all
    select 'staging.weather' as stage, count(*) as rows
    from staging.weather
    union all
    select 'staging.regions' as stage, count(*) as rows
    from staging.regions
    union all
    select 'staging.stores' as stage, count(*) as rows
    from staging.stores
    union all
    select 'facts.daily_activity' as stage, coalesce(sum(events), 0) as rows
    from facts.daily_activity
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
),

emptied as (
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
)

select stage, 'kept' as action, 'kept' as rule, rows
from kept
union all
select stage, 'rejected' as action, rule, sum(weight) as rows
from rejected
group by stage, rule
union all
select stage, 'emptied' as action, rule, rows
from emptied
where rows > 0
