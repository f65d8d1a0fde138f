-- One row per session: what one device was used for until nothing happened on it for half an hour, orders included.
-- grain: device_id, started_at
-- store: table
-- sorted: no
-- why: a session may cross midnight and a login, where the parts that facts hold meet; it belongs to who logged in,
--    else to the holder of the device
with
parts as (
    select
        device_id,
        customer_id,
        account_id is not null as logged_in,
        sessions
    from features.visits
    union all
    select
        o.device_id,
        p.customer_id,
        true as logged_in,
        [named_struct('started_at', o.ordered_at, 'ended_at', o.ordered_at, 'steps', 1, 'path', 'o')] as sessions
    from staging.orders as o
    left join identity.account_person as p on o.account_id = p.account_id
    where o.device_id is not null and o.channel in ('web', 'app') and o.ordered_at < $as_of
),

devices as (
    select
        device_id,
        join_sessions(sessions, customer_id, logged_in, interval '30 minutes', $step_order) as sessions
    from parts
    group by device_id
),

opened as (
    select
        device_id,
        unnest(sessions) as session
    from devices
)

select
    device_id,
    session['holder'] as customer_id,
    session['logged_in'] as logged_in,
    session['started_at'] as started_at,
    session['ended_at'] as ended_at,
    session['steps'] as steps,
    session['path'] as path
from opened
