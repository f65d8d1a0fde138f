-- Where each wine lies on each component.
-- store: view
-- why: the segments' model and their use read this one definition
select
    wine_id,
    factor_scores(vector, $wine_factors) as scores
from staging.vectors
