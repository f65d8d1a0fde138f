-- What each account bought.
-- grain: account_id
-- store: table
with
products as (
    select
        account_id,
        product_id,
        sum(quantity) as items,
        sum(amount) as gross
    from staging.order_lines
    group by account_id, product_id
),

sums as (
    select
        account_id,
        count(*) as bought_products,
        sum(items) as items,
        sum(gross) as gross
    from products
    group by account_id
),

orders as (
    select account_id, order_date, order_id
    from staging.order_lines
    group by account_id, order_date, order_id
),

days as (
    select account_id, order_date, count(*) as orders
    from orders
    group by account_id, order_date
),

counts as (
    select
        account_id,
        sum(orders) as orders,
        count(*) as purchase_days,
        max(order_date) as last_order_on
    from days
    group by account_id
)

select
    s.account_id,
    cast(c.orders as bigint) as orders,
    c.purchase_days,
    c.last_order_on,
    s.bought_products,
    cast(s.items as bigint) as items,
    cast(s.gross as decimal(18, 2)) as gross
from sums as s
inner join counts as c on s.account_id = c.account_id
