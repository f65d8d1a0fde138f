-- One row per purchase.
-- grain: order_date, order_id
-- store: daily
-- day: order_date
-- quarantine: rule
-- accounts: raw.purchases
with
source as (
    select
        trim_to_null(customer_id) as account_id,
        purchased_at,
        to_money(amount) as amount
    from raw.purchases
)

select
    cast(row_number() over (order by account_id, purchased_at, amount) as bigint) as order_id,
    account_id,
    cast(null as varchar) as device_id,
    cast(null as varchar) as channel,
    false as cancelled,
    purchased_at as ordered_at,
    cast(0 as decimal(18, 2)) as discount,
    false as invalid_discount,
    amount,
    local_date(purchased_at, $time_zone) as order_date,
    case
        when account_id is null or purchased_at is null then 'missing_key'
        when amount is null or amount < 0 then 'invalid_amount'
    end as rule
from source
