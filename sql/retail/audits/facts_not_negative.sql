-- Daily facts with impossible counts or times.
select
    event_date,
    device_id,
    account_id,
    events,
    first_event_at,
    last_event_at
from facts.daily_activity
where
    events <= 0
    or views + searches + carts + logins > events
    or dwell_ms < 0
    or first_event_at > last_event_at
    or device_id is null
