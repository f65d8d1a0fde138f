-- Each model that this run used, and as of when it was trained.
-- grain: as_of, model
-- store: table
-- publish: as_of
-- why: a run for an earlier instant than the last one uses models of later runs, unless it is run
--    `--as-known-then`; `follows_as_of` is when the model was trained whose segment ids this one continues
with
models as (
    select unnest($models) as model
)

select
    $as_of as as_of,
    model['model'] as model,
    model['kind'] as kind,
    model['refit'] as refit,
    model['trained_as_of'] as trained_as_of,
    cast(
        local_date($as_of, $time_zone) - local_date(model['trained_as_of'], $time_zone) as int
    ) as days_since,
    model['trained_as_of'] > $as_of as trained_later,
    model['follows_as_of'] as follows_as_of,
    $run_id as run_id
from models
