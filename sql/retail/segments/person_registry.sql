-- The customer of each account as of each run, accounts under a pseudonym: what later runs take ids from.
-- grain: as_of, account_key
-- store: table
-- publish: as_of
-- columns: as_of timestamp(6), account_key varchar, customer_id varchar
select
    $as_of as as_of,
    pseudonym(account_id, $pseudonym_key) as account_key,
    customer_id
from identity.account_person
