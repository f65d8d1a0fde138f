-- Everything known about each customer as of `as_of`; who never bought or never came has zero counts.
-- grain: customer_id
-- store: table
-- why: days are calendar days of the project's time zone, so that a day with 23 hours is one day; shares and
--    averages are NULL where there is nothing to divide by
with
joined as (
    select
        c.customer_id,
        c.accounts,
        c.registered_at,
        local_date($as_of, $time_zone) as as_of_day,
        local_date(c.registered_at, $time_zone) as registered_on,
        b.first_purchase_on,
        b.last_purchase_on,
        coalesce(b.purchase_days, 0) as purchase_days,
        coalesce(b.orders, 0) as orders,
        coalesce(b.orders_in_window, 0) as orders_in_window,
        coalesce(b.orders_30, 0) as orders_30,
        coalesce(b.cancelled_orders, 0) as cancelled_orders,
        coalesce(b.web_orders, 0) as web_orders,
        coalesce(b.app_orders, 0) as app_orders,
        coalesce(b.store_orders, 0) as store_orders,
        coalesce(b.discounted_orders, 0) as discounted_orders,
        coalesce(b.items, 0) as items,
        coalesce(b.gross, 0) as gross,
        coalesce(b.discount, 0) as discount,
        coalesce(b.net, 0) as net,
        coalesce(b.net_in_window, 0) as net_in_window,
        coalesce(r.returns, z.returns) as returns,
        coalesce(r.returned_amount, z.returns) as returned_amount,
        coalesce(r.returned_in_window, 0) as returned_in_window,
        case when z.categories is not null then coalesce(k.categories, 0) end as categories,
        case when z.launches is not null then coalesce(k.new_products_30, 0) end as new_products_30,
        coalesce(a.events, z.activity) as events,
        coalesce(a.views, z.activity) as views,
        coalesce(a.searches, z.activity) as searches,
        coalesce(a.carts, z.activity) as carts,
        coalesce(a.dwell_ms, z.activity) as dwell_ms,
        coalesce(a.active_days, z.activity) as active_days,
        a.active_days_of_busiest_month,
        a.evening_days,
        a.weekend_days,
        a.active_days_90,
        a.active_days_365,
        coalesce(a.views_30, z.activity) as views_30,
        coalesce(a.carts_30, z.activity) as carts_30,
        a.last_active_on
    from identity.persons as c
    cross join features.not_found as z
    left join features.purchases as b on c.customer_id = b.customer_id
    left join features.returned as r on c.customer_id = r.customer_id
    left join features.baskets as k on c.customer_id = k.customer_id
    left join features.activity as a on c.customer_id = a.customer_id
)

select
    customer_id,
    accounts,
    as_of_day - least(registered_on, first_purchase_on) as tenure_days,
    as_of_day - last_purchase_on as recency_days,
    as_of_day - first_purchase_on as first_purchase_days,
    orders as frequency,
    orders_in_window as frequency_window,
    cast(net - coalesce(returned_amount, 0) as decimal(18, 2)) as monetary_total,
    cast(net_in_window - returned_in_window as decimal(18, 2)) as monetary_window,
    cast(gross as decimal(18, 2)) as gross_total,
    cast(discount as decimal(18, 2)) as discount_total,
    cast(returned_amount as decimal(18, 2)) as returned_total,
    to_money(cast(net as double) / nullif(orders, 0)) as avg_order_value,
    purchase_days,
    -- mean days between two purchase days
    cast(
        cast(last_purchase_on - first_purchase_on as double) / nullif(purchase_days - 1, 0) as decimal(9, 2)
    ) as purchase_cycle_days,
    orders_30,
    cancelled_orders,
    web_orders,
    app_orders,
    store_orders,
    cast(store_orders as double) / nullif(orders, 0) as store_share,
    cast(discounted_orders as double) / nullif(orders, 0) as discounted_share,
    cast(items as double) / nullif(orders, 0) as items_per_order,
    cast(returns as double) / nullif(orders, 0) as return_rate,
    categories,
    new_products_30,
    events,
    views,
    searches,
    carts,
    dwell_ms,
    active_days,
    as_of_day - last_active_on as last_active_days,
    cast(views as double) / nullif(active_days, 0) as views_per_active_day,
    cast(carts as double) / nullif(views, 0) as cart_rate,
    cast(evening_days as double) / nullif(active_days, 0) as evening_share,
    cast(weekend_days as double) / nullif(active_days, 0) as weekend_share,
    cast(active_days_90 as double) / nullif(active_days_365, 0) as recent_share,
    cast(active_days_of_busiest_month as double) / nullif(active_days, 0) as busiest_month_share,
    views_30,
    carts_30
from joined
