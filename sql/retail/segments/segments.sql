-- The behaviour segment of each customer, how clear it is, what decided it, and the run that says so.
-- grain: as_of, customer_id
-- store: table
-- publish: as_of
-- partition_by: segment
select
    customer_id,
    as_of,
    family,
    segment,
    segment_name,
    segment_name_zh,
    distance,
    runner_up,
    margin,
    deciding_features,
    main_tags,
    $run_id as run_id
from segments.assigned
