-- What each component explains.
-- grain: as_of, factor
-- store: table
with
variances as (
    select unnest($wine_factors['variances']) as variance
)

select
    $as_of as as_of,
    variance['factor'] as factor,
    variance['name'] as name,
    variance['eigenvalue_share'] as share,
    variance['kept'] as kept
from variances
