-- How much of all revenue each customer stands for, of who has ever bought: head, potential, long tail.
-- grain: customer_id
-- store: table
-- tag_value_tier: dimension level (head, potential, long tail) | Value tier | 价值层级
--    | by falling all-time net value, who brings the first $value_head_share of it, the next $value_potential_share, the rest
--    | needs orders
-- why: by falling all-time net value, head are those who bring the first `value_head_share` of it, potential those who bring the
--    next `value_potential_share`; who reaches the line is above it, with all of equal value. Who returned more than they
--    bought count nothing to the whole and are long tail
with
buyers as (
    select
        customer_id,
        monetary_total
    from features.customers
    where frequency > 0
),

-- What runs over all in one order are the different values, not the customers; decimals make it exact.
amounts as (
    select
        monetary_total as value,
        sum(monetary_total) as amount
    from buyers
    where monetary_total > 0
    group by monetary_total
),

whole as (
    select sum(amount) as amount
    from amounts
),

ranked as (
    select
        value,
        sum(amount) over (
            order by value desc
            rows between unbounded preceding and current row
        ) - amount as amount_above
    from amounts
),

cuts as (
    select
        min(r.value) filter (
            where r.amount_above < cast($value_head_share as decimal(9, 6)) * w.amount
        ) as head_from,
        min(r.value) filter (
            where
            r.amount_above
            < (cast($value_head_share as decimal(9, 6)) + cast($value_potential_share as decimal(9, 6))) * w.amount
        ) as potential_from
    from ranked as r
    cross join whole as w
)

select
    b.customer_id,
    case
        when b.monetary_total >= c.head_from then 'head'
        when b.monetary_total >= c.potential_from then 'potential'
        else 'long tail'
    end as value_tier
from buyers as b
cross join cuts as c
