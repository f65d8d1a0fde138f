-- Quintile cut points and means of recency, frequency and spend, frozen: scores of later runs can be compared.
-- kind: reference
-- quantiles: .2, .4, .6, .8
-- why: the reference population is who bought in the window
select
    customer_id,
    recency_days,
    frequency,
    monetary
from features.rfm
where frequency > 0
