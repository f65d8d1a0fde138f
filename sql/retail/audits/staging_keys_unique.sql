-- Keys of cleaned sources that stand for more than one row.
with
keys as (
    select 'customers' as relation, account_id as key
    from staging.customers
    union all
    select 'products' as relation, cast(product_id as varchar) as key
    from staging.products
    union all
    select 'orders' as relation, concat_ws(' ', cast(order_date as varchar), cast(order_id as varchar)) as key
    from staging.orders
    union all
    select
        'order_lines' as relation,
        concat_ws(' ', cast(order_date as varchar), cast(order_id as varchar), cast(line_no as varchar)) as key
    from staging.order_lines
    union all
    select 'returns' as relation, concat_ws(' ', cast(return_date as varchar), cast(return_id as varchar)) as key
    from staging.returns
    union all
    select 'login_switches' as relation, concat_ws(' ', cast(login_date as varchar), device_id) as key
    from staging.login_switches
    union all
    select 'messages' as relation, concat_ws(' ', cast(sent_date as varchar), cast(message_id as varchar)) as key
    from staging.messages
    union all
    select 'social' as relation, concat_ws(' ', cast(social_date as varchar), account_id, platform) as key
    from staging.social
    union all
    select 'texts' as relation, concat_ws(' ', cast(written_date as varchar), cast(text_id as varchar)) as key
    from staging.texts
    union all
    select 'erasure_requests' as relation, cast(request_id as varchar) as key
    from staging.erasure_requests
    union all
    select 'campaigns' as relation, campaign_id as key
    from staging.campaigns
    union all
    select 'weather' as relation, concat_ws(' ', city, cast(weather_date as varchar)) as key
    from staging.weather
    union all
    select 'regions' as relation, region_id as key
    from staging.regions
    union all
    select 'stores' as relation, store_id as key
    from staging.stores
)

select
    relation,
    key,
    count(*) as rows
from keys
group by relation, key
having count(*) > 1
