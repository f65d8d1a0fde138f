-- One row per product of a basket, at the shelf price, with what the chain took off it.
-- grain: order_date, order_id, line_no
-- store: daily
-- day: order_date
-- quarantine: rule
-- accounts: raw.transactions
-- why: `sales_value` is what the chain received, after loyalty and matched-coupon discounts and before the maker's
--    coupon, which the maker refunds: adding the two discounts gives the shelf price, and the order takes them off
--    again; a line of no pieces or no dollars is real, as a coupon or a free product is
with
source as (
    select
        basket_id as order_id,
        product_id,
        household_id,
        store_id,
        quantity,
        to_money(sales_value) as net,
        to_money(retail_disc) as loyalty_discount,
        to_money(coupon_match_disc) as coupon_discount,
        coupon_disc,
        week,
        cast(transaction_timestamp as timestamp(6)) as ordered_at
    from raw.transactions
),

judged as (
    select
        order_id,
        product_id,
        household_id,
        store_id,
        quantity,
        net,
        loyalty_discount,
        coupon_discount,
        coupon_disc,
        week,
        ordered_at,
        coalesce(coupon_disc > 0 or coupon_discount > 0, false) as with_coupon,
        coalesce(
            loyalty_discount not between 0 and $max_quantity * $max_price
            or coupon_discount not between 0 and $max_quantity * $max_price,
            true
        ) as invalid_discount,
        case
            when order_id is null or product_id is null or household_id is null or ordered_at is null
                then 'missing_key'
            when out_of_range($earliest_date, $latest_date, ordered_at) then 'out_of_range'
            when quantity is null or quantity < 0 then 'negative_quantity'
            when net is null or net < 0 then 'invalid_amount'
            when net > $max_quantity * $max_price then 'outlier_amount'
        end as broken
    from source
),

-- A copy is judged among the rows that break no other rule, which sort first. Baskets are dealt to 64 lots, since a
-- window for each would cost many times more.
ordered as (
    select
        order_id,
        product_id,
        household_id,
        store_id,
        quantity,
        net,
        loyalty_discount,
        coupon_discount,
        ordered_at,
        with_coupon,
        invalid_discount,
        broken,
        lag(order_id) over lot as order_before,
        lag(product_id) over lot as product_before
    from judged
    window lot as (
        partition by row_hash(order_id) % 64
        order by
            broken is not null, order_id, product_id, ordered_at desc, household_id, store_id, quantity, net,
            loyalty_discount, coupon_discount, coupon_disc, week
    )
),

-- A basket has one time: delivered again under a later one, it counts there.
baskets as (
    select
        order_id,
        max(ordered_at) as last_at
    from judged
    where broken is null
    group by order_id
),

priced as (
    select
        o.order_id,
        o.product_id,
        o.household_id,
        o.store_id,
        o.quantity,
        o.net,
        case when o.invalid_discount then 0 else o.loyalty_discount + o.coupon_discount end as discount,
        o.ordered_at,
        o.with_coupon,
        o.invalid_discount,
        case
            when o.broken is not null then o.broken
            when
                cast(b.last_at as bigint) - cast(o.ordered_at as bigint)
                between 1 and $redelivery_days * 86400000000
                then 'superseded_line'
            when o.order_before = o.order_id and o.product_before = o.product_id then 'duplicate_line'
        end as rule
    from ordered as o
    left join baskets as b on o.order_id = b.order_id
)

select
    order_id,
    -- a basket has each product once, so the product is the line
    product_id as line_no,
    cast(household_id as varchar) as account_id,
    false as cancelled,
    product_id,
    -- petrol is booked in thousandths of a gallon: however much was filled up counts as one piece
    case when quantity > $max_quantity then 1 else quantity end as quantity,
    cast(net + discount as decimal(18, 2)) as amount,
    cast(discount as decimal(18, 2)) as discount,
    discount > 0 as discounted,
    with_coupon,
    coalesce(quantity > $max_quantity, false) as outlier_quantity,
    invalid_discount,
    store_id,
    ordered_at,
    local_date(ordered_at, $time_zone) as order_date,
    rule
from priced
