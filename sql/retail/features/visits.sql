-- What was done on one device on one day before `as_of`, and by whom.
-- store: view
-- why: what was done under an account belongs to its customer, what was done anonymously to the holder of the
--    device at that time; inlined into its readers, each of which takes a few columns
select
    a.event_date,
    a.device_id,
    a.account_id,
    coalesce(p.customer_id, d.customer_id) as customer_id,
    a.events,
    a.views,
    a.searches,
    a.carts,
    a.stays,
    a.dwell_ms,
    a.hours,
    a.products,
    a.places,
    a.sessions
from facts.daily_activity as a
left join identity.account_person as p on a.account_id = p.account_id
left join identity.device_person as d
    on
        -- no key where the account tells, so that its row is not even looked for
        case when a.account_id is null then a.device_id end = d.device_id
        and a.first_event_at >= d.valid_from
        and a.first_event_at < d.valid_to
where a.first_event_at < $as_of
