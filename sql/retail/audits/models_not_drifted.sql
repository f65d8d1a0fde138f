-- Features of a kept model whose customers have moved away from those it was trained on; `--accept-drift` lets them pass.
select
    model,
    feature,
    stability_index
from segments.model_drift
where stability_index > $max_drift and not $accept_drift
