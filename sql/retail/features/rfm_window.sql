-- Who bought in the window of `rfm_window_days`: the reference population of RFM scores.
-- store: view
select
    customer_id,
    recency_days,
    frequency,
    monetary
from features.rfm
where frequency > 0
