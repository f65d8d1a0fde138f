-- The most frequent paths of sessions, and how often they end in an order.
-- grain: as_of, place
-- store: table
-- publish: as_of
-- why: a path is cut after its first `$path_steps` steps, as few sessions share long ones, and counts only from `$min_crowd`
--    sessions on
with
cut as (
    select
        left(path, cast($path_steps as int)) as path,
        sum(sessions) as sessions,
        sum(sessions) filter (where strpos(path, 'o') > 0) as ordering_sessions,
        sum(seconds) as seconds
    from features.session_paths
    group by left(path, cast($path_steps as int))
),

ranked as (
    select
        path,
        sessions,
        ordering_sessions,
        seconds,
        row_number() over (order by sessions desc, path) as place
    from cut
    where sessions >= $min_crowd
),

whole as (
    select sum(sessions) as sessions
    from features.session_paths
)

select
    $as_of as as_of,
    cast(r.place as bigint) as place,
    r.path,
    cast(r.sessions as bigint) as sessions,
    cast(r.sessions as double) / w.sessions as session_share,
    cast(coalesce(r.ordering_sessions, 0) as double) / r.sessions as order_share,
    cast(r.seconds as double) / r.sessions as mean_seconds,
    $run_id as run_id
from ranked as r
cross join whole as w
where r.place <= $top_paths
