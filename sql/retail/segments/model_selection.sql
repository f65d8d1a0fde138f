-- Each number of segments that was tried when the behaviour model was trained, how it did, and why it was chosen or not.
-- grain: as_of, model, k
-- store: table
-- publish: as_of
-- why: figures are of the training sample, at most 16,384 rows of it; a model that was kept brings those of its training
with
candidates as (
    select unnest($behaviour_model['selection']) as candidate
)

select
    $as_of as as_of,
    'behaviour_model' as model,
    candidate['k'] as k,
    candidate['chosen'] as chosen,
    candidate['reason'] as reason,
    candidate['silhouette'] as silhouette,
    candidate['calinski_harabasz'] as calinski_harabasz,
    candidate['davies_bouldin'] as davies_bouldin,
    candidate['gap'] as gap,
    candidate['gap_error'] as gap_error,
    candidate['stability'] as stability,
    candidate['inertia'] as inertia,
    candidate['largest_share'] as largest_share,
    candidate['smallest_share'] as smallest_share,
    $run_id as run_id
from candidates
