-- Per customer and purpose: whether the latest decision on any account grants it.
-- grain: customer_id, purpose
-- store: table
-- why: of contradicting decisions at the same instant the refusal counts
select
    p.customer_id,
    c.purpose,
    first_value(c.granted order by c.decided_at desc, c.granted) as granted,
    max(c.decided_at) as decided_at
from staging.consents as c
inner join identity.account_person as p on c.account_id = p.account_id
where c.decided_at < $as_of
group by p.customer_id, c.purpose
