-- One row per order, which its lines make up.
-- grain: order_date, order_id
-- store: daily
-- day: order_date
-- quarantine: rule
select
    order_id,
    account_id,
    cast(null as varchar) as device_id,
    cast(null as varchar) as channel,
    cancelled,
    ordered_at,
    cast(0 as decimal(18, 2)) as discount,
    false as invalid_discount,
    order_date,
    cast(null as varchar) as rule
from staging.order_lines
group by order_id, account_id, cancelled, ordered_at, order_date
