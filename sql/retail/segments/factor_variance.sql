-- How much of what differs between customers each factor explains; eigenvalues of all components, so that a kink is seen.
-- grain: as_of, factor
-- store: table
-- publish: as_of
-- why: a component whose eigenvalue is not above 1 tells less than one feature and is not kept: it has no name and explains
--    nothing here; turning the factors spreads the variance of those kept anew
with
variances as (
    select unnest($behaviour_factors['variances']) as variance
)

select
    $as_of as as_of,
    cast(variance['factor'] as int) as factor,
    variance['name'] as factor_name,
    variance['kept'] as kept,
    variance['eigenvalue'] as eigenvalue,
    variance['eigenvalue_share'] as eigenvalue_share,
    variance['variance'] as variance,
    variance['variance_share'] as variance_share,
    variance['cumulative_share'] as cumulative_share,
    $run_id as run_id
from variances
