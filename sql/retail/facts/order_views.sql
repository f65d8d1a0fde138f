-- How long before an order on the web or in the app one of its products was first looked at that day, on the same device.
-- grain: order_date, order_id
-- store: daily
-- day: order_date
-- why: orders cancelled later were placed all the same; only devices and days with an order are opened, so the views of
--    all others stay packed; NULL when nothing of the order was looked at
with
orders as (
    select
        order_date,
        order_id,
        account_id,
        device_id,
        ordered_at
    from staging.orders
    where device_id is not null and channel in ('web', 'app')
),

devices as (
    select
        order_date,
        device_id
    from orders
    group by order_date, device_id
),

packed as (
    select
        d.order_date,
        d.device_id,
        a.products
    from devices as d
    inner join facts.daily_activity as a on d.order_date = a.event_date and d.device_id = a.device_id
),

looked_at as (
    select
        order_date,
        device_id,
        unnest(products) as product
    from packed
),

viewed as (
    select
        o.order_date,
        o.order_id,
        min(v.product['first_at']) as first_viewed_at
    from orders as o
    inner join staging.order_lines as l on o.order_date = l.order_date and o.order_id = l.order_id
    inner join looked_at as v
        on o.order_date = v.order_date and o.device_id = v.device_id and l.product_id = v.product['value']
    where v.product['first_at'] <= o.ordered_at
    group by o.order_date, o.order_id
)

select
    o.order_date,
    o.order_id,
    o.account_id,
    o.ordered_at,
    v.first_viewed_at,
    (cast(o.ordered_at as bigint) - cast(v.first_viewed_at as bigint)) / 1000000 as considered_seconds
from orders as o
left join viewed as v on o.order_date = v.order_date and o.order_id = v.order_id
