-- How each customer came to their orders on the web and in the app: thought over in the days before, or at once.
-- grain: customer_id
-- store: table
-- why: `days_before_orders` are days without an order of which the next order is at most `$consideration_days` days away,
--    `days_looked_ahead` those of them on which a product of that order was looked at
with
orders as (
    select
        p.customer_id,
        o.order_date,
        o.order_id,
        o.considered_seconds
    from facts.order_views as o
    inner join identity.account_person as p on o.account_id = p.account_id
    where o.ordered_at < $as_of
),

order_days as (
    select
        customer_id,
        order_date,
        count(*) as orders,
        count(*) filter (where coalesce(considered_seconds < $impulse_seconds, true)) as quick_orders,
        bool_or(considered_seconds >= $impulse_seconds) as thought_over
    from orders
    group by customer_id, order_date
),

days as (
    select
        coalesce(v.customer_id, o.customer_id) as customer_id,
        coalesce(v.event_date, o.order_date) as day,
        v.carts,
        v.stays,
        o.customer_id is not null as ordered,
        o.orders,
        o.quick_orders,
        o.thought_over
    from features.activity_days as v
    full outer join order_days as o on v.customer_id = o.customer_id and v.event_date = o.order_date
    where v.customer_id is not null or o.customer_id is not null
),

-- Customers are dealt to 64 lots, since a window for each would cost many times more; a day's number is unique in its lot
-- and falls from day to day, so that the last one seen is the next order.
followed as (
    select
        customer_id,
        day,
        carts,
        stays,
        ordered,
        orders,
        quick_orders,
        last_value(case when ordered then customer_id end) ignore nulls over later as next_customer,
        last_value(case when ordered then day end) ignore nulls over later as next_order,
        last_value(case when ordered then thought_over end) ignore nulls over later as next_thought_over
    from days
    window later as (
        partition by row_hash(customer_id) % 64
        order by customer_id, day desc
        rows between unbounded preceding and 1 preceding
    )
),

before as (
    select
        customer_id,
        day,
        next_order
    from followed
    where
        not ordered and next_customer = customer_id and next_thought_over
        and next_order - day <= $consideration_days
),

ordered_products as (
    select
        o.customer_id,
        o.order_date,
        l.product_id
    from orders as o
    inner join staging.order_lines as l on o.order_date = l.order_date and o.order_id = l.order_id
    group by o.customer_id, o.order_date, l.product_id
),

packed as (
    select
        b.customer_id,
        b.day,
        b.next_order,
        v.products
    from before as b
    inner join features.visits as v on b.customer_id = v.customer_id and b.day = v.event_date
),

looked_at as (
    select
        customer_id,
        day,
        next_order,
        unnest(products) as product
    from packed
),

ahead as (
    select
        v.customer_id,
        v.day
    from looked_at as v
    inner join ordered_products as o
        on v.customer_id = o.customer_id and v.next_order = o.order_date and v.product['value'] = o.product_id
    group by v.customer_id, v.day
),

looked_ahead as (
    select
        b.customer_id,
        count(*) as days_before_orders,
        count(a.day) as days_looked_ahead
    from before as b
    left join ahead as a on b.customer_id = a.customer_id and b.day = a.day
    group by b.customer_id
),

totals as (
    select
        customer_id,
        cast(coalesce(sum(orders), 0) as bigint) as online_orders,
        cast(coalesce(sum(quick_orders), 0) as bigint) as quick_orders,
        cast(coalesce(sum(carts) filter (where not ordered), 0) as bigint) as parked,
        cast(coalesce(sum(carts + stays) filter (where not ordered), 0) as bigint) as park_chances
    from followed
    group by customer_id
)

select
    t.customer_id,
    t.online_orders,
    t.quick_orders,
    t.parked,
    t.park_chances,
    coalesce(l.days_before_orders, 0) as days_before_orders,
    coalesce(l.days_looked_ahead, 0) as days_looked_ahead
from totals as t
left join looked_ahead as l on t.customer_id = l.customer_id
