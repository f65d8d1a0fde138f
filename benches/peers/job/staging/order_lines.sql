-- Lines of orders that were not cancelled, one row each.
-- grain: order_date, order_id, line_no
-- store: daily
-- day: order_date
with
orders as (
    select
        order_id,
        account_id,
        status,
        order_date,
        row_number() over (
            partition by order_date, order_id
            order by ingested_at, account_id, status
        ) as copy
    from raw.orders
    where order_id is not null and account_id is not null
),

lines as (
    select
        order_id,
        line_no,
        product_id,
        quantity,
        to_money(unit_price) as unit_price,
        order_date,
        row_number() over (
            partition by order_date, order_id, line_no
            order by ingested_at, product_id, quantity, unit_price
        ) as copy
    from raw.order_items
    where
        order_id is not null
        and line_no is not null
        and quantity between 1 and $max_quantity
        and unit_price between 0 and $max_price
)

select
    l.order_date,
    l.order_id,
    l.line_no,
    o.account_id,
    l.product_id,
    l.quantity,
    cast(l.quantity * l.unit_price as decimal(18, 2)) as amount
from lines as l
inner join orders as o on l.order_date = o.order_date and l.order_id = o.order_id
where l.copy = 1 and o.copy = 1 and lower(trim(o.status)) <> 'cancelled'
