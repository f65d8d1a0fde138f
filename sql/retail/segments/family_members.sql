-- The segment of each customer in each family as of this run, with what they bought.
-- store: view
select
    customer_id,
    family,
    segment,
    segment_name,
    segment_name_zh,
    recency_days,
    frequency,
    monetary_total
from segments.family_history
where as_of = $as_of
