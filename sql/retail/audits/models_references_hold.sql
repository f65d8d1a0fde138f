-- Cut points that are kept although customers have moved beyond the limits; `refit: drifted` lets them
--    follow.
-- severity: warning
select
    model,
    feature,
    trained_as_of,
    stability_index,
    max_drift,
    mean_trained,
    mean,
    max_move
from segments.reference_drift
where beyond_limit
