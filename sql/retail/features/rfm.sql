-- Recency, frequency and monetary value of who has ever bought, as scored.
-- store: view
-- why: frequency and spend count the window of `rfm_window_days`; net of discounts and returns
select
    customer_id,
    cast(recency_days as double) as recency_days,
    cast(frequency_window as double) as frequency,
    cast(monetary_window as double) as monetary
from features.customers
where frequency > 0
