-- Days on which a customer was active without an order, soon before an order that was thought over.
-- grain: customer_id, day
-- store: table
-- why: apart from `features.considered`, which needs it twice; the next order is at most `$consideration_days` days away
with
followed as (
    select
        a.customer_id,
        a.event_date,
        min(o.order_date) as next_order,
        bool_or(o.order_date = a.event_date) as ordered
    from features.activity_days as a
    inner join features.order_days as o on a.customer_id = o.customer_id
    where o.order_date - a.event_date between 0 and $consideration_days
    group by a.customer_id, a.event_date
)

select
    f.customer_id,
    f.event_date as day,
    f.next_order
from followed as f
inner join features.order_days as o on f.customer_id = o.customer_id and f.next_order = o.order_date
where not f.ordered and o.thought_over
