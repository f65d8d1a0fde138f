-- One row per session: what one device was used for until nothing happened on it for half an hour, orders included.
-- grain: device_id, session
-- store: table
-- why: a session may cross midnight and a login, where the parts that facts hold meet; it belongs to who logged in,
--    else to the holder of the device
with
visited as (
    select
        device_id,
        account_id,
        customer_id,
        unnest(sessions) as part
    from features.visits
),

parts as (
    select
        device_id,
        account_id is not null as logged_in,
        customer_id,
        part['started_at'] as started_at,
        part['ended_at'] as ended_at,
        part['steps'] as steps,
        part['path'] as path
    from visited
    union all
    select
        o.device_id,
        true as logged_in,
        p.customer_id,
        o.ordered_at as started_at,
        o.ordered_at as ended_at,
        cast(1 as bigint) as steps,
        'o' as path
    from staging.orders as o
    left join identity.account_person as p on o.account_id = p.account_id
    where o.device_id is not null and o.channel in ('web', 'app') and o.ordered_at < $as_of
),

-- Devices are dealt to 64 lots, since a window for each would cost many times more, and sorted by their hashes, which cost less
-- to compare; parts that are equal in the order are interchangeable.
hashed as (
    select
        row_hash(device_id) % arrow_cast(64, 'UInt64') as lot,
        row_hash(device_id) as device,
        device_id,
        logged_in,
        customer_id,
        started_at,
        ended_at,
        steps,
        path
    from parts
),

followed as (
    select
        lot,
        device,
        device_id,
        logged_in,
        customer_id,
        started_at,
        ended_at,
        steps,
        path,
        case when lag(device) over lots = device then lag(ended_at) over lots end as ended_before,
        case when lag(device, 2) over lots = device then lag(ended_at, 2) over lots end as ended_earlier
    from hashed
    window lots as (
        partition by lot
        order by device, started_at, ended_at, path
    )
),

numbered as (
    select
        lot,
        device_id,
        logged_in,
        customer_id,
        started_at,
        ended_at,
        steps,
        path,
        sum(
            case
                when started_at < greatest(ended_before, ended_earlier) + interval '30 minutes' then 0
                else 1
            end
        ) over (
            partition by lot
            order by device, started_at, ended_at, path
            rows between unbounded preceding and current row
        ) as session
    from followed
)

select
    max(device_id) as device_id,
    session,
    coalesce(max(customer_id) filter (where logged_in), max(customer_id)) as customer_id,
    bool_or(logged_in) as logged_in,
    min(started_at) as started_at,
    max(ended_at) as ended_at,
    cast(sum(steps) as bigint) as steps,
    -- the parts in the order of time
    replace(
        replace(session_paths(path, started_at, interval '36500 days')[1]['path'], 'vv', 'v'),
        'ss', 's'
    ) as path
from numbered
group by lot, session
