-- Months whose flows are not all customers in a state before or after, do not open as the one before closed, or whose buyers did not buy.
with
flows as (
    select month, from_state, to_state, customers, opening, closing
    from segments.life_cycle_flow
),

before as (
    select month, from_state as state, sum(customers) as customers, max(opening) as opening
    from flows
    where from_state <> 'never bought'
    group by month, from_state
),

after as (
    select month, to_state as state, sum(customers) as customers, max(closing) as closing
    from flows
    group by month, to_state
),

months as (
    select
        a.month,
        a.state,
        b.customers - b.opening as leaving,
        a.customers - a.closing as arriving,
        b.opening - lag(a.closing, 1, 0) over (partition by a.state order by a.month) as carried,
        case when a.state = 'buying' then a.closing end as buyers
    from after as a
    inner join before as b on a.month = b.month and a.state = b.state
),

counted as (
    select
        cast(date_trunc('month', order_date) as date) as month,
        count(distinct customer_id) as buyers
    from features.purchase_days
    where orders > 0 and order_date < date_trunc('month', local_date($as_of, $time_zone))
    group by cast(date_trunc('month', order_date) as date)
)

select
    coalesce(m.month, c.month) as month,
    m.state,
    m.leaving,
    m.arriving,
    m.carried,
    m.buyers,
    c.buyers as counted
from months as m
full outer join counted as c on m.month = c.month and m.state = 'buying'
where
    m.state is null
    or m.leaving <> 0
    or m.arriving <> 0
    or m.carried <> 0
    or (m.state = 'buying' and m.buyers <> coalesce(c.buyers, 0))
