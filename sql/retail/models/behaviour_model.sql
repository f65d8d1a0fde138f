-- Behaviour segments of the customers, learned once and kept while the customers stay as they were.
-- kind: kmeans
-- refit: drifted
-- k: 3..8
-- choose_by: most
-- transform: log1p, recency_days=none, discounted_share=none, return_rate=none, recent_share=none,
--    busiest_month_share=none, store_share=none
-- scale: robust
-- starts: 16
-- seed: 7
-- polish: 1
-- titles_zh: recency_days=距上次购买天数, orders=订单数, avg_order_value=客单价, active_days=活跃天数,
--    views_per_active_day=日均浏览量, discounted_share=折扣单占比, categories=购买品类数, return_rate=退货率,
--    recent_share=近期活跃占比, busiest_month_share=最忙月占比, store_share=门店单占比
-- why: eight segments where so many are stable, fewer for a small shop;
--    who never came and never bought is no behaviour to learn from (`features.behaviour_vectors`)
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
