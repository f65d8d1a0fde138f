-- Cut points that are kept though customers have moved beyond the limits: `refit: drifted` in the model's header lets them follow.
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
