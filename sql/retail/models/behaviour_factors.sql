-- What the behaviour features have in common: principal components, turned by varimax so that each can be named.
-- kind: factors
-- method: pca
-- components: kaiser
-- rotation: varimax
-- transform: log1p, recency_days=none, discounted_share=none, return_rate=none, recent_share=none,
--    busiest_month_share=none, store_share=none
-- scale: standard
-- refit: always
-- why: read by analysts, not by the segments, so it tells of this run's customers; rows and transforms are those of the
--    behaviour model
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
