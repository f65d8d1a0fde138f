-- How each customer came to their orders on the web and in the app: thought over in the days before, or at once.
-- grain: customer_id
-- store: table
-- why: `days_before_orders` are days without an order of which the next order is at most `$consideration_days` days away,
--    `days_looked_ahead` those of them on which a product of that order was looked at
with
ordered_products as (
    select
        p.customer_id,
        o.order_date,
        l.product_id
    from facts.order_views as o
    inner join identity.account_person as p on o.account_id = p.account_id
    inner join staging.order_lines as l on o.order_date = l.order_date and o.order_id = l.order_id
    where o.ordered_at < $as_of
),

packed as (
    select
        b.customer_id,
        b.day,
        b.next_order,
        v.products
    from features.days_before_orders as b
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
    from features.days_before_orders as b
    left join ahead as a on b.customer_id = a.customer_id and b.day = a.day
    group by b.customer_id
),

ordered_totals as (
    select
        customer_id,
        cast(sum(orders) as bigint) as online_orders,
        cast(sum(quick_orders) as bigint) as quick_orders
    from features.order_days
    group by customer_id
),

parked as (
    select
        a.customer_id,
        cast(coalesce(sum(a.carts), 0) as bigint) as parked,
        cast(coalesce(sum(a.carts + a.stays), 0) as bigint) as park_chances
    from features.activity_days as a
    left join features.order_days as o on a.customer_id = o.customer_id and a.event_date = o.order_date
    where a.customer_id is not null and o.customer_id is null
    group by a.customer_id
),

totals as (
    select
        coalesce(o.customer_id, p.customer_id) as customer_id,
        coalesce(o.online_orders, 0) as online_orders,
        coalesce(o.quick_orders, 0) as quick_orders,
        coalesce(p.parked, 0) as parked,
        coalesce(p.park_chances, 0) as park_chances
    from ordered_totals as o
    full outer join parked as p on o.customer_id = p.customer_id
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
