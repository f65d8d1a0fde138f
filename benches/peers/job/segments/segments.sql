-- The segment of each account.
-- grain: as_of, account_id
-- store: table
-- publish: as_of
-- partition_by: segment
select
    $as_of as as_of,
    account_id,
    cast(
        kmeans_assign(
            make_array(
                recency_days, active_days, views_per_active_day, viewed_products, evening_share, weekend_share,
                recent_share, orders, bought_products, avg_order_value
            ),
            $segment_model
        )['segment'] as int
    ) as segment,
    recency_days,
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
    views_per_active_day,
    evening_share,
    weekend_share,
    recent_share,
    avg_order_value
from features.accounts
