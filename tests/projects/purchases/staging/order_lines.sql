-- The one line of each purchase: an amount, of no product in particular.
-- grain: order_date, order_id, line_no
-- store: daily
-- day: order_date
-- quarantine: rule
select
    order_id,
    cast(1 as int) as line_no,
    account_id,
    cancelled,
    cast(null as bigint) as product_id,
    cast(1 as bigint) as quantity,
    amount,
    false as discounted,
    cast(null as boolean) as with_coupon,
    order_date,
    cast(null as varchar) as rule
from staging.orders
