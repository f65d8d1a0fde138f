-- How often and how evenly each customer buys, and who is late by the own cycle.
-- grain: customer_id
-- store: table
-- why: late, and even, is only who has bought on `cycle_purchases` days or more; for others both are unknown
select
    c.customer_id,
    y.median_gap_days,
    y.purchase_regularity,
    coalesce(c.recency_days >= $dormant_days, false) as dormant,
    c.recency_days >= y.cycle_days * $overdue_cycles as overdue,
    c.frequency_window >= $high_frequency_orders as high_frequency,
    case when c.marketing_consent then c.new_products_30 >= $novelty_products end as novelty_seeker
from features.customers as c
left join features.cycles as y on c.customer_id = y.customer_id
