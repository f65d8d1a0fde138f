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

counted as (
    select
        contact,
        account_id,
        count(*) over (partition by contact) as accounts
    from contacts
)

select
    contact,
    account_id
from counted
where accounts between 2 and $max_block
