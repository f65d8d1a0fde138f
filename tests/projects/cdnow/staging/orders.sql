-- One row per line of the file, which is one order: customers may buy twice a day, alike even.
-- grain: order_date, order_id
-- store: daily
-- day: order_date
-- quarantine: rule
-- accounts: raw.cdnow
with
source as (
    select fold_width(line) as line
    from raw.cdnow
),

cleaned as (
    select
        line,
        nullif(split_part(line, ' ', 1), '') as account_id,
        parse_date(split_part(line, ' ', 2)) as order_date,
        to_money(split_part(line, ' ', 3)) as quantity,
        to_money(split_part(line, ' ', 4)) as amount
    from source
),

numbered as (
    select
        row_number() over (order by account_id, order_date, quantity, amount, line) as order_id,
        account_id,
        quantity,
        amount,
        order_date
    from cleaned
)

select
    cast(order_id as bigint) as order_id,
    account_id,
    cast(null as varchar) as device_id,
    cast(null as varchar) as channel,
    false as cancelled,
    day_start(order_date, $time_zone) as ordered_at,
    cast(0 as decimal(18, 2)) as discount,
    false as invalid_discount,
    cast(quantity as bigint) as quantity,
    amount,
    order_date,
    case
        when account_id is null or order_date is null or quantity is null or amount is null then 'unreadable_line'
        when amount < 0 then 'negative_amount'
        when amount > $max_quantity * $max_price then 'outlier_amount'
    end as rule
from numbered
