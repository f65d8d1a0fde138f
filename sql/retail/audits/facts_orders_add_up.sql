-- Days whose facts count other orders than the cleaned source holds, or another amount than its lines.
with
counts as (
    select order_date, orders + cancelled_orders as fact_orders, gross as fact_gross, 0 as orders, 0 as gross
    from facts.daily_purchases
    union all
    select order_date, 0 as fact_orders, 0 as fact_gross, 1 as orders, 0 as gross
    from staging.orders
    union all
    select order_date, 0 as fact_orders, 0 as fact_gross, 0 as orders, amount as gross
    from staging.order_lines
    where not cancelled
)

select
    order_date,
    sum(fact_orders) as fact_orders,
    sum(orders) as orders,
    sum(fact_gross) as fact_gross,
    sum(gross) as gross
from counts
group by order_date
having sum(fact_orders) <> sum(orders) or sum(fact_gross) <> sum(gross)
