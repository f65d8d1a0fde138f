-- What each customer gave back before `as_of`; returns of unknown orders are rejected, one row each.
-- grain: customer_id, orphan_return_id
-- store: table
-- quarantine: rule
-- weight: returns
with
known as (
    select
        r.return_id,
        r.quantity,
        r.amount,
        r.return_date,
        r.order_date is null or p.customer_id is null as orphan,
        p.customer_id
    from facts.returns as r
    left join identity.account_person as p on r.account_id = p.account_id
)

select
    case when not orphan then customer_id end as customer_id,
    case when orphan then return_id end as orphan_return_id,
    count(*) as returns,
    cast(sum(quantity) as bigint) as returned_items,
    cast(sum(amount) as decimal(18, 2)) as returned_amount,
    cast(
        coalesce(
            sum(amount) filter (where local_date($as_of, $time_zone) - return_date <= $rfm_window_days), 0
        ) as decimal(18, 2)
    ) as returned_in_window,
    case when orphan then 'orphan_return' end as rule
from known
group by
    case when not orphan then customer_id end,
    case when orphan then return_id end,
    orphan
