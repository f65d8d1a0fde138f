-- Quintile cut points and means of recency, frequency and spend: scores of runs with the same reference can be compared.
-- kind: reference
-- refit: drifted
-- quantiles: .2, .4, .6, .8
-- why: frozen for good, they would be those of the company's first days; `reference_drift` says since when they hold, and
--    how far customers have moved since
select
    customer_id,
    recency_days,
    frequency,
    monetary
from features.rfm_window
