-- Customers with features that cannot be: shares outside 0 to 1, purchases after `as_of`, counts below zero.
select
    customer_id,
    recency_days,
    frequency,
    discounted_share,
    store_share,
    recent_share,
    evening_share
from features.customers
where
    recency_days < 0
    or frequency < 0
    or (frequency > 0) <> (recency_days is not null)
    or frequency_window > frequency
    or discounted_share not between 0 and 1
    or store_share not between 0 and 1
    or recent_share not between 0 and 1
    or busiest_month_share not between 0 and 1
    or evening_share not between 0 and 1
    or weekend_share not between 0 and 1
