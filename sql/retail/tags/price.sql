-- How much each customer cares for the price: shares at a discount and at full price, coupons, and what a discount moves.
-- grain: customer_id
-- store: table
-- tag_discount_share: dimension number (0 to 1) | Share of discounted orders | 折扣订单占比 | share of orders at a discount, few
--    orders drawn to the base, from $price_orders orders on | needs orders
-- tag_full_price_share: dimension number (0 to 1) | Share bought at full price | 正价购买占比 | share of the amount before
--    discounts in lines without a discount, from $price_orders orders on | needs order_items
-- tag_coupon_share: dimension number (0 to 1) | Share bought with a coupon | 用券占比 | share of lines bought with a coupon,
--    from $price_orders orders on | needs coupons
-- tag_discount_response: dimension number | Response to discounts | 折扣弹性 | log of pieces a line at a discount over pieces a
--    line without, both drawn to the base, from $response_lines lines of each on | needs order_items
-- tag_price_score: dimension number (0 to 1) | Price score | 价格敏感分 | probability that more than $discount_share of orders
--    are at a discount, from $price_orders orders on | needs orders
-- tag_price_sensitive: dimension flag | Price sensitive | 价格敏感 | the price score is $price_confidence or more | needs
--    orders
-- tag_discount_seeker: dimension flag | Waits for discounts | 折扣偏好 | from $discount_share of discounted orders and
--    $discount_orders orders on | for marketing | needs orders, consents
-- why: shares of few orders are drawn to those of all customers by a beta prior with the moments of the customers who have
--    enough orders (empirical Bayes; Kleinman 1973), so they need no floor of orders to be compared, only one to be given
with
lines as (
    select
        customer_id,
        sum(order_lines) as order_lines,
        sum(discounted_lines) as discounted_lines,
        sum(coupon_lines) as coupon_lines,
        sum(items) as items,
        sum(discounted_items) as discounted_items,
        sum(amount) as amount,
        sum(discounted_amount) as discounted_amount
    from features.purchased_products
    group by customer_id
),

buyers as (
    select
        customer_id,
        cast(orders as double) as orders,
        cast(discounted_orders as double) as discounted
    from features.purchases
    where orders >= $price_orders
),

moments as (
    select
        fixed_sum(discounted / orders) / count(*) as mean,
        fixed_sum(discounted / orders * discounted / orders) / count(*) as mean_square,
        fixed_sum(1 / orders) / count(*) as mean_inverse
    from buyers
),

-- The variance of shares is that of the rates behind them and that of counting, mean (1 - mean) / orders.
spread as (
    select
        mean,
        mean * (1 - mean) as most,
        (mean_square - mean * mean - mean * (1 - mean) * mean_inverse) / nullif(1 - mean_inverse, 0) as variance
    from moments
),

-- As many orders as stand behind the prior; where rates do not differ at all, as many as are ever allowed.
prior as (
    select
        mean,
        case
            when variance * (1 + $price_prior_orders) > most then greatest(most / variance - 1, 0)
            else $price_prior_orders
        end as weight
    from spread
),

rates as (
    select
        cast(sum(discounted_items) as double) / nullif(sum(discounted_lines), 0) as discounted_rate,
        cast(sum(items - discounted_items) as double) / nullif(sum(order_lines - discounted_lines), 0) as full_rate
    from lines
),

shares as (
    select
        b.customer_id,
        (b.discounted + p.weight * p.mean) / (b.orders + p.weight) as discount_share,
        b.orders + p.weight as weight
    from buyers as b
    cross join prior as p
    -- where no order ever had a discount nobody says that there was none
    where p.mean > 0
),

judged as (
    select
        customer_id,
        discount_share,
        -- the normal law of the posterior's mean and variance, by the logistic one of scale 1.702 (Haley 1952)
        1 / (
            1 + exp(
                1.702 * ($discount_share - discount_share)
                / sqrt(greatest(discount_share * (1 - discount_share), 1e-9) / (weight + 1))
            )
        ) as price_score
    from shares
)

select
    c.customer_id,
    j.discount_share,
    case
        when j.customer_id is not null
            then 1 - cast(l.discounted_amount as double) / nullif(cast(l.amount as double), 0)
    end as full_price_share,
    case when j.customer_id is not null then cast(l.coupon_lines as double) / l.order_lines end as coupon_share,
    case
        when
            l.discounted_lines >= $response_lines
            and l.order_lines - l.discounted_lines >= $response_lines
            then
                ln(
                    (l.discounted_items + $response_prior * r.discounted_rate)
                    / (l.discounted_lines + $response_prior)
                    / (
                        (l.items - l.discounted_items + $response_prior * r.full_rate)
                        / (l.order_lines - l.discounted_lines + $response_prior)
                    )
                )
    end as discount_response,
    j.price_score,
    j.price_score >= $price_confidence as price_sensitive,
    case
        when p.marketing
            then coalesce(c.discounted_share >= $discount_share and c.frequency >= $discount_orders, false)
    end as discount_seeker
from features.customers as c
inner join tags.purposes as p on c.customer_id = p.customer_id
cross join rates as r
left join lines as l on c.customer_id = l.customer_id
left join judged as j on c.customer_id = j.customer_id
