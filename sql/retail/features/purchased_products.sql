-- What each customer has bought of each product before `as_of`: lines, pieces and amounts, at a discount or not, with and
--    without a coupon, and what of it was kept.
-- grain: customer_id, product_id
-- store: table
-- sorted: no
-- why: one pass over order lines for all that asks what was bought; of orders whose account is unknown `features.purchases`
--    keeps account. `weight` counts kept lines, one of `preference_half_life_days` ago as a half; a line given back in whole
--    is not kept
with
returned as (
    select
        order_date,
        order_id,
        line_no,
        sum(quantity) as quantity
    from facts.returns
    group by order_date, order_id, line_no
),

lines as (
    select
        p.customer_id,
        l.product_id,
        l.quantity,
        l.amount,
        l.discounted,
        l.with_coupon,
        l.order_date,
        local_date($as_of, $time_zone) - l.order_date as days_ago,
        l.order_date - g.launched_on as days_after_launch,
        coalesce(r.quantity < l.quantity, true) as kept
    from staging.order_lines as l
    inner join identity.account_person as p on l.account_id = p.account_id
    left join staging.products as g on l.product_id = g.product_id
    left join returned as r
        on l.order_date = r.order_date and l.order_id = r.order_id and l.line_no = r.line_no
    where not l.cancelled and day_start(l.order_date, $time_zone) < $as_of
)

select
    customer_id,
    product_id,
    count(*) as order_lines,
    count(*) filter (where discounted) as discounted_lines,
    cast(sum(cast(with_coupon as bigint)) as bigint) as coupon_lines,
    cast(sum(quantity) as bigint) as items,
    cast(coalesce(sum(quantity) filter (where discounted), 0) as bigint) as discounted_items,
    cast(sum(amount) as decimal(18, 2)) as amount,
    cast(coalesce(sum(amount) filter (where discounted), 0) as decimal(18, 2)) as discounted_amount,
    count(*) filter (where kept) as kept_lines,
    fixed_sum(
        case when kept then power(0.5, cast(days_ago as double) / $preference_half_life_days) end
    ) as weight,
    max(order_date) filter (where kept) as last_kept_on,
    coalesce(bool_or(days_ago <= 30 and days_after_launch between 0 and $new_product_days), false) as new_in_30_days
from lines
group by customer_id, product_id
