-- What one account ordered on one day; cancelled orders are counted apart and add nothing.
-- grain: order_date, account_id
-- store: daily
-- day: order_date
with
orders as (
    select
        order_date,
        account_id,
        count(*) filter (where not cancelled) as orders,
        count(*) filter (where cancelled) as cancelled_orders,
        count(*) filter (where not cancelled and channel = 'web') as web_orders,
        count(*) filter (where not cancelled and channel = 'app') as app_orders,
        count(*) filter (where not cancelled and channel = 'store') as store_orders,
        count(*) filter (where not cancelled and discount > 0) as discounted_orders,
        coalesce(sum(discount) filter (where not cancelled), 0) as discount,
        min(ordered_at) as first_order_at,
        max(ordered_at) as last_order_at
    from staging.orders
    group by order_date, account_id
),

lines as (
    select
        order_date,
        account_id,
        count(*) as order_lines,
        sum(quantity) as items,
        sum(amount) as gross
    from staging.order_lines
    where not cancelled
    group by order_date, account_id
)

select
    o.order_date,
    o.account_id,
    o.orders,
    o.cancelled_orders,
    o.web_orders,
    o.app_orders,
    o.store_orders,
    o.discounted_orders,
    coalesce(l.order_lines, 0) as order_lines,
    cast(coalesce(l.items, 0) as bigint) as items,
    cast(coalesce(l.gross, 0) as decimal(18, 2)) as gross,
    cast(o.discount as decimal(18, 2)) as discount,
    cast(coalesce(l.gross, 0) - o.discount as decimal(18, 2)) as net,
    o.first_order_at,
    o.last_order_at
from orders as o
left join lines as l on o.order_date = l.order_date and o.account_id = l.account_id
