-- What each account bought.
-- grain: account_id
-- store: table
with
days as (
    select
        account_id,
        order_date,
        cardinality(value_set(order_id)) as orders,
        value_set(product_id) as products,
        sum(quantity) as items,
        sum(amount) as gross
    from staging.order_lines
    group by account_id, order_date
)

select
    account_id,
    cast(sum(orders) as bigint) as orders,
    count(*) as purchase_days,
    max(order_date) as last_order_on,
    cardinality(value_set(products)) as bought_products,
    cast(sum(items) as bigint) as items,
    cast(sum(gross) as decimal(18, 2)) as gross
from days
group by account_id
