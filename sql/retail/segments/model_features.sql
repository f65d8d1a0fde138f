-- The features of the behaviour model: what the customers' values look like, which do not vary, which say the same.
-- grain: as_of, feature
-- store: table
-- publish: as_of
-- why: figures are of the training rows of this run, at most 262,144; correlations are of values as the model compares
--    them (transformed, scaled, a missing one at the centre), and from .95 on one of the two features is enough; of the
--    transformed feature, `scale / weight` is one unit of the model's distance
with
reports as (
    select unnest($behaviour_factors['report']) as report
),

model as (
    select
        unnest($behaviour_model['features']) as feature,
        unnest($behaviour_model['transforms']) as transform,
        unnest($behaviour_model['centre']) as centre,
        unnest($behaviour_model['scale']) as scale,
        unnest($behaviour_model['weights']) as weight
)

select
    $as_of as as_of,
    r.report['feature'] as feature,
    r.report['rows'] as customers,
    1.0 - cast(r.report['known'] as double) / nullif(r.report['rows'], 0) as missing_share,
    r.report['mean'] as mean,
    r.report['deviation'] as deviation,
    r.report['minimum'] as minimum,
    r.report['maximum'] as maximum,
    r.report['constant'] as constant,
    r.report['nearest'] as nearest_feature,
    r.report['correlation'] as correlation,
    r.report['redundant'] as redundant,
    m.transform,
    m.centre,
    m.scale,
    m.weight,
    $run_id as run_id
from reports as r
left join model as m on r.report['feature'] = m.feature
