-- The segment of each wine.
-- grain: as_of, wine_id
-- store: table
with
assigned as (
    select
        wine_id,
        scores,
        kmeans_assign(scores, $wine_segments) as assignment
    from staging.scores
)

select
    wine_id,
    $as_of as as_of,
    scores[1] as component_1,
    assignment['segment'] as segment,
    assignment['distance'] as distance
from assigned
