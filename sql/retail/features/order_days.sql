-- The days on which each customer ordered on the web or in the app before `as_of`, and whether at once or thought over.
-- grain: customer_id, order_date
-- store: table
-- why: an order of which nothing was looked at that day was placed at once
select
    p.customer_id,
    o.order_date,
    count(*) as orders,
    count(*) filter (where coalesce(o.considered_seconds < $impulse_seconds, true)) as quick_orders,
    coalesce(bool_or(o.considered_seconds >= $impulse_seconds), false) as thought_over
from facts.order_views as o
inner join identity.account_person as p on o.account_id = p.account_id
where o.ordered_at < $as_of
group by p.customer_id, o.order_date
