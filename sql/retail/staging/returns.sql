-- One row per return; whether its order is known is judged in `features.returned`.
-- grain: return_date, return_id
-- store: daily
-- day: return_date
-- quarantine: rule
-- accounts: raw.returns
with
-- Rows of each day, and all rows of keys that lie on several days, which say which of these counts.
deliveries as (
    select
        return_id,
        order_id,
        line_no,
        account_id,
        quantity,
        amount,
        reason,
        returned_at,
        ingested_at,
        return_date,
        return_date as for_day,
        false as again
    from raw.returns
    union all
    select
        return_id,
        order_id,
        line_no,
        account_id,
        quantity,
        amount,
        reason,
        returned_at,
        ingested_at,
        return_date,
        for_day,
        true as again
    from redelivered.returns
),

source as (
    select
        return_id,
        order_id,
        line_no,
        trim_to_null(account_id) as account_id,
        quantity,
        to_money(amount) as amount,
        reason,
        returned_at,
        ingested_at,
        coalesce(ingested_at, returned_at) as known_at,
        return_date,
        for_day,
        again
    from deliveries
),

judged as (
    select
        return_id,
        order_id,
        line_no,
        account_id,
        quantity,
        amount,
        reason,
        returned_at,
        ingested_at,
        return_date,
        for_day,
        again,
        known_at,
        case
            when return_id is null or order_id is null or returned_at is null then 'missing_key'
            when out_of_range($earliest_date, $latest_date, returned_at, ingested_at, return_date) then 'out_of_range'
            when returned_at > ingested_at then 'future_return'
            when cast(ingested_at as bigint) - cast(returned_at as bigint) > $look_back_days * 86400000000
                then 'too_late_return'
            when return_date is distinct from local_date(returned_at, $time_zone) then 'wrong_day'
            when quantity is null or quantity <= 0 then 'negative_quantity'
            when amount is null or amount < 0 then 'invalid_amount'
            when amount > $max_quantity * $max_price then 'outlier_amount'
        end as broken
    from source
),

-- A copy is judged among the rows that break no other rule, which sort first.
ranked as (
    select
        return_id,
        order_id,
        line_no,
        account_id,
        quantity,
        amount,
        returned_at,
        return_date,
        broken,
        row_number() over (
            partition by return_date, return_id
            order by
                broken is not null, known_at, order_id, line_no, account_id, quantity, amount, returned_at, reason
        ) as copy
    from judged
    where not again
),

-- Per key the day under which it was delivered last, of two at once the later day.
last_days as (
    select
        for_day,
        return_id,
        return_date,
        row_number() over (
            partition by for_day, return_id order by max(known_at) desc, return_date desc
        ) as place
    from judged
    where again and broken is null
    group by for_day, return_id, return_date
)

select
    r.return_id,
    r.order_id,
    r.line_no,
    r.account_id,
    cast(r.quantity as bigint) as quantity,
    r.amount,
    r.returned_at,
    r.return_date,
    case
        when r.broken is not null then r.broken
        when r.copy > 1 then 'duplicate_return'
        when l.return_date <> r.return_date then 'superseded_return'
    end as rule
from ranked as r
left join last_days as l on r.return_date = l.for_day and r.return_id = l.return_id and l.place = 1
