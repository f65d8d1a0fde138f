-- Per customer and purpose: whether the latest decision on any account grants it.
-- grain: customer_id, purpose
-- store: table
-- why: of contradicting decisions at the same instant the refusal counts
with
decisions as (
    select
        p.customer_id,
        c.purpose,
        c.granted,
        c.decided_at,
        row_number() over (partition by p.customer_id, c.purpose order by c.decided_at desc, c.granted) as place
    from staging.consents as c
    inner join identity.account_person as p on c.account_id = p.account_id
    where c.decided_at < $as_of
)

select
    customer_id,
    purpose,
    granted,
    decided_at
from decisions
where place = 1
