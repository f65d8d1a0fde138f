-- Keys of cleaned sources that stand for more than one row; each source apart, as keys begin with the day of the file.
select 'customers' as relation, account_id as key, count(*) as rows
from staging.customers
group by account_id
having count(*) > 1
union all
select 'products' as relation, cast(product_id as varchar) as key, count(*) as rows
from staging.products
group by product_id
having count(*) > 1
union all
select
    'orders' as relation,
    concat_ws(' ', cast(order_date as varchar), cast(order_id as varchar)) as key,
    count(*) as rows
from staging.orders
group by order_date, order_id
having count(*) > 1
union all
select
    'order_lines' as relation,
    concat_ws(' ', cast(order_date as varchar), cast(order_id as varchar), cast(line_no as varchar)) as key,
    count(*) as rows
from staging.order_lines
group by order_date, order_id, line_no
having count(*) > 1
union all
select
    'returns' as relation,
    concat_ws(' ', cast(return_date as varchar), cast(return_id as varchar)) as key,
    count(*) as rows
from staging.returns
group by return_date, return_id
having count(*) > 1
union all
select
    'login_switches' as relation,
    concat_ws(' ', cast(login_date as varchar), device_id) as key,
    count(*) as rows
from staging.login_switches
group by login_date, device_id
having count(*) > 1
union all
select
    'messages' as relation,
    concat_ws(' ', cast(sent_date as varchar), cast(message_id as varchar)) as key,
    count(*) as rows
from staging.messages
group by sent_date, message_id
having count(*) > 1
union all
select
    'social' as relation,
    concat_ws(' ', cast(social_date as varchar), account_id, platform) as key,
    count(*) as rows
from staging.social
group by social_date, account_id, platform
having count(*) > 1
union all
select
    'texts' as relation,
    concat_ws(' ', cast(written_date as varchar), cast(text_id as varchar)) as key,
    count(*) as rows
from staging.texts
group by written_date, text_id
having count(*) > 1
union all
select 'erasure_requests' as relation, cast(request_id as varchar) as key, count(*) as rows
from staging.erasure_requests
group by request_id
having count(*) > 1
union all
select 'campaigns' as relation, campaign_id as key, count(*) as rows
from staging.campaigns
group by campaign_id
having count(*) > 1
union all
select 'weather' as relation, concat_ws(' ', city, cast(weather_date as varchar)) as key, count(*) as rows
from staging.weather
group by city, weather_date
having count(*) > 1
union all
select 'segment_names' as relation, concat_ws(' ', family, segment) as key, count(*) as rows
from staging.segment_names
group by family, segment
having count(*) > 1
union all
select 'lookalike_seeds' as relation, concat_ws(' ', list_id, customer_id) as key, count(*) as rows
from staging.lookalike_seeds
group by list_id, customer_id
having count(*) > 1
union all
select 'regions' as relation, region_id as key, count(*) as rows
from staging.regions
group by region_id
having count(*) > 1
union all
select 'stores' as relation, store_id as key, count(*) as rows
from staging.stores
group by store_id
having count(*) > 1
