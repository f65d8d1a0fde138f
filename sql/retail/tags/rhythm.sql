-- How often and how evenly each customer buys, and who is late by the own cycle.
-- grain: customer_id
-- store: table
-- tag_median_gap_days: base number (1 to) | Own purchase cycle | 购买周期
--    | median days between two purchase days | needs orders
-- tag_purchase_regularity: base number (0 to 1) | Regularity of purchases | 购买规律性
--    | how evenly purchases are spaced, 1 as evenly as can be, of who bought on $cycle_purchases days or more | needs orders
-- tag_dormant: dimension flag | Dormant | 沉睡 | the last purchase is $dormant_days days or more ago | needs orders
-- tag_overdue: dimension flag | Overdue | 逾期未购
--    | the last purchase is $overdue_cycles own cycles of $cycle_floor_days days or more ago, of who bought on $cycle_purchases
--    days or more | needs orders
-- tag_high_frequency: dimension flag | High frequency | 高频购买
--    | $high_frequency_orders orders or more in $rfm_window_days days | needs orders
-- tag_novelty_seeker: dimension flag | Novelty seeker | 尝鲜
--    | $novelty_products or more products on the market for at most $new_product_days days bought in 30 days
--    | for marketing | needs orders, launches, consents
-- why: late, and even, is only who has bought on `cycle_purchases` days or more; for others both are unknown
select
    c.customer_id,
    y.median_gap_days,
    y.purchase_regularity,
    coalesce(c.recency_days >= $dormant_days, false) as dormant,
    c.recency_days >= y.cycle_days * $overdue_cycles as overdue,
    c.frequency_window >= $high_frequency_orders as high_frequency,
    case when p.marketing then c.new_products_30 >= $novelty_products end as novelty_seeker
from features.customers as c
inner join tags.purposes as p on c.customer_id = p.customer_id
left join features.cycles as y on c.customer_id = y.customer_id
