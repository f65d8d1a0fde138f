-- One row per line of the file, with the order that it belongs to.
-- grain: order_date, order_id, line_no
-- store: daily
-- day: order_date
-- quarantine: rule
-- accounts: raw.purchases
-- why: lines of one customer and basket are one order; without baskets, lines of one customer and instant are, since a line of a
--    receipt is not an order. Where every line is an order of its own, let `basket_id` tell lines apart
with
source as (
    select
        trim_to_null(customer_id) as account_id,
        -- a file that names baskets: declare its column in raw/purchases.sql and write trim_to_null(COLUMN) here
        cast(null as varchar) as basket_id,
        purchased_at,
        to_money(amount) as amount
    from raw.purchases
),

judged as (
    select
        account_id,
        basket_id,
        purchased_at,
        -- what tells orders of a customer apart
        case when basket_id is null then purchased_at end as alone_at,
        amount,
        case
            when account_id is null or purchased_at is null then 'missing_key'
            when out_of_range($earliest_date, $latest_date, purchased_at) then 'out_of_range'
            when amount is null or amount < 0 then 'invalid_amount'
            when amount > $max_quantity * $max_price then 'outlier_amount'
        end as broken
    from source
),

numbered as (
    select
        account_id,
        amount,
        dense_rank() over (order by account_id, basket_id, alone_at) as order_id,
        row_number() over (
            partition by account_id, basket_id, alone_at
            order by broken is not null, purchased_at, amount
        ) as line_no,
        min(case when broken is null then purchased_at end) over (
            partition by account_id, basket_id, alone_at
        ) as first_line_at,
        purchased_at,
        broken
    from judged
)

select
    cast(order_id as bigint) as order_id,
    cast(line_no as int) as line_no,
    account_id,
    false as cancelled,
    cast(null as bigint) as product_id,
    cast(1 as bigint) as quantity,
    amount,
    false as discounted,
    cast(null as boolean) as with_coupon,
    coalesce(first_line_at, purchased_at) as ordered_at,
    local_date(coalesce(first_line_at, purchased_at), $time_zone) as order_date,
    broken as rule
from numbered
