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
)

select
    relation,
    key,
    count(*) as rows
from keys
group by relation, key
having count(*) > 1
