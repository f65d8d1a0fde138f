-- The paths of sessions, repeats taken once, and how many sessions took each.
-- grain: path
-- store: table
-- why: paths are few beside sessions, so that funnels and the most frequent paths count these rows
select
    path,
    count(*) as sessions,
    cast(sum(cast(ended_at as bigint) - cast(started_at as bigint)) / 1000000 as bigint) as seconds
from features.sessions
group by path
