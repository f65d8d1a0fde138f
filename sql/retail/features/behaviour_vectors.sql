-- The behaviour of each customer as the model takes it: one vector, in the order of its features.
-- store: view
-- why: who never came and never bought is no behaviour to learn from (`known` is false), but is assigned like everyone
select
    customer_id,
    recency_days is not null or active_days > 0 as known,
    make_array(
        recency_days, orders, avg_order_value, active_days, views_per_active_day, discounted_share, categories,
        return_rate, recent_share, busiest_month_share, store_share
    ) as vector
from features.behaviour
