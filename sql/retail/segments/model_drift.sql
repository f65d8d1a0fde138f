-- How far each feature of the behaviour model has moved away from the customers that the model was trained on.
-- grain: as_of, model, feature
-- store: table
-- publish: as_of
-- why: the stability index compares the shares of eleven bins, tenths of the training sample and customers without the
--    value; below .1 nothing has changed, from .25 on the customers are others
with
codes as (
    select unnest(kmeans_bins(vector, $behaviour_model)) as code
    from features.behaviour_vectors
    where known
),

counted as (
    select
        code,
        count(*) as customers
    from codes
    group by code
),

expected as (
    select
        unnest(range(array_length($behaviour_model['shares']))) as code,
        unnest($behaviour_model['shares']) as share
),

bins as (
    select
        e.code,
        -- eleven bins a feature
        e.code / 11 as feature,
        e.share,
        coalesce(c.customers, 0) as customers
    from expected as e
    left join counted as c on e.code = c.code
)

select
    $as_of as as_of,
    'behaviour_model' as model,
    $behaviour_model['features'][feature + 1] as feature,
    population_stability(
        array_agg(share order by code), array_agg(cast(customers as double) order by code)
    ) as stability_index,
    max(share) filter (where code % 11 = 10) as missing_share_trained,
    cast(max(customers) filter (where code % 11 = 10) as double) / nullif(sum(customers), 0) as missing_share,
    cast(sum(customers) as bigint) as customers,
    $run_id as run_id
from bins
group by feature
