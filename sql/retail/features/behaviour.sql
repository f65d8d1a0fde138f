-- The features by which customers are clustered, one number each, in the order the model takes them.
-- store: view
-- why: the model and its use read this one definition
select
    customer_id,
    cast(recency_days as double) as recency_days,
    cast(frequency_window as double) as orders,
    cast(avg_order_value as double) as avg_order_value,
    cast(active_days as double) as active_days,
    views_per_active_day,
    discounted_share,
    cast(categories as double) as categories,
    return_rate,
    recent_share,
    busiest_month_share,
    store_share
from features.customers
