-- Every known account, each a person of its own to start with.
-- grain: account_id
-- store: table
with
known as (
    select account_id
    from staging.customers
    union all
    select account_id
    from staging.orders
    where $accounts_from_orders
)

select
    account_id,
    account_id as person_account
from known
group by account_id
