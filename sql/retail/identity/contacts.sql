-- Contacts that tie accounts together: an e-mail or phone that at least two, and not too many, accounts share.
-- grain: contact, account_id
-- store: table
-- why: a contact of very many accounts is a placeholder, such as the shop's own phone
with
contacts as (
    select
        'email ' || email as contact,
        account_id
    from staging.customers
    where email is not null
    union all
    select
        'phone ' || phone as contact,
        account_id
    from staging.customers
    where phone is not null
),

shared as (
    select contact
    from contacts
    group by contact
    having count(*) between 2 and $max_block
)

select
    c.contact,
    c.account_id
from contacts as c
inner join shared as s on c.contact = s.contact
