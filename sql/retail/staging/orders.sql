-- One row per order.
-- grain: order_date, order_id
-- store: daily
-- day: order_date
-- quarantine: rule
-- accounts: raw.orders
-- why: a discount that cannot be is emptied and flagged, the order stays
with
source as (
    select
        order_id,
        trim_to_null(account_id) as account_id,
        lower(trim(channel)) as channel,
        lower(trim(status)) as status,
        ordered_at,
        to_money(discount) as discount,
        discount is not null
            and coalesce(to_money(discount) not between 0 and $max_quantity * $max_price, true) as invalid_discount,
        trim_to_null(device_id) as device_id,
        ingested_at,
        order_date
    from raw.orders
),

judged as (
    select
        order_id,
        account_id,
        channel,
        status,
        ordered_at,
        discount,
        invalid_discount,
        device_id,
        ingested_at,
        order_date,
        case
            when order_id is null or account_id is null or ordered_at is null then 'missing_key'
            when ordered_at > ingested_at then 'future_order'
            when cast(ingested_at as bigint) - cast(ordered_at as bigint) > $look_back_days * 86400000000
                then 'too_late_order'
            when order_date is distinct from local_date(ordered_at, $time_zone) then 'wrong_day'
        end as broken
    from source
),

-- A copy is judged among the rows that break no other rule, which sort first.
ranked as (
    select
        order_id,
        account_id,
        device_id,
        channel,
        status,
        ordered_at,
        discount,
        invalid_discount,
        order_date,
        broken,
        row_number() over (
            partition by order_date, order_id
            order by broken is not null, ingested_at, account_id, channel, status, ordered_at, discount, device_id
        ) as copy
    from judged
)

select
    order_id,
    account_id,
    device_id,
    channel,
    coalesce(status = 'cancelled', false) as cancelled,
    ordered_at,
    cast(case when invalid_discount then 0 else coalesce(discount, 0) end as decimal(18, 2)) as discount,
    invalid_discount,
    order_date,
    case
        when broken is not null then broken
        when copy > 1 then 'duplicate_order'
    end as rule
from ranked
