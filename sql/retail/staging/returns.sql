-- One row per return; whether its order is known is judged in `features.returned`.
-- grain: return_date, return_id
-- store: daily
-- day: return_date
-- quarantine: rule
-- accounts: raw.returns
with
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
        return_date
    from raw.returns
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
        case
            when return_id is null or order_id is null or returned_at is null then 'missing_key'
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
                broken is not null, ingested_at, order_id, line_no, account_id, quantity, amount, returned_at, reason
        ) as copy
    from judged
)

select
    return_id,
    order_id,
    line_no,
    account_id,
    cast(quantity as bigint) as quantity,
    amount,
    returned_at,
    return_date,
    case
        when broken is not null then broken
        when copy > 1 then 'duplicate_return'
    end as rule
from ranked
