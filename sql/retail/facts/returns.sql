-- One row per return before `as_of`, with the order that it is of; whether that is known is judged in `features.returned`.
-- grain: return_date, return_id
-- store: table
-- why: of several orders with one id, more than `redelivery_days` apart, a return is of the last one before it
with
candidates as (
    select
        r.return_id,
        r.return_date,
        r.order_id,
        r.line_no,
        r.quantity,
        r.amount,
        o.order_date,
        coalesce(o.account_id, r.account_id) as account_id,
        row_number() over (
            partition by r.return_date, r.return_id
            order by case when o.ordered_at <= r.returned_at then o.ordered_at end desc nulls last, o.ordered_at
        ) as place
    from staging.returns as r
    left join staging.orders as o on r.order_id = o.order_id and o.ordered_at < $as_of
    where r.returned_at < $as_of
)

select
    return_id,
    return_date,
    order_id,
    line_no,
    quantity,
    amount,
    order_date,
    account_id
from candidates
where place = 1
