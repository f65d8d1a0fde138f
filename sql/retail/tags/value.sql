-- What each customer who ever bought is worth: the part of all revenue, the level of spending, the grade by number of orders.
-- grain: customer_id
-- store: table
-- tag_value_tier: dimension level (head, potential, long tail) | Value tier | 价值层级
--    | by falling all-time net value, who brings the first $value_head_share of it, the next $value_potential_share, the rest
--    | needs orders
-- tag_spending_level: dimension level (lowest, low, middle, high, highest) | Spending level | 消费水平
--    | the monetary score in words, from the lowest to the highest fifth of the reference population | needs orders
-- tag_buyer_grade: dimension level (one-time, repeat, regular, loyal) | Buyer grade | 购买次数等级
--    | orders of all time: one, more, $regular_orders or more, $loyal_orders or more | needs orders
-- why: tiers go by falling all-time net value: head are those who bring the first `value_head_share` of it, potential those who bring the
--    next `value_potential_share`; who reaches the line is above it, with all of equal value. Who returned more than they
--    bought count nothing to the whole and are long tail.
--    Levels name the monetary score, whose frozen cut points make those of two runs comparable
with
buyers as (
    select
        customer_id,
        frequency,
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
    end as value_tier,
    case r.monetary_score
        when 1 then 'lowest'
        when 2 then 'low'
        when 3 then 'middle'
        when 4 then 'high'
        when 5 then 'highest'
    end as spending_level,
    case
        when b.frequency >= $loyal_orders then 'loyal'
        when b.frequency >= $regular_orders then 'regular'
        when b.frequency > 1 then 'repeat'
        else 'one-time'
    end as buyer_grade
from buyers as b
cross join cuts as c
left join tags.rfm as r on b.customer_id = r.customer_id
