-- How each customer moves through web, app and stores: sessions, the hour of the week they come in most, and visits of stores
--    soon after a look online.
-- grain: customer_id
-- store: table
-- why: a session is engaged when it lasts over 10 seconds, or something is put into the cart or ordered (Google Analytics 4);
--    a bought product in a store is the only visit of a store that sources tell of
with
sessions as (
    select
        customer_id,
        count(*) as sessions,
        count(*) filter (
            where
            cast(ended_at as bigint) - cast(started_at as bigint) > 10000000
            or strpos(path, 'c') > 0
            or strpos(path, 'o') > 0
        ) as engaged_sessions,
        -- hours of the week from Monday 00:00; of several the earliest
        mode_by_weight(
            (local_dow(started_at, $time_zone) - 1) * 24 + local_hour(started_at, $time_zone), 1
        ) as peak_week_hour
    from features.sessions
    where customer_id is not null
    group by customer_id
),

store_days as (
    select
        p.customer_id,
        o.order_date
    from staging.orders as o
    inner join identity.account_person as p on o.account_id = p.account_id
    where o.channel = 'store' and not o.cancelled and day_start(o.order_date, $time_zone) < $as_of
    group by p.customer_id, o.order_date
),

looked_before as (
    select
        s.customer_id,
        s.order_date
    from store_days as s
    inner join features.activity_days as a on s.customer_id = a.customer_id
    where a.views > 0 and s.order_date - a.event_date between 0 and $store_visit_days
    group by s.customer_id, s.order_date
),

stores as (
    select
        s.customer_id,
        count(*) as store_days,
        count(b.order_date) as store_days_after_view
    from store_days as s
    left join looked_before as b on s.customer_id = b.customer_id and s.order_date = b.order_date
    group by s.customer_id
)

select
    coalesce(s.customer_id, v.customer_id) as customer_id,
    coalesce(s.sessions, 0) as sessions,
    coalesce(s.engaged_sessions, 0) as engaged_sessions,
    s.peak_week_hour,
    coalesce(v.store_days, 0) as store_days,
    coalesce(v.store_days_after_view, 0) as store_days_after_view
from sessions as s
full outer join stores as v on s.customer_id = v.customer_id
