-- What each customer bought on each day before `as_of`, and how many days after the purchase day before.
-- grain: customer_id, orphan_account_id, order_date
-- store: table
-- why: days of cancelled orders only are no purchase days and have no gap; orders of accounts that no customer record knows
--    keep their account
with
days as (
    select
        p.customer_id,
        case when p.customer_id is null then d.account_id end as orphan_account_id,
        d.order_date,
        sum(d.orders) as orders,
        sum(d.cancelled_orders) as cancelled_orders,
        sum(d.web_orders) as web_orders,
        sum(d.app_orders) as app_orders,
        sum(d.store_orders) as store_orders,
        sum(d.discounted_orders) as discounted_orders,
        sum(d.order_lines) as order_lines,
        sum(d.items) as items,
        sum(d.gross) as gross,
        sum(d.discount) as discount,
        sum(d.net) as net
    from facts.daily_purchases as d
    left join identity.account_person as p on d.account_id = p.account_id
    where d.first_order_at < $as_of
    group by
        p.customer_id,
        case when p.customer_id is null then d.account_id end,
        d.order_date
),

-- Customers are dealt to 64 lots, since a window for each would cost many times more.
followed as (
    select
        customer_id,
        orphan_account_id,
        order_date,
        orders,
        cancelled_orders,
        web_orders,
        app_orders,
        store_orders,
        discounted_orders,
        order_lines,
        items,
        gross,
        discount,
        net,
        lag(customer_id) over in_lot as customer_before,
        lag(order_date) over in_lot as purchase_before
    from days
    window in_lot as (
        partition by row_hash(customer_id) % 64, orders > 0
        order by customer_id, orphan_account_id, order_date
    )
)

select
    customer_id,
    orphan_account_id,
    order_date,
    cast(orders as bigint) as orders,
    cast(cancelled_orders as bigint) as cancelled_orders,
    cast(web_orders as bigint) as web_orders,
    cast(app_orders as bigint) as app_orders,
    cast(store_orders as bigint) as store_orders,
    cast(discounted_orders as bigint) as discounted_orders,
    cast(order_lines as bigint) as order_lines,
    cast(items as bigint) as items,
    cast(gross as decimal(18, 2)) as gross,
    cast(discount as decimal(18, 2)) as discount,
    cast(net as decimal(18, 2)) as net,
    case when orders > 0 and customer_before = customer_id then order_date - purchase_before end as gap_days
from followed
