-- What each customer bought before `as_of`, all time and in the windows of the settings.
-- grain: customer_id, orphan_account_id
-- store: table
-- quarantine: rule
-- weight: orders_read
-- why: orders of accounts that no customer record knows are orphans, one rejected row an account
with
days as (
    select
        p.customer_id,
        case when p.customer_id is null then d.account_id end as orphan_account_id,
        d.order_date,
        local_date($as_of, $time_zone) - d.order_date as days_ago,
        sum(d.orders) as orders,
        sum(d.cancelled_orders) as cancelled_orders,
        sum(d.web_orders) as web_orders,
        sum(d.app_orders) as app_orders,
        sum(d.store_orders) as store_orders,
        sum(d.discounted_orders) as discounted_orders,
        sum(d.order_lines) as order_lines,
        sum(d.items) as items,
        sum(d.gross) as gross,
        sum(d.discount) as discount,
        sum(d.net) as net
    from facts.daily_purchases as d
    left join identity.account_person as p on d.account_id = p.account_id
    where d.first_order_at < $as_of
    group by
        p.customer_id,
        case when p.customer_id is null then d.account_id end,
        d.order_date
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
    cast(coalesce(sum(orders) filter (where days_ago <= $rfm_window_days), 0) as bigint) as orders_in_window,
    cast(coalesce(sum(net) filter (where days_ago <= $rfm_window_days), 0) as decimal(18, 2)) as net_in_window,
    cast(coalesce(sum(orders) filter (where days_ago <= 30), 0) as bigint) as orders_30,
    case when customer_id is null then 'orphan_order' end as rule
from days
group by customer_id, orphan_account_id
