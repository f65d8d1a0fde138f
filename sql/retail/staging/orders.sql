-- One row per order.
-- grain: order_date, order_id
-- store: daily
-- day: order_date
-- quarantine: rule
-- accounts: raw.orders
-- why: a discount that cannot be is emptied and flagged, the order stays
with
-- Rows of each day, and all rows of keys that lie on several days, which say which of these counts.
deliveries as (
    select
        order_id,
        account_id,
        device_id,
        channel,
        status,
        ordered_at,
        discount,
        ingested_at,
        order_date,
        order_date as for_day,
        false as again
    from raw.orders
    union all
    select
        order_id,
        account_id,
        device_id,
        channel,
        status,
        ordered_at,
        discount,
        ingested_at,
        order_date,
        for_day,
        true as again
    from redelivered.orders
),

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
        coalesce(ingested_at, ordered_at) as known_at,
        order_date,
        for_day,
        again
    from deliveries
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
        for_day,
        again,
        known_at,
        case
            when order_id is null or account_id is null or ordered_at is null then 'missing_key'
            when out_of_range($earliest_date, $latest_date, ordered_at, ingested_at, order_date) then 'out_of_range'
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
            order by broken is not null, known_at, account_id, channel, status, ordered_at, discount, device_id
        ) as copy
    from judged
    where not again
),

-- Per key the day under which it was delivered last, of two at once the later day.
last_days as (
    select
        for_day,
        order_id,
        order_date,
        row_number() over (
            partition by for_day, order_id order by max(known_at) desc, order_date desc
        ) as place
    from judged
    where again and broken is null
    group by for_day, order_id, order_date
)

select
    r.order_id,
    r.account_id,
    r.device_id,
    r.channel,
    coalesce(r.status = 'cancelled', false) as cancelled,
    r.ordered_at,
    cast(case when r.invalid_discount then 0 else coalesce(r.discount, 0) end as decimal(18, 2)) as discount,
    r.invalid_discount,
    r.order_date,
    case
        when r.broken is not null then r.broken
        when r.copy > 1 then 'duplicate_order'
        when l.order_date <> r.order_date then 'superseded_order'
    end as rule
from ranked as r
left join last_days as l on r.order_date = l.for_day and r.order_id = l.order_id and l.place = 1
