-- What each customer bought before `as_of`, all time and in the windows of the settings.
-- grain: customer_id, orphan_account_id
-- store: table
-- quarantine: rule
-- weight: orders_read
-- why: orders of accounts that no customer record knows are orphans, one rejected row an account
with
days as (
    select
        customer_id,
        orphan_account_id,
        order_date,
        local_date($as_of, $time_zone) - order_date as days_ago,
        orders,
        cancelled_orders,
        web_orders,
        app_orders,
        store_orders,
        discounted_orders,
        order_lines,
        items,
        gross,
        discount,
        net,
        gap_days
    from features.purchase_days
)

select
    customer_id,
    orphan_account_id,
    cast(sum(orders + cancelled_orders) as bigint) as orders_read,
    cast(sum(orders) as bigint) as orders,
    cast(sum(cancelled_orders) as bigint) as cancelled_orders,
    cast(sum(web_orders) as bigint) as web_orders,
    cast(sum(app_orders) as bigint) as app_orders,
    cast(sum(store_orders) as bigint) as store_orders,
    cast(sum(discounted_orders) as bigint) as discounted_orders,
    cast(sum(order_lines) as bigint) as order_lines,
    cast(sum(items) as bigint) as items,
    cast(sum(gross) as decimal(18, 2)) as gross,
    cast(sum(discount) as decimal(18, 2)) as discount,
    cast(sum(net) as decimal(18, 2)) as net,
    count(*) filter (where orders > 0) as purchase_days,
    min(order_date) filter (where orders > 0) as first_purchase_on,
    max(order_date) filter (where orders > 0) as last_purchase_on,
    quantile_disc(gap_days, 0.5) as median_gap_days,
    fixed_sum(gap_days * ln(cast(gap_days as double))) as gap_entropy,
    cast(coalesce(sum(orders) filter (where days_ago <= $rfm_window_days), 0) as bigint) as orders_in_window,
    cast(coalesce(sum(net) filter (where days_ago <= $rfm_window_days), 0) as decimal(18, 2)) as net_in_window,
    cast(coalesce(sum(orders) filter (where days_ago <= 30), 0) as bigint) as orders_30,
    case when customer_id is null then 'orphan_order' end as rule
from days
group by customer_id, orphan_account_id
