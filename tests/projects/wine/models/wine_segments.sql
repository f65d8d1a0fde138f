-- Segments of wines by their components, which share a unit: their variances are the eigenvalues.
-- kind: kmeans
-- k: 3
-- scale: none
select
    wine_id,
    scores[1] as component_1,
    scores[2] as component_2,
    scores[3] as component_3
from staging.scores
