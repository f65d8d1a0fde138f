-- How many sessions reach each step of each funnel, of the first step and of the one before.
-- grain: as_of, funnel, step
-- store: table
-- publish: as_of
with
reached as (
    select
        f.funnel,
        f.step,
        f.step_name,
        coalesce(sum(p.sessions), 0) as sessions
    from features.funnel_steps as f
    left join features.session_paths as p on p.path like f.pattern and p.path like f.other_pattern
    group by f.funnel, f.step, f.step_name
),

compared as (
    select
        funnel,
        step,
        step_name,
        sessions,
        first_value(sessions) over (
            partition by funnel
            order by step
            rows between unbounded preceding and unbounded following
        ) as first_sessions,
        lag(sessions) over (partition by funnel order by step) as sessions_before
    from reached
)

select
    $as_of as as_of,
    funnel,
    cast(step as int) as step,
    step_name,
    cast(sessions as bigint) as sessions,
    cast(sessions as double) / nullif(first_sessions, 0) as share_of_first,
    cast(sessions as double) / nullif(sessions_before, 0) as share_of_previous,
    $run_id as run_id
from compared
