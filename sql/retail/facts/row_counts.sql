-- How many rows each cleaning stage kept, how many each of its rules rejected, and how many values it emptied or filled,
--    each with the first and the last key among them.
-- grain: stage, action, rule
-- store: table
-- why: kept rows have the rule `kept`, so that one table holds both sides of every share; keys name rows that can be looked up
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
    select 'staging.segment_names' as stage, count(*) as rows
    from staging.segment_names
    union all
    select 'staging.lookalike_seeds' as stage, count(*) as rows
    from staging.lookalike_seeds
    union all
    select 'facts.daily_activity' as stage, coalesce(sum(events), 0) as rows
    from facts.daily_activity
),

rejected as (
    select 'staging.customers' as stage, rule, 1 as weight, account_id as key
    from quarantine.customers
    union all
    select 'staging.products' as stage, rule, 1 as weight, cast(product_id as varchar) as key
    from quarantine.products
    union all
    select 'staging.consents' as stage, rule, 1 as weight, concat_ws('-', account_id, purpose) as key
    from quarantine.consents
    union all
    select 'staging.orders' as stage, rule, 1 as weight, cast(order_id as varchar) as key
    from quarantine.orders
    union all
    select 'staging.order_lines' as stage, rule, 1 as weight, concat_ws('-', order_id, line_no) as key
    from quarantine.order_lines
    union all
    select 'staging.returns' as stage, rule, 1 as weight, cast(return_id as varchar) as key
    from quarantine.returns
    union all
    select 'staging.logins' as stage, rule, 1 as weight, device_id as key
    from quarantine.logins
    union all
    select 'staging.messages' as stage, rule, 1 as weight, cast(message_id as varchar) as key
    from quarantine.messages
    union all
    select
        'staging.social' as stage,
        rule,
        1 as weight,
        concat_ws('-', account_id, platform, case when not out_of_range($earliest_date, $latest_date, social_date) then social_date end)
            as key
    from quarantine.social
    union all
    select 'staging.texts' as stage, rule, 1 as weight, cast(text_id as varchar) as key
    from quarantine.texts
    union all
    select 'staging.erasure_requests' as stage, rule, 1 as weight, cast(request_id as varchar) as key
    from quarantine.erasure_requests
    union all
    select 'staging.campaigns' as stage, rule, 1 as weight, campaign_id as key
    from quarantine.campaigns
    union all
    -- a date out of range may have no text
    select
        'staging.weather' as stage,
        rule,
        1 as weight,
        concat_ws('-', city, case when not out_of_range($earliest_date, $latest_date, weather_date) then weather_date end) as key
    from quarantine.weather
    union all
    select 'staging.regions' as stage, rule, 1 as weight, region_id as key
    from quarantine.regions
    union all
    select 'staging.stores' as stage, rule, 1 as weight, store_id as key
    from quarantine.stores
    union all
    select 'staging.segment_names' as stage, rule, 1 as weight, concat_ws('-', family, segment) as key
    from quarantine.segment_names
    union all
    select 'staging.lookalike_seeds' as stage, rule, 1 as weight, concat_ws('-', list_id, customer_id) as key
    from quarantine.lookalike_seeds
    union all
    select 'facts.daily_activity' as stage, rule, events as weight, cast(rejected_event_id as varchar) as key
    from quarantine.daily_activity
),

-- Values of rows that are kept: the rule says whether it was emptied, filled, or only noted.
touched as (
    select 'staging.customers' as stage, unnest(string_to_array(issues, ' ')) as rule, account_id as key, 1 as weight
    from staging.customers
    where issues is not null
    union all
    select 'staging.orders' as stage, 'invalid_discount' as rule, cast(order_id as varchar) as key, 1 as weight
    from staging.orders
    where invalid_discount
    union all
    select 'staging.messages' as stage, 'invalid_outcome' as rule, cast(message_id as varchar) as key, 1 as weight
    from staging.messages
    where invalid_outcome
    union all
    select 'staging.texts' as stage, 'invalid_rating' as rule, cast(text_id as varchar) as key, 1 as weight
    from staging.texts
    where invalid_rating
    union all
    select 'staging.weather' as stage, 'invalid_rain' as rule, concat_ws('-', city, weather_date) as key, 1 as weight
    from staging.weather
    where invalid_rain
    union all
    select 'staging.weather' as stage, 'invalid_temperature' as rule, concat_ws('-', city, weather_date) as key, 1 as weight
    from staging.weather
    where invalid_temperature
    union all
    select
        'facts.daily_activity' as stage,
        'outlier_dwell' as rule,
        concat_ws('-', device_id, event_date) as key,
        outlier_dwells as weight
    from facts.daily_activity
    where outlier_dwells > 0
)

select stage, 'kept' as action, 'kept' as rule, rows, cast(null as varchar) as first_key, cast(null as varchar) as last_key
from kept
union all
select stage, 'rejected' as action, rule, sum(weight) as rows, min(key) as first_key, max(key) as last_key
from rejected
group by stage, rule
union all
select
    t.stage,
    case r.action when 'fix' then 'filled' when 'keep' then 'noted' else 'emptied' end as action,
    t.rule,
    sum(t.weight) as rows,
    min(t.key) as first_key,
    max(t.key) as last_key
from touched as t
left join staging.cleaning_rules as r on t.stage = r.stage and t.rule = r.rule
group by t.stage, r.action, t.rule
