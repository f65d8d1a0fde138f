-- The person of each account, named by the smallest account id among all that shared contacts tie together.
-- grain: account_id
-- store: table
-- kind: fixpoint
-- start: identity.accounts
-- max_rounds: 100
-- why: each round hands the smallest name on along one contact, and once more along the name itself
with
by_contact as (
    select
        c.contact,
        min(p.person_account) as person_account
    from identity.contacts as c
    inner join $previous as p on c.account_id = p.account_id
    group by c.contact
),

by_account as (
    select
        c.account_id,
        min(b.person_account) as person_account
    from identity.contacts as c
    inner join by_contact as b on c.contact = b.contact
    group by c.account_id
)

select
    p.account_id,
    least(p.person_account, b.person_account, n.person_account) as person_account
from $previous as p
left join by_account as b on p.account_id = b.account_id
left join $previous as n on p.person_account = n.account_id
