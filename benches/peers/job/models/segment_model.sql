-- Segments of accounts.
-- kind: kmeans
-- k: 8
-- transform: log1p, recency_days=none, evening_share=none, weekend_share=none, recent_share=none
-- scale: standard
-- starts: 16
-- seed: 7
-- polish: 3
select
    account_id,
    recency_days,
    active_days,
    views_per_active_day,
    viewed_products,
    evening_share,
    weekend_share,
    recent_share,
    orders,
    bought_products,
    avg_order_value
from features.accounts
