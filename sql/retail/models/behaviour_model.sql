-- Behaviour segments of the customers, learned once and kept until refit.
-- kind: kmeans
-- k: 8
-- transform: log1p, recency_days=none, discounted_share=none, return_rate=none, recent_share=none,
--    busiest_month_share=none, store_share=none
-- scale: robust
-- starts: 16
-- seed: 7
-- polish: 3
-- why: who never came and never bought is no behaviour to learn from, but is assigned like everyone
select
    customer_id,
    recency_days,
    orders,
    avg_order_value,
    active_days,
    views_per_active_day,
    discounted_share,
    categories,
    return_rate,
    recent_share,
    busiest_month_share,
    store_share
from features.behaviour
where recency_days is not null or active_days > 0
