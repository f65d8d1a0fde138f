-- What was done on each day by each customer, device by device; nobody's where the holder of a device is unknown.
-- store: view
-- why: what was done under an account belongs to its customer, what was done anonymously to the holder of the device at that time
with
holders as (
    select
        a.event_date,
        d.customer_id,
        a.events,
        a.views,
        a.searches,
        a.carts,
        a.dwell_ms,
        a.hours
    from facts.daily_activity as a
    left join identity.device_person as d
        on a.device_id = d.device_id and a.first_event_at >= d.valid_from and a.first_event_at < d.valid_to
    where a.account_id is null and a.first_event_at < $as_of
),

accounts as (
    select
        a.event_date,
        p.customer_id,
        a.events,
        a.views,
        a.searches,
        a.carts,
        a.dwell_ms,
        a.hours
    from facts.daily_activity as a
    left join identity.account_person as p on a.account_id = p.account_id
    where a.account_id is not null and a.first_event_at < $as_of
)

select event_date, customer_id, events, views, searches, carts, dwell_ms, hours
from holders
union all
select event_date, customer_id, events, views, searches, carts, dwell_ms, hours
from accounts
