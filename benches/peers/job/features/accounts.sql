-- Everything known about each account.
-- grain: account_id
-- store: table
with
joined as (
    select
        coalesce(a.account_id, p.account_id) as account_id,
        local_date($as_of, $time_zone) as as_of_day,
        a.last_active_on,
        p.last_order_on,
        coalesce(a.active_days, 0) as active_days,
        coalesce(a.events, 0) as events,
        coalesce(a.views, 0) as views,
        coalesce(a.searches, 0) as searches,
        coalesce(a.carts, 0) as carts,
        coalesce(a.dwell_ms, 0) as dwell_ms,
        coalesce(a.evening_days, 0) as evening_days,
        coalesce(a.weekend_days, 0) as weekend_days,
        coalesce(a.active_days_90, 0) as active_days_90,
        coalesce(a.viewed_products, 0) as viewed_products,
        coalesce(p.orders, 0) as orders,
        coalesce(p.purchase_days, 0) as purchase_days,
        coalesce(p.bought_products, 0) as bought_products,
        coalesce(p.items, 0) as items,
        coalesce(p.gross, 0) as gross
    from features.activity as a
    full join features.purchases as p on a.account_id = p.account_id
)

select
    account_id,
    coalesce(as_of_day - greatest(last_active_on, last_order_on), 400) as recency_days,
    active_days,
    events,
    views,
    searches,
    carts,
    dwell_ms,
    viewed_products,
    orders,
    purchase_days,
    bought_products,
    items,
    gross,
    coalesce(cast(views as double) / nullif(active_days, 0), 0) as views_per_active_day,
    coalesce(cast(evening_days as double) / nullif(active_days, 0), 0) as evening_share,
    coalesce(cast(weekend_days as double) / nullif(active_days, 0), 0) as weekend_share,
    coalesce(cast(active_days_90 as double) / nullif(active_days, 0), 0) as recent_share,
    coalesce(cast(gross as double) / nullif(orders, 0), 0) as avg_order_value
from joined
