-- How much each behaviour feature has to do with each factor: its correlation with the factor.
-- grain: as_of, factor, feature
-- store: table
-- publish: as_of
-- why: `communality` is the share of the feature's variance that all factors together explain
with
loadings as (
    select unnest($behaviour_factors['loadings']) as loading
)

select
    $as_of as as_of,
    cast(loading['factor'] as int) as factor,
    array_element($behaviour_factors['names'], loading['factor']) as factor_name,
    loading['feature'] as feature,
    loading['loading'] as loading,
    loading['communality'] as communality,
    $run_id as run_id
from loadings
