-- The segment of each customer in each family as of this run.
-- store: view
select
    customer_id,
    family,
    segment,
    segment_name,
    segment_name_zh
from segments.family_history
where as_of = $as_of
