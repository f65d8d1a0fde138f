-- The customer behind each account.
-- grain: account_id
-- store: table
select
    account_id,
    pseudonym(person_account, $pseudonym_salt) as customer_id
from identity.matches
