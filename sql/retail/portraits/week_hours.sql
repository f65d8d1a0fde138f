-- When sessions begin: each hour of the local week, with customers and sessions.
-- grain: as_of, weekday, hour
-- store: table
-- publish: as_of
with
starts as (
    select
        local_dow(started_at, $time_zone) as weekday,
        local_hour(started_at, $time_zone) as hour,
        count(*) as sessions,
        count(*) filter (where strpos(path, 'o') > 0) as ordering_sessions
    from features.sessions
    group by local_dow(started_at, $time_zone), local_hour(started_at, $time_zone)
),

whole as (
    select sum(sessions) as sessions
    from starts
)

select
    $as_of as as_of,
    cast(s.weekday as int) as weekday,
    cast(s.hour as int) as hour,
    s.sessions,
    s.ordering_sessions,
    -- 100: as many as in the mean hour of the week
    cast(s.sessions as double) * 168 * 100 / w.sessions as hour_index,
    $run_id as run_id
from starts as s
cross join whole as w
