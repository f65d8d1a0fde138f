-- Recency, frequency and monetary value of who has ever bought, as scored.
-- store: view
-- why: frequency and spend count the window of `rfm_window_days`; net of discounts and returns; `rfm_monetary` says whether
--    spend is the total or the average of an order
select
    customer_id,
    cast(recency_days as double) as recency_days,
    cast(frequency_window as double) as frequency,
    case $rfm_monetary
        when 'average' then coalesce(cast(monetary_window as double) / nullif(cast(frequency_window as double), 0.0), 0.0)
        else cast(monetary_window as double)
    end as monetary
from features.customers
where frequency > 0
