-- One row per line of a known order, with its amount before the order's discount.
-- grain: order_date, order_id, line_no
-- store: daily
-- day: order_date
-- quarantine: rule
-- accounts: raw.order_items
-- why: a line lies in the folder of its order's day, so only that day's orders are looked up; lines of an order that counts on
--    another day go with it
with
source as (
    select
        order_id,
        line_no,
        product_id,
        quantity,
        to_money(unit_price) as unit_price,
        ingested_at,
        order_date
    from raw.order_items
),

-- Lines that came again with their order under another day.
elsewhere as (
    select
        for_day,
        order_id,
        line_no
    from redelivered.order_items
    where order_date <> for_day
    group by for_day, order_id, line_no
),

judged as (
    select
        l.order_id,
        l.line_no,
        l.product_id,
        l.quantity,
        l.unit_price,
        l.ingested_at,
        l.order_date,
        o.account_id,
        o.cancelled,
        o.discount > 0 as discounted,
        case
            when l.order_id is null or l.line_no is null then 'missing_key'
            when out_of_range($earliest_date, $latest_date, l.ingested_at, l.order_date) then 'out_of_range'
            when o.order_id is null and e.order_id is not null then 'superseded_item'
            when o.order_id is null then 'orphan_item'
            when l.quantity is null or l.quantity <= 0 then 'negative_quantity'
            when l.unit_price is null or l.unit_price < 0 then 'invalid_price'
            when l.quantity > $max_quantity then 'outlier_quantity'
            when l.unit_price > $max_price then 'outlier_price'
            when cast(l.ingested_at as bigint) - cast(o.ordered_at as bigint) > $look_back_days * 86400000000
                then 'too_late_item'
        end as broken
    from source as l
    left join staging.orders as o on l.order_date = o.order_date and l.order_id = o.order_id
    left join elsewhere as e on l.order_date = e.for_day and l.order_id = e.order_id and l.line_no = e.line_no
),

-- A copy is judged among the rows that break no other rule, which sort first.
ranked as (
    select
        order_id,
        line_no,
        product_id,
        quantity,
        unit_price,
        order_date,
        account_id,
        cancelled,
        discounted,
        broken,
        row_number() over (
            partition by order_date, order_id, line_no
            order by broken is not null, ingested_at, product_id, quantity, unit_price
        ) as copy
    from judged
)

select
    order_id,
    line_no,
    account_id,
    cancelled,
    product_id,
    cast(quantity as bigint) as quantity,
    try_cast(quantity * unit_price as decimal(18, 2)) as amount,
    discounted,
    -- nothing says what a coupon took off
    cast(null as boolean) as with_coupon,
    order_date,
    case
        when broken is not null then broken
        when copy > 1 then 'duplicate_item'
    end as rule
from ranked
