-- The features of `features.behaviour` as the vector that the behaviour model takes.
-- store: view
select
    customer_id,
    make_array(
        recency_days, orders, avg_order_value, active_days, views_per_active_day, discounted_share, categories,
        return_rate, recent_share, busiest_month_share, store_share
    ) as vector
from features.behaviour
