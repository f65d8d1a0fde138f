-- One row per basket, which its lines make up.
-- grain: order_date, order_id
-- store: daily
-- day: order_date
-- quarantine: rule
-- why: a basket whose lines name two households, stores or times would be two rows, which `staging_keys_unique` refuses
select
    order_id,
    account_id,
    cast(null as varchar) as device_id,
    'store' as channel,
    cancelled,
    ordered_at,
    cast(sum(discount) as decimal(18, 2)) as discount,
    bool_or(invalid_discount) as invalid_discount,
    store_id,
    order_date,
    cast(null as varchar) as rule
from staging.order_lines
group by order_id, account_id, cancelled, ordered_at, store_id, order_date
