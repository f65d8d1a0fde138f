-- What each account bought.
-- grain: account_id
-- store: table
select
    account_id,
    cast(cardinality(value_set(order_id)) as bigint) as orders,
    cast(active_days(order_date) as bigint) as purchase_days,
    max(order_date) as last_order_on,
    cardinality(value_set(product_id)) as bought_products,
    cast(sum(quantity) as bigint) as items,
    cast(sum(amount) as decimal(18, 2)) as gross
from staging.order_lines
group by account_id
