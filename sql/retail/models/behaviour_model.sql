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
--    recent_share=近期活跃占比, busiest_month_share=最忙月占比, store_share=门店单占比,
--    novelty_seeker=尝鲜, price_sensitive=价格敏感, discount_seeker=折扣偏好, hesitant=犹豫型, impulse_buyer=冲动型,
--    online_to_offline=线上看线下买
-- tags: novelty_seeker, price_sensitive, discount_seeker, hesitant, impulse_buyer, online_to_offline
-- why: eight segments where so many are stable, fewer for a small shop;
--    who never came and never bought is no behaviour to learn from (`features.behaviour_vectors`)
select
    b.customer_id,
    b.recency_days,
    b.orders,
    b.avg_order_value,
    b.active_days,
    b.views_per_active_day,
    b.discounted_share,
    b.categories,
    b.return_rate,
    b.recent_share,
    b.busiest_month_share,
    b.store_share,
    r.novelty_seeker,
    p.price_sensitive,
    p.discount_seeker,
    t.hesitant,
    t.impulse_buyer,
    t.online_to_offline
from features.behaviour as b
inner join tags.rhythm as r on b.customer_id = r.customer_id
inner join tags.price as p on b.customer_id = p.customer_id
inner join tags.trajectory as t on b.customer_id = t.customer_id
where b.recency_days is not null or b.active_days > 0
